from math import exp, inf, log, nan
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution, IntDistribution

from contracts.sampler import (
    CONDITIONAL,
    SPACE,
    SamplerContract,
    asked,
    conditional_count,
    count,
    told,
)
from paretune.errors import CapError, ConfigError
from paretune.search import costs
from paretune.search.capped_sampler import DRAWN, START_EXPONENT
from paretune.search.distributions import draw_uniform
from paretune.search.feasible_sampler import FeasibleSampler
from paretune.search.feasible_space import FeasibleSpace
from paretune.search.front_sampler import FrontSampler
from paretune.search.grid import Grid
from paretune.search.grid_sampler import GridSampler
from paretune.search.space import Space
from paretune.search.space_parser import parse_space
from paretune.search.storage import read_note


def wrapped(
    base: type, feasible: FeasibleSpace, seed: int = 0, **options: object
) -> FeasibleSampler:
    return FeasibleSampler(
        lambda derived: base(seed=derived, **options), feasible, seed=seed
    )


class TestFeasibleRandom(SamplerContract):
    def make(self, feasible, seed=0):
        return wrapped(optuna.samplers.RandomSampler, feasible, seed)


class TestFeasibleTPE(SamplerContract):
    def make(self, feasible, seed=0):
        return wrapped(optuna.samplers.TPESampler, feasible, seed)


class TestFeasibleMultivariateTPE(SamplerContract):
    @pytest.fixture(autouse=True)
    def _experimental(self, recwarn):
        yield
        recwarn.clear()

    def make(self, feasible, seed=0):
        return wrapped(optuna.samplers.TPESampler, feasible, seed, multivariate=True)


class TestFront(SamplerContract):
    def make(self, feasible, seed=0):
        return FrontSampler(feasible, seed=seed)


@given(
    st.integers(28, 200_000),
    st.integers(0, 5),
    st.floats(0, 1),
    st.just(0.0) | st.floats(1e-6, 1),
)
@settings(max_examples=40, deadline=None)
def test_a_draw_spread_over_the_costs_fits_and_keeps_to_its_target(
    cap, seed, share, exponent
):
    feasible = FeasibleSpace(SPACE, count, cap)
    params = feasible.draw_at_share(
        np.random.default_rng(seed), share, exponent=exponent
    )

    assert (
        feasible.smallest
        <= count(params)
        <= feasible.cost_at_share(share, exponent) * (1 + 1e-6)
    )
    assert feasible.shares_of([params], exponent)[0] <= share + 1e-6


def test_halfway_is_the_middle_of_the_logarithm_or_of_the_cost_or_in_between():
    feasible = FeasibleSpace(SPACE, count, 10_000, floor=100)

    assert [
        round(feasible.cost_at_share(0.5, exponent)) for exponent in (0.0, 0.5, 1.0)
    ] == [1000, 3025, 5050]


def test_an_exponent_has_more_of_the_first_trials_in_the_upper_half_of_the_sizes():
    feasible = FeasibleSpace(SPACE, count, 5000)
    starts = [
        FrontSampler(feasible, start_exponent=exponent)
        for exponent in (0.0, START_EXPONENT, 1.0)
    ]
    large = [
        sum(count(params) > 2500 for params in asked(sampler, 20)) for sampler in starts
    ]

    assert large[0] < large[1] < large[2]


@given(
    st.integers(1000, 5000), st.integers(0, 100), st.sampled_from([FrontSampler, None])
)
@settings(max_examples=10)
def test_the_start_tries_no_network_twice_whatever_the_ranges_of_the_branches(
    cap, seed, make
):
    """Costs of one branch are 30 to 1,500, of the other 1 to 400; the learning rate
    changes none.
    """
    feasible = FeasibleSpace(CONDITIONAL, conditional_count, cap)
    sampler = (
        make(feasible, seed=seed)
        if make
        else wrapped(optuna.samplers.RandomSampler, feasible, seed)
    )
    networks = [
        tuple(sorted((n, v) for n, v in drawn.items() if n != "lr"))
        for drawn in asked(sampler, 16)
    ]

    assert len({*networks}) == 16


@pytest.mark.parametrize("make", [FrontSampler, None])
def test_the_first_trials_are_quick_ones_of_all_sizes(make):
    feasible = FeasibleSpace(SPACE, count, 5000)
    starts: list[list[dict[str, object]]] = []
    for guess in (None, lambda params: params["lr"]):
        sampler = (
            make(feasible) if make else wrapped(optuna.samplers.RandomSampler, feasible)
        )
        sampler.guess_duration = guess
        starts.append(asked(sampler, 20))
    durations = [np.mean([params["lr"] for params in drawn]) for drawn in starts]
    sizes = sorted(count(params) for params in starts[1])

    assert durations[1] < 0.7 * durations[0]
    assert sizes[0] < 200
    assert sizes[-1] > 3000


def test_a_first_trial_that_would_take_too_long_is_of_another_branch():
    width = "tag(log,int(interval(1,900)))"
    own_spaces = {"model=a": {"w": width}, "model=b": {"w": width, "k": "choice(1,3)"}}
    space = parse_space(
        ["model=choice(a,b)"],
        is_group=lambda key: key == "model",
        own_space=lambda own: own_spaces[own[-1]],
    )
    sampler = FrontSampler(FeasibleSpace(space, count_width, 900))
    sampler.guess_duration = lambda params: (
        count_width(params) * (20 if params["model"] == "b" else 1)
    )
    widths: dict[str, list[int]] = {"a": [], "b": []}
    for params in asked(sampler, 20):
        widths[params["model"]].append(count_width(params))

    assert len(widths["a"]) > len(widths["b"]) > 2
    assert max(widths["a"]) > 600 > 10 * max(widths["b"])


def count_width(params: dict[str, Any]) -> int:
    return next(value for name, value in params.items() if name.endswith("w"))


def test_what_cannot_be_built_is_never_the_quickest():
    feasible = FeasibleSpace(SPACE, count, 5000)
    sampler = FrontSampler(feasible)
    sampler.guess_duration = lambda params: inf if params["k"] == 3 else 1.0

    assert {params["k"] for params in asked(sampler, 20)} == {1}


@pytest.mark.parametrize(
    "guess", [lambda params: nan, lambda params: 3 - params["w1"], lambda params: inf]
)
def test_first_trials_are_drawn_whatever_a_guess_says(guess):
    sampler = FrontSampler(FeasibleSpace(SPACE, count, 5000))
    sampler.guess_duration = guess

    assert len(asked(sampler, 20)) == 20


def test_behind_a_portfolio_each_family_gets_small_and_large_trials():
    width = "tag(log,int(interval(1,900)))"
    own_spaces = {
        f"model={name}": {"w": width, name: "choice(1,3)"} for name in ("a", "b", "c")
    }
    space = parse_space(
        ["model=choice(a,b,c)"],
        is_group=lambda key: key == "model",
        own_space=lambda own: own_spaces[own[-1]],
    )
    sampler = FrontSampler(FeasibleSpace(space, count_width, 900))
    sampler.portfolio = [{"model": "a", "w": 9 + i, "a/a": 1} for i in range(8)]
    drawn = asked(sampler, 20)[8:]
    for family in ("a", "b", "c"):
        widths = [count_width(one) for one in drawn if one["model"] == family]
        assert len(widths) == 4
        assert min(widths) < 100
        assert max(widths) > 300


@pytest.mark.parametrize("n_startup", [4, 20])
def test_what_a_portfolio_has_twice_is_drawn_instead(n_startup):
    sampler = FrontSampler(FeasibleSpace(SPACE, count, 5000), n_startup=n_startup)
    known = {f"w{i}": 3 for i in range(5)} | {"k": 1, "lr": 0.5}
    sampler.portfolio = [known] * 16
    drawn = asked(sampler, 20)

    assert drawn.count(known) == 1


def test_where_nothing_is_counted_families_take_turns():
    feasible = FeasibleSpace(CONDITIONAL)
    drawn = asked(wrapped(optuna.samplers.RandomSampler, feasible), 10)

    assert sorted(params["model"] for params in drawn) == ["a"] * 5 + ["b"] * 5


def test_where_all_networks_were_tried_the_start_tries_other_settings_of_their_training():
    space = Space(common={"w": IntDistribution(1, 3), "lr": FloatDistribution(0, 1)})
    feasible = FeasibleSpace(space, lambda params: params["w"], cap=9)
    drawn = asked(FrontSampler(feasible), 10)

    assert {params["w"] for params in drawn} >= {1, 2}
    assert len({params["lr"] for params in drawn}) == 10


@pytest.mark.parametrize(("choice", "least", "most"), [("a", 30, 1500), ("b", 1, 400)])
def test_draws_of_a_branch_are_spread_over_the_costs_of_that_branch(
    choice, least, most
):
    feasible = FeasibleSpace(CONDITIONAL, conditional_count, 10_000)
    chosen = {"model": choice}
    ends = [feasible.cost_at_share(share, choice=chosen) for share in (0.0, 0.5, 1.0)]
    counts = [
        conditional_count(
            feasible.draw_at_share(np.random.default_rng(n), n / 20, chosen)
        )
        for n in range(21)
    ]

    assert ends == pytest.approx([least, (least * most) ** 0.5, most])
    assert sum(count < ends[1] for count in counts) == pytest.approx(10, abs=1)


def test_draws_are_spread_over_the_costs_that_count():
    feasible = FeasibleSpace(SPACE, count, 5000, floor=500)
    shares = np.linspace(0.05, 0.95, 30)
    costs = np.array(
        [
            count(feasible.draw_at_share(np.random.default_rng(seed), s))
            for seed, s in enumerate(shares)
        ]
    )

    assert np.median(costs / [feasible.cost_at_share(share) for share in shares]) > 0.95
    assert feasible.cost_at_share(0.0) == 500


def test_a_least_size_above_every_model_is_refused_with_both_numbers():
    with pytest.raises(
        CapError,
        match=(
            r"cap.min `6000` is above the 5,000 parameters of the largest model that "
            r"fits"
        ),
    ):
        FeasibleSpace(SPACE, count, 5000, floor=6000)


def test_resizing_keeps_what_costs_nothing():
    feasible = FeasibleSpace(SPACE, count, 1000)
    big = {**{f"w{i}": 64 for i in range(5)}, "k": 1, "lr": 0.3}

    assert feasible.resize(big, 1000)["lr"] == 0.3
    assert feasible.resize(big, 1000)["k"] == 1


def test_resizing_takes_a_smaller_kernel_where_widths_alone_do_not_help():
    feasible = FeasibleSpace(SPACE, count, 100)

    assert (
        feasible.resize({**{f"w{i}": 2 for i in range(5)}, "k": 3, "lr": 0.3}, 60)["k"]
        == 1
    )


def test_the_smallest_and_the_largest_configuration_bound_the_costs():
    feasible = FeasibleSpace(SPACE, count, None)

    assert feasible.smallest == count({**{f"w{i}": 2 for i in range(5)}, "k": 1})
    assert FeasibleSpace(SPACE, count, 10**9).upper == count(
        {**{f"w{i}": 64 for i in range(5)}, "k": 3}
    )


def test_a_space_without_a_small_enough_model_is_refused_with_both_numbers():
    with pytest.raises(
        CapError,
        match=r"the smallest model of the search space has 28 parameters and already exceeds the cap of 26",
    ):
        FeasibleSpace(SPACE, count, 26)


def test_a_cost_of_another_kind_is_called_by_its_name():
    with pytest.raises(
        CapError,
        match=r"the smallest model of the search space has 28 bytes and already exceeds the cap of 26",
    ):
        FeasibleSpace(SPACE, count, 26, cost="bytes")


def test_a_space_of_which_no_model_can_be_built_says_why():
    def refuse(params: dict[str, object]) -> int:
        message = "model leaves no pixel"
        raise ConfigError(message)

    with pytest.raises(ConfigError, match="model leaves no pixel"):
        FeasibleSpace(SPACE, refuse, 1000)


def test_models_that_cannot_be_built_are_not_proposed():
    def odd(params: dict[str, object]) -> int:
        if params["k"] == 1:
            message = "no"
            raise ConfigError(message)
        return count(params)

    sampler = wrapped(optuna.samplers.RandomSampler, FeasibleSpace(SPACE, odd, 100_000))

    assert {params["k"] for params in asked(sampler, 30)} == {3}


def test_without_a_count_every_draw_is_the_samplers_own():
    sampler = wrapped(optuna.samplers.RandomSampler, FeasibleSpace(SPACE))

    assert len({params["lr"] for params in asked(sampler, 30)}) == 30


def test_a_small_space_is_drawn_without_repeats_until_it_is_empty():
    space = parse_space(
        ["a=choice(1,2,3)", "b=choice(1,2,3)"],
        is_group=lambda _: False,
        own_space=lambda _: {},
    )
    draws = asked(
        wrapped(optuna.samplers.RandomSampler, FeasibleSpace(space)),
        9,
        score=lambda params: params["a"],
    )

    assert len({frozenset(params.items()) for params in draws}) >= 8


def test_uniform_is_even_in_the_logarithm_if_asked():
    dist = optuna.distributions.FloatDistribution(0.001, 1.0, log=True)
    draws = np.log(
        [draw_uniform(dist, np.random.default_rng(seed)) for seed in range(400)]
    )

    assert abs(np.median(draws) - (log(0.001) / 2)) < 0.5
    assert exp(draws.min()) >= 0.001


def test_uniform_keeps_steps():
    dist = optuna.distributions.IntDistribution(1, 9, step=4)

    assert {draw_uniform(dist, np.random.default_rng(seed)) for seed in range(40)} == {
        1,
        5,
        9,
    }


def test_a_branch_of_which_no_model_fits_is_never_drawn():
    """Branch b costs at least 1,000 here, under a cap of 300."""

    def dear(params: dict[str, object]) -> int:
        return conditional_count(params) + (1000 if params["model"] == "b" else 0)

    for sampler in (
        wrapped(optuna.samplers.RandomSampler, FeasibleSpace(CONDITIONAL, dear, 300)),
        FrontSampler(FeasibleSpace(CONDITIONAL, dear, 300)),
    ):
        assert {params["model"] for params in asked(sampler, 30)} == {"a"}


def test_a_grid_under_a_cap_is_every_point_that_fits_once():
    space = parse_space(
        ["a=choice(1,2,3)", "b=range(1,4)"],
        is_group=lambda _: False,
        own_space=lambda _: {},
    )
    sampler = GridSampler(
        FeasibleSpace(space, lambda params: params["a"] * params["b"], 6)
    )

    assert len(sampler.points) == 9
    assert {frozenset(params.items()) for params in asked(sampler, 10)} == {
        frozenset(p.items()) for p in sampler.points
    }


def test_a_grid_that_is_not_shuffled_keeps_the_order_of_the_values():
    space = parse_space(
        ["a=choice(z,b,y)", "b=choice(2,1)"],
        is_group=lambda _: False,
        own_space=lambda _: {},
    )
    sampler = GridSampler(FeasibleSpace(space), shuffle=False)

    assert [(point["a"], point["b"]) for point in asked(sampler, 6)] == [
        (a, b) for a in "zby" for b in (2, 1)
    ]


def test_a_grid_tries_every_step_of_a_range_of_fractions():
    space = parse_space(
        ["x=range(0.0,0.5,0.1)"], is_group=lambda _: False, own_space=lambda _: {}
    )

    assert sorted(
        point["x"] for point in GridSampler(FeasibleSpace(space)).points
    ) == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5])


def test_a_grid_takes_everything_of_finitely_many_values():
    sweeps = [
        "a=range(1.5,3.0,0.5)",
        "b=tag(log,int(interval(2,4)))",
        "c=choice(true,false)",
        "d=interval(0.5,0.5)",
        "e=range(1,7,3)",
    ]
    points = GridSampler(
        FeasibleSpace(
            parse_space(sweeps, is_group=lambda _: False, own_space=lambda _: {})
        )
    ).points
    values = {name: {point[name] for point in points} for name in "abcde"}

    assert values == {
        "a": {1.5, 2.0, 2.5, 3.0},
        "b": {2, 3, 4},
        "c": {True, False},
        "d": {0.5},
        "e": {1, 4, 7},
    }
    assert len(points) == 4 * 3 * 2 * 1 * 3


def test_a_grid_of_real_numbers_is_refused():
    with pytest.raises(
        ConfigError,
        match=(
            r"sampler `grid` cannot try every value of `lr`; write it as "
            r"choice\(...\), int"
        ),
    ):
        GridSampler(FeasibleSpace(SPACE, count, 5000))


LARGE = parse_space(
    [*(f"w{i}=choice(2,3,5,8,12,20,32,50,64,80)" for i in range(6))],
    is_group=lambda _: False,
    own_space=lambda _: {},
)


class Counting:
    """A count of stacked layers that knows how often it was asked."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, params):
        self.calls += 1
        return sum(params[f"w{i}"] * params[f"w{i + 1}"] for i in range(5))


def test_a_grid_is_counted_as_its_trials_come_and_another_process_goes_on_from_there():
    counts, study = (
        [Counting(), Counting()],
        optuna.create_study(directions=["minimize", "maximize"]),
    )
    for count_of_process in counts:
        study.sampler = GridSampler(FeasibleSpace(LARGE, count_of_process, 5000))
        for _ in range(30):
            told(study, [])
    configurations = {frozenset(trial.params.items()) for trial in study.trials}

    assert len(configurations) == 60
    assert max(count_of_process.calls for count_of_process in counts) < 500
    assert all(Counting()(trial.params) <= 5000 for trial in study.trials)


def test_the_counts_that_are_kept_are_bounded(monkeypatch):
    monkeypatch.setattr(costs, "CACHE_SIZE", 100)
    feasible = FeasibleSpace(LARGE, Counting(), 5000)
    grid = Grid(LARGE, feasible.branches)
    for index in range(300):
        feasible.verify_fits(grid.at(index))

    assert len(feasible.costs._exact) == 100
    assert len(feasible.costs._structures) <= 100


def test_trials_of_several_processes_are_each_configuration_of_a_grid_once():
    """Also where a condition leaves out what two configurations differ in, and one
    value is given twice.
    """
    lines = ["a=choice(1,2,1)", "b=range(1,9)", "c=tag('if a == 2',choice(1,5,9))"]
    space = parse_space(lines, is_group=lambda _: False, own_space=lambda _: {})
    samplers = [
        GridSampler(FeasibleSpace(space, lambda p: p["a"] * p["b"] * p.get("c", 1), 12))
        for _ in range(2)
    ]
    study = optuna.create_study(directions=["minimize", "maximize"])
    expected = {frozenset(point.items()) for point in samplers[0].points}
    while samplers[len(study.trials) % 2].has_trial(study, len(study.trials)):
        study.sampler = samplers[len(study.trials) % 2]
        told(study, [])

    assert len(study.trials) == len(expected) == 9 + (6 + 1 + 0)
    assert {frozenset(trial.params.items()) for trial in study.trials} == expected
    assert not any(sampler.has_trial(study, len(expected)) for sampler in samplers)
    assert all(
        sampler.has_trial(study, number)
        for sampler in samplers
        for number in range(len(expected))
    )


def test_a_grid_that_no_machine_holds_is_refused():
    space = Space(common={f"w{i}": IntDistribution(2, 32) for i in range(5)})

    with pytest.raises(
        ConfigError,
        match=(
            r"sampler `grid` would try 28,629,151 configurations, the cap aside; "
            r"expected at most 1,000,000"
        ),
    ):
        GridSampler(FeasibleSpace(space))


def test_nothing_is_drawn_for_a_whole_configuration_that_is_enqueued():
    study = optuna.create_study(
        directions=["minimize", "maximize"],
        sampler=FrontSampler(FeasibleSpace(SPACE, count, 5000)),
    )
    study.enqueue_trial({**{f"w{i}": 4 for i in range(5)}, "k": 3, "lr": 0.5})
    told(study, [])

    assert read_note(study.trials[0], DRAWN) is None


def test_a_sampler_that_draws_with_numpy_works_on_a_database(tmp_path):
    class Numpy(optuna.samplers.RandomSampler):
        def sample_independent(self, *arguments):
            return np.int64(super().sample_independent(*arguments))

    feasible = FeasibleSpace(Space(common={"w": IntDistribution(2, 32)}))
    study = optuna.create_study(
        sampler=FeasibleSampler(lambda seed: Numpy(seed=seed), feasible, n_startup=0),
        storage=f"sqlite:///{tmp_path}/o.db",
    )

    assert 2 <= study.ask().suggest_int("w", 2, 32) <= 32
