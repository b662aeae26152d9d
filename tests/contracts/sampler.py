"""What every sampler under a cap promises. A new one inherits the suite by defining
``make``.
"""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import optuna
import pytest
from optuna.trial import create_trial

from paretune.errors import CapError
from paretune.search.capped_sampler import START_EXPONENT, CappedSampler
from paretune.search.caps import Caps
from paretune.search.claims import requeue
from paretune.search.feasible_space import FeasibleSpace
from paretune.search.space_parser import parse_space
from paretune.search.storage import suggest

SPACE = parse_space(
    [
        *(f"w{i}=tag(log,int(interval(2,64)))" for i in range(5)),
        "k=choice(1,3)",
        "lr=interval(0,1)",
    ],
    is_group=lambda _: False,
    own_space=lambda _: {},
)
BRANCHES = {
    "model=a": {"w": "tag(log,int(interval(1,50)))"},
    "model=b": {"w": "tag(log,int(interval(1,20)))", "v": "int(interval(1,20))"},
}
CONDITIONAL = parse_space(
    ["model=choice(a,b)", "lr=interval(0,1)"],
    is_group=lambda key: key == "model",
    own_space=lambda own: BRANCHES[own[-1]],
)
DEEP = parse_space(
    [
        "depth=range(1,5)",
        "w0=tag(log,int(interval(2,64)))",
        "optimizer=choice(a,b)",
        "lr=interval(0,1)",
        *(f"w{i}=tag(log,'if depth > {i}',int(interval(2,64)))" for i in range(1, 5)),
    ],
    is_group=lambda _: False,
    own_space=lambda _: {},
)


def deep_count(params: dict[str, object]) -> int:
    """A stack of as many layers as ``depth`` says, on one input and with one output."""
    widths = [1, *(params[f"w{i}"] for i in range(params["depth"])), 1]
    return sum(a * b for a, b in pairwise(widths))


def count(params: dict[str, object]) -> int:
    """A stack of five convolutions with bias on one channel."""
    channels = [1, *(params[f"w{i}"] for i in range(5))]
    return sum((a * params["k"] ** 2 + 1) * b for a, b in pairwise(channels))


def count_layered(params: dict) -> dict:
    """The count as before, and the memory in use at each layer, of which the largest is
    the cost.
    """
    widths = [params[f"w{i}"] for i in range(5)]
    sides = (28, 28, 14, 7, 7)
    sizes = [784, *(width * side**2 for width, side in zip(widths, sides, strict=True))]
    return {
        "params": count(params),
        "ram": [a + b for a, b in pairwise(sizes)],
        "unlimited": 7,
    }


TWO_CAPS = Caps({"params": 5000, "ram": 9000}, "params", {"ram": "bytes of RAM"})


def conditional_count(params: dict[str, object]) -> int:
    return (
        params["a/w"] * 30 if params["model"] == "a" else params["b/w"] * params["b/v"]
    )


def asked(
    sampler: CappedSampler, n: int, score: Callable[[dict], float] | None = None
) -> list[dict[str, object]]:
    """``n`` trials of a study that scores them, and their parameters."""
    study, trials = (
        optuna.create_study(directions=["minimize", "maximize"], sampler=sampler),
        [],
    )
    for _ in range(n):
        trials = told(study, trials, score)
    return trials


def told(
    study: optuna.Study,
    trials: list[dict[str, object]],
    score: Callable[[dict], float] | None = None,
) -> list[dict[str, object]]:
    """``trials`` and one more of the study, which scores it."""
    feasible, trial = study.sampler.feasible, study.ask()
    space = feasible.space
    params = {name: suggest(trial, name, dist) for name, dist in space.choices.items()}
    for name, dist in space.distributions(space.branch_of(params)).items():
        if space.is_active(name, params):
            params[name] = suggest(trial, name, dist)
    cost = feasible.cost(params)
    study.tell(trial, [cost, score(params) if score else 1 - 1 / (2 + cost)])
    return [*trials, params]


class SamplerContract:
    """Tests of what ``make(feasible, seed)`` returns."""

    def make(self, feasible: FeasibleSpace, seed: int = 0) -> CappedSampler:
        raise NotImplementedError

    def test_a_trial_that_broke_off_is_given_the_same_draw_again(self, tmp_path):
        """Half of it was handed over, and meanwhile the sampler has learnt."""
        sampler, storage = (
            self.make(FeasibleSpace(SPACE, count, 5000)),
            f"sqlite:///{tmp_path}/optuna.db",
        )
        study = optuna.create_study(
            directions=["minimize", "maximize"], sampler=sampler, storage=storage
        )
        first = study.ask()
        suggest(first, "w0", SPACE.common["w0"])
        for score in range(12):
            study.add_trial(
                create_trial(
                    params=first.relative_params,
                    distributions=SPACE.common,
                    values=[100, score / 99],
                )
            )
        requeue(study, first)
        again = study.ask()

        assert again.number == first.number
        assert again.relative_params == first.relative_params

    @pytest.mark.parametrize(
        ("space", "counted", "cap", "enqueued"),
        [
            (SPACE, count, 1000, {"w2": 40}),
            (SPACE, count, 1000, {"w4": 30, "k": 3, "lr": 0.5}),
            (DEEP, deep_count, 500, {"depth": 5}),
            (CONDITIONAL, conditional_count, 300, {"model": "b", "b/v": 20}),
        ],
    )
    def test_what_is_enqueued_with_some_of_its_parameters_is_completed_under_the_cap(
        self, space, counted, cap, enqueued
    ):
        """At the start and after it."""
        for number in (0, 21):
            sampler = self.make(FeasibleSpace(space, counted, cap))
            study, trials = (
                optuna.create_study(
                    directions=["minimize", "maximize"], sampler=sampler
                ),
                [],
            )
            for n in range(number + 1):
                if n == number:
                    study.enqueue_trial(enqueued)
                trials = told(study, trials)

            assert enqueued.items() <= trials[-1].items()
            assert max(map(counted, trials)) <= cap

    def test_what_is_enqueued_and_never_fits_is_refused(self):
        study = optuna.create_study(
            directions=["minimize", "maximize"],
            sampler=self.make(FeasibleSpace(SPACE, count, 500)),
        )
        study.enqueue_trial({"w0": 64, "w1": 64})

        with pytest.raises(
            CapError,
            match=(
                r"trial 0, enqueued with `\{'w0': 64, 'w1': 64\}`, has 4,\d+ "
                r"parameters, over the cap of 500"
            ),
        ):
            told(study, [])

    @pytest.mark.parametrize("cap", [100, 1000, 20_000])
    def test_nothing_over_the_cap_is_ever_proposed(self, cap):
        assert (
            max(
                count(params)
                for params in asked(self.make(FeasibleSpace(SPACE, count, cap)), 40)
            )
            <= cap
        )

    def test_forty_trials_reach_every_tenth_of_the_costs(self):
        """Tenths of the way that the start goes, from the smallest configuration to the
        cap.
        """
        feasible = FeasibleSpace(SPACE, count, 5000)
        tenths = 10 * feasible.shares_of(asked(self.make(feasible), 40), START_EXPONENT)

        assert set(np.minimum(tenths.astype(int), 9)) == set(range(10))

    def test_the_first_trials_reach_most_tenths_of_the_costs_that_another_cap_leaves(
        self,
    ):
        """Maps fill the memory long before the parameters are used up."""
        caps = Caps({"ram": 9000}, "params")
        feasible = FeasibleSpace(SPACE, count_layered, caps)
        starts = asked(self.make(feasible), 20)
        tenths = 10 * feasible.shares_of(starts)

        assert len(set(np.minimum(tenths.astype(int), 9))) >= 8
        assert len({frozenset(params.items()) for params in starts}) == 20

    def test_a_seed_and_a_number_make_the_same_draw(self):
        draws = [
            asked(self.make(FeasibleSpace(SPACE, count, 5000), seed), 25)
            for seed in (1, 1, 2)
        ]

        assert draws[0] == draws[1] != draws[2]

    def test_nothing_is_proposed_twice(self):
        draws = [
            frozenset(params.items())
            for params in asked(self.make(FeasibleSpace(SPACE, count, 100)), 40)
        ]

        assert len(set(draws)) == len(draws)

    def test_each_branch_gets_its_own_parameters_and_both_are_tried(self):
        draws = asked(self.make(FeasibleSpace(CONDITIONAL, conditional_count, 300)), 40)

        assert {params["model"] for params in draws} == {"a", "b"}
        assert all(("b/v" in params) == (params["model"] == "b") for params in draws)
        assert max(conditional_count(params) for params in draws) <= 300

    def test_every_depth_is_tried_with_the_widths_of_its_layers_alone(self):
        draws = asked(self.make(FeasibleSpace(DEEP, deep_count, 2000)), 40)

        assert {params["depth"] for params in draws} == {1, 2, 3, 4, 5}
        assert all(
            (f"w{i}" in params) == (params["depth"] > i)
            for params in draws
            for i in range(5)
        )
        assert max(map(deep_count, draws)) <= 2000
