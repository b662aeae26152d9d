import itertools

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paretune.errors import CapError, ConfigError
from paretune.search.feasible import FeasibleSampler
from paretune.search.space import parse_space

SPACE = parse_space(
    [*(f"w{i}=tag(log,int(interval(2,64)))" for i in range(5)), "k=choice(1,3)", "lr=interval(0,1)"],
    is_group=lambda _: False,
    own_space=lambda _: {},
)


def count(params: dict[str, object]) -> int:
    """A stack of five convolutions with bias on one channel."""
    channels = [1, *(params[f"w{i}"] for i in range(5))]
    return sum((a * params["k"] ** 2 + 1) * b for a, b in itertools.pairwise(channels))


def random_sampler(seed: int) -> optuna.samplers.BaseSampler:
    return optuna.samplers.RandomSampler(seed=seed)


def asked(sampler: FeasibleSampler, n: int) -> list[dict[str, object]]:
    study = optuna.create_study(directions=["minimize", "maximize"], sampler=sampler)
    found = []
    for _ in range(n):
        trial = study.ask(sampler.space.everything())
        study.tell(trial, [count(trial.params), 0.5])
        found.append(trial.params)
    return found


@pytest.mark.parametrize("base", [random_sampler, lambda seed: optuna.samplers.TPESampler(seed=seed)])
def test_nothing_over_the_cap_is_ever_proposed(base):
    sampler = FeasibleSampler(base, SPACE, count=count, cap=1000)

    assert max(count(params) for params in asked(sampler, 40)) <= 1000


@given(st.integers(50, 200_000), st.integers(0, 3))
@settings(max_examples=20, deadline=None)
def test_any_cap_is_kept_or_refused(cap, seed):
    try:
        sampler = FeasibleSampler(random_sampler, SPACE, count=count, cap=cap, seed=seed)
    except CapError:
        assert cap < 30  # five layers of two 1x1 maps
    else:
        assert all(count(params) <= cap for params in asked(sampler, 5))


def test_the_start_covers_the_costs_evenly_in_the_logarithm():
    costs = [count(params) for params in asked(FeasibleSampler(random_sampler, SPACE, count=count, cap=10_000), 10)]

    assert costs[0] < 60
    assert max(costs) > 5_000
    assert sum(cost < 600 for cost in costs) >= 4


def test_a_seed_and_a_number_make_the_same_draw():
    draws = [asked(FeasibleSampler(random_sampler, SPACE, count=count, cap=5000, seed=s), 15) for s in (1, 1, 2)]

    assert draws[0] == draws[1] != draws[2]


def test_a_space_without_a_small_enough_model_is_refused_with_both_numbers():
    with pytest.raises(CapError, match=r"search space has 28 parameters in its smallest model, over the cap of 26"):
        FeasibleSampler(random_sampler, SPACE, count=count, cap=26)


def test_a_space_of_which_no_model_can_be_built_says_why():
    def refuse(params: dict[str, object]) -> int:
        message = "model leaves no pixel"
        raise ConfigError(message)

    with pytest.raises(ConfigError, match="model leaves no pixel"):
        FeasibleSampler(random_sampler, SPACE, count=refuse, cap=1000)


def test_models_that_cannot_be_built_are_not_proposed():
    def odd(params: dict[str, object]) -> int:
        if params["k"] == 1:
            message = "no"
            raise ConfigError(message)
        return count(params)

    sampler = FeasibleSampler(random_sampler, SPACE, count=odd, cap=100_000)

    assert {params["k"] for params in asked(sampler, 15)} == {3}


def test_without_a_cap_every_draw_is_the_samplers_own():
    sampler = FeasibleSampler(random_sampler, SPACE)

    assert len({params["lr"] for params in asked(sampler, 12)}) == 12
