"""Trials that wait at rungs: which goes on, and that a sweep trains no epoch twice."""

import signal
import subprocess
import sys
import textwrap
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import TrialState

from paretune.errors import Paused
from paretune.pause import Pause
from paretune.search.asks import ASK_S, note_ask
from paretune.search.claims import ask, needs_worker, pause, reclaim
from paretune.search.feasible_sampler import FeasibleSampler
from paretune.search.feasible_space import FeasibleSpace
from paretune.search.front_sampler import FrontSampler
from paretune.search.observations import History
from paretune.search.pausing import list_paused, read_pause
from paretune.search.racing import Race, decide_pause
from paretune.search.space_parser import parse_space
from paretune.search.storage import read_note
from paretune.search.study import open_study
from paretune.search.worker import Sweep, work
from search.settings import LIMITS, up_to

TESTS = Path(__file__).parents[1]
SPACE = parse_space(
    ["x=int(interval(1,200))"], is_group=lambda _: False, own_space=lambda _: {}
)
RACE = Race(eta=3, rungs=2, min_epochs=1, margin=0.0, pause=True, pause_from_s=0)
EPOCHS = 9
LAST = [1, 3, EPOCHS]


def count(params):
    return params["x"]


def make_sampler(kind: str):
    feasible = FeasibleSpace(SPACE, count, 200)
    if kind == "front":
        return FrontSampler(feasible, n_startup=4)
    return FeasibleSampler(
        lambda seed: optuna.samplers.RandomSampler(seed=seed), feasible
    )


def open_here(kind: str = "random", url: str | None = None) -> optuna.Study:
    return open_study("s", url, ["minimize", "maximize"], make_sampler(kind))


class Task:
    """Trains nothing: a trial's scores rise towards one that is its own."""

    def __init__(self, ends: list[float]) -> None:
        self.ends = ends
        self.trained: dict[int, list[int]] = defaultdict(list)

    def __call__(self, trial, overrides) -> tuple[float, float]:
        cost = float(overrides[0].split("=")[1])
        end = self.ends[trial.number % len(self.ends)]
        score = 0.0
        for epoch in range(trial.waited_at + 1, EPOCHS + 1):
            self.trained[trial.number].append(epoch)
            score = end * (1 - 0.5**epoch)
            if trial.report_or_wait(epoch, cost, score) and epoch < EPOCHS:
                raise Paused(epoch, 0.1)
        return cost, score


def run(study: optuna.Study, task: Task, n_trials: int) -> None:
    limits = replace(LIMITS, n_trials=n_trials)
    work(study, Sweep("s", SPACE, limits, RACE), task, to_the_end=True)


@settings(max_examples=15)
@given(
    st.lists(st.floats(0.1, 0.999), min_size=1, max_size=12),
    st.integers(1, 12),
    st.sampled_from(["random", "front"]),
)
def test_no_epoch_is_trained_twice_and_no_trial_is_left(ends, n_trials, kind):
    study, task = open_here(kind), Task(ends)
    run(study, task, n_trials)

    states = {trial.state for trial in study.trials}
    assert len(study.trials) == n_trials
    assert states <= {TrialState.COMPLETE, TrialState.PRUNED}
    assert TrialState.COMPLETE in states
    for epochs in task.trained.values():
        assert epochs == list(range(1, len(epochs) + 1))
        assert len(epochs) in LAST


def test_a_trial_that_is_asked_for_does_not_wait():
    study, task = open_here(), Task([0.1])
    study.enqueue_trial({"x": 150})
    run(study, task, 6)

    assert study.trials[0].state is TrialState.COMPLETE
    assert read_pause(study.trials[0]) is None


@pytest.mark.parametrize("race", [None, replace(RACE, pause=False), RACE])
def test_a_task_that_waits_without_being_asked_to_fails(race):
    """At the second epoch there is no rung."""

    def leave(trial, overrides):
        if race:
            trial.report_or_wait(2, 3.0, 0.5)
        raise Paused(2, 0.1)

    study = open_here("front")
    limits = replace(LIMITS, n_trials=3, max_failure_rate=1.0)
    work(study, Sweep("s", SPACE, limits, race), leave, to_the_end=True)

    assert {trial.state for trial in study.trials} == {TrialState.FAIL}
    assert "raised Paused after epoch 2" in study.trials[0].user_attrs["reason"]


def test_asks_of_all_attempts_at_a_trial_add_up():
    study = open_here()
    trial, _ = ask(study, up_to(1), RACE)
    note_ask(study, trial, 0.5)
    note_ask(study, trial, 0.25)

    assert read_note(trial, ASK_S) == 0.75


@pytest.mark.parametrize("kind", ["random", "front"])
def test_what_a_trial_had_when_it_waited_teaches_while_it_goes_on(kind):
    study = open_here(kind)
    wait_at_first_rung(study, 0.9)
    waiting = History.read(study.trials, 1, number=9)
    trial, _ = ask(study, up_to(1), RACE)
    trial.set_user_attr("rung:3", [3.0, 0.95])
    going_on = History.read(study.trials, 1, number=9)

    assert going_on.seen == waiting.seen
    assert (len(going_on.running), len(going_on.waiting)) == (1, 0)


def train_beside_others(url: str) -> None:
    """A worker of six trials; prints each epoch that it trains."""
    task = Task([0.5, 0.9, 0.7])
    run(open_here("front", url), task, 6)
    for number, epochs in task.trained.items():
        for epoch in epochs:
            print(number, epoch)


def test_several_workers_train_no_epoch_twice(tmp_path):
    url = f"sqlite:///{tmp_path}/optuna.db"
    study = open_here("front", url)
    code = f"from search.test_waiting import train_beside_others as go; go({url!r})"
    command = [sys.executable, "-W", "ignore", "-c", code]
    crowd = [
        subprocess.Popen(command, cwd=TESTS, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    trained = [
        line for worker in crowd for line in worker.communicate()[0].splitlines()
    ]

    assert len(trained) == len(set(trained)) >= 5 + EPOCHS
    states = [trial.state for trial in study.trials]
    assert states.count(TrialState.COMPLETE) + states.count(TrialState.PRUNED) == 6
    assert TrialState.RUNNING not in states


def test_what_diverged_is_stopped_instead_of_kept():
    study = open_here()
    run(study, Task([float("nan")]), 3)

    assert {trial.state for trial in study.trials} == {TrialState.PRUNED}


@pytest.mark.parametrize(("took_s", "waits"), [(0.5, False), (2.5, True)])
def test_a_short_attempt_goes_on_if_it_may_stay(took_s, waits):
    study = open_here()
    race = replace(RACE, pause_from_s=2.0)
    trial, _ = ask(study, up_to(2), race)
    pauses = decide_pause(study, trial, race, 0, lambda: took_s)

    assert pauses(1, (trial.suggest_int("x", 1, 200), 0.9)) is waits


def test_a_short_attempt_waits_if_it_may_not_stay():
    study = open_here()
    race = replace(RACE, pause_from_s=2.0)
    for score in (0.9, 0.8, 0.7, 0.1):
        study.add_trial(
            optuna.create_trial(
                state=TrialState.RUNNING, user_attrs={"rung:1": [1, score]}
            )
        )
    trial, _ = ask(study, up_to(9), race)

    assert decide_pause(study, trial, race, 0, lambda: 0.5)(1, (150, 0.2))


def wait_at_first_rung(study: optuna.Study, score: float) -> optuna.Trial:
    trial, _ = ask(study, up_to(2), RACE)
    cost = trial.suggest_int("x", 1, 200)
    assert decide_pause(study, trial, RACE, 0, time.monotonic)(1, (cost, score))
    assert pause(study, trial, Pause(1, 0.1))
    return trial


def test_a_trial_that_waits_is_handed_out_again_with_its_draw():
    study = open_here()
    first = wait_at_first_rung(study, 0.9)
    again, attempt = ask(study, up_to(1), RACE)

    assert (again.number, attempt) == (first.number, 1)
    assert again.suggest_int("x", 1, 200) == first.params["x"]


def test_a_waiting_trial_whose_worker_died_later_waits_again(tmp_path):
    """Killed after it went on: what it had at its rung still stands."""
    url = f"sqlite:///{tmp_path}/optuna.db"
    wait_at_first_rung(open_here(url=url), 0.9)
    code = textwrap.dedent(
        f"""
        from search.test_waiting import RACE, open_here, up_to
        from paretune.search.claims import ask
        import os, signal
        ask(open_here(url={url!r}), up_to(1), RACE)
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    killed = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=TESTS, check=False
    )
    assert killed.returncode == -signal.SIGKILL

    study = open_here(url=url)
    assert reclaim(study, retry=3) == 1
    [waiting] = list_paused(study)
    assert read_pause(waiting) == Pause(1, 0.1)


@pytest.mark.parametrize("in_hand", [True, False])
def test_a_worker_is_needed_to_stop_those_that_wait(in_hand):
    """While another trial runs, its worker does it at the end."""
    study = open_here()
    wait_at_first_rung(study, 0.9)
    if in_hand:
        ask(study, up_to(1), RACE)

    assert needs_worker(study, up_to(1), RACE) is not in_hand


def test_the_trials_that_wait_when_the_time_is_over_go_on_later():
    study, task = open_here(), Task([0.5, 0.6, 0.7])
    limits = replace(LIMITS, n_trials=3)
    work(study, Sweep("s", SPACE, limits, RACE), task, at_most=2)
    assert list_paused(study)

    run(study, task, 3)
    assert not list_paused(study)
    assert len(study.trials) == 3
