from dataclasses import replace

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import TrialState

from paretune.errors import ConfigError
from paretune.front import front
from paretune.search.feasible_sampler import FeasibleSampler
from paretune.search.feasible_space import FeasibleSpace
from paretune.search.front_sampler import FrontSampler
from paretune.search.racing import Race, check_race, judge, read_rung_scores, stays
from paretune.search.space_parser import parse_space
from paretune.search.study import open_study
from paretune.search.worker import Sweep, work
from search.settings import LIMITS, RACE
from strategies import finite_costs

SPACE = parse_space(
    ["x=int(interval(1,200))"], is_group=lambda _: False, own_space=lambda _: {}
)


@given(finite_costs, st.integers(2, 5))
def test_whoever_is_on_the_front_of_a_rung_stays(costs, eta):
    assert all(
        stays(costs, int(member), replace(RACE, eta=eta)) for member in front(costs)
    )


@given(finite_costs, st.integers(2, 5))
def test_who_is_dominated_by_a_whole_share_does_not_stay(costs, eta):
    for mine, row in enumerate(costs):
        dominating = sum(
            bool(other[0] <= row[0] and other[1] < row[1]) for other in costs
        )
        if dominating >= len(costs) / eta:
            assert not stays(costs, mine, replace(RACE, eta=eta, margin=0))


def test_the_first_to_arrive_stays():
    assert stays([(5.0, 5.0)], 0, RACE)


def test_who_is_close_to_the_front_stays_whatever_its_rank():
    """Ten trials of one size, a hundredth apart in error."""
    costs = [(100, 0.20 + 0.01 * i) for i in range(10)]

    assert [stays(costs, i, replace(RACE, eta=5, margin=0.0)) for i in range(10)] == [
        True
    ] * 2 + [False] * 8
    assert [stays(costs, i, replace(RACE, eta=5, margin=0.21)) for i in range(10)] == [
        True
    ] * 5 + [False] * 5


def test_rungs_grow_by_eta():
    assert replace(RACE, eta=3, rungs=3, min_epochs=2).epochs() == [2, 6, 18]


@pytest.mark.parametrize(
    "wrong", [{"eta": 1}, {"rungs": 0}, {"min_epochs": 0}, {"margin": -0.1}]
)
def test_a_race_that_compares_nothing_is_refused(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(
        ConfigError,
        match=rf"hydra.sweeper.race.{name} `{value}` is invalid; expected a .*of at least \d",
    ):
        replace(RACE, **wrong)


def raced_study(tmp_path, n: int) -> tuple[optuna.Study, list[int]]:
    """Trials of four epochs whose scores say at once whether they are good; and the
    epochs that each ran.
    """
    sampler = FeasibleSampler(
        lambda seed: optuna.samplers.RandomSampler(seed=seed), FeasibleSpace(SPACE)
    )
    study = open_study(
        "raced", f"sqlite:///{tmp_path}/optuna.db", ["minimize", "maximize"], sampler
    )
    epochs_run = []

    def objective(trial, overrides):
        cost = int(overrides[0].removeprefix("x="))
        quality = 0.3 if cost % 3 else 0.9
        epochs_run.append(0)
        for epoch in range(1, 5):
            epochs_run[-1] = epoch
            trial.report(epoch, cost, quality * epoch / 4)
        return cost, quality

    work(
        study,
        Sweep("raced", SPACE, replace(LIMITS, n_trials=n), race=replace(RACE, eta=2)),
        objective,
    )
    return study, epochs_run


def test_a_raced_sweep_stops_the_dominated_and_keeps_the_front(tmp_path):
    study, epochs_run = raced_study(tmp_path, 40)
    states = [trial.state for trial in study.trials]

    assert len(states) == 40
    assert states.count(TrialState.PRUNED) > 10
    assert all(trial.state is TrialState.COMPLETE for trial in study.best_trials)
    assert sum(epochs_run) < 0.75 * 4 * 40


def test_a_configuration_that_was_asked_for_is_not_stopped(tmp_path):
    study, _ = raced_study(tmp_path, 20)
    for x in (199, 200):  # the dearest, with the poorer of two scores
        study.enqueue_trial({"x": x})
    raced_study(tmp_path, 22)

    assert [trial.state for trial in study.trials[20:]] == [TrialState.COMPLETE] * 2


def test_a_stopped_trial_keeps_what_it_had(tmp_path):
    study, _ = raced_study(tmp_path, 20)
    stopped = next(trial for trial in study.trials if trial.state is TrialState.PRUNED)
    (epoch, score), *_ = read_rung_scores(stopped.user_attrs).items()

    assert score == pytest.approx((0.3 if stopped.params["x"] % 3 else 0.9) * epoch / 4)


def test_raced_trials_teach_the_front_sampler():
    """Trials around 100 were stopped with scores far above all others, or far below:
    that is where to look, or not.
    """
    narrow = parse_space(
        ["x=int(interval(60,200))"], is_group=lambda _: False, own_space=lambda _: {}
    )
    feasible, space = (
        FeasibleSpace(narrow, lambda params: params["x"], cap=200),
        narrow.all_distributions(),
    )
    ends = {60: 0.3, 65: 0.31, 70: 0.32, 75: 0.33, 150: 0.34, 175: 0.35, 200: 0.36}

    def trial(x: int, early: float, end: float | None) -> optuna.trial.FrozenTrial:
        attrs, state = (
            {"rung:3": [x, early]},
            TrialState.PRUNED if end is None else TrialState.COMPLETE,
        )
        values = None if end is None else [x, end]
        return optuna.create_trial(
            params={"x": x},
            distributions=space,
            values=values,
            state=state,
            user_attrs=attrs,
        )

    def propose(trials: list[optuna.trial.FrozenTrial], seed: int) -> int:
        study = optuna.create_study(
            directions=["minimize", "maximize"],
            sampler=FrontSampler(feasible, n_startup=0, seed=seed),
        )
        study.add_trials(trials)
        return study.ask(space).params["x"]

    done = [trial(x, end - 0.05, end) for x, end in ends.items()]
    n_near = {}
    for early in (0.05, 0.9):
        raced = [trial(x, early, None) for x in (90, 95, 100, 105, 110)]
        proposed = [propose([*done, *raced], seed) for seed in range(5)]
        n_near[early] = sum(80 <= x <= 115 for x in proposed)

    assert n_near[0.05] < n_near[0.9] == 5


def test_a_race_wants_a_cost_and_a_score():
    for directions in (
        ["minimize", "minimize"],
        ["maximize", "minimize"],
        ["maximize"],
    ):
        with pytest.raises(
            ConfigError,
            match=(
                r"race `eta=4` ranks trials by a cost and a score.*set "
                r"hydra.sweeper.direction"
            ),
        ):
            check_race(RACE, directions)
    check_race(RACE, ["minimize", "maximize"])


def test_what_is_no_number_stays_at_no_rung_and_is_compared_with_nobody():
    study = optuna.create_study(directions=["minimize", "maximize"])
    trial, race = study.ask(), Race(eta=3, rungs=2, min_epochs=1, margin=0.1)

    assert not judge(study, trial, race)(1, [100.0, float("nan")])
    assert not read_rung_scores(study.trials[0].user_attrs)
    assert judge(study, trial, race)(2, [100.0, float("nan")])  # between rungs
