"""Who has a trial, whatever other processes do at the same time, and whatever the local
time is.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from paretune.errors import SweepError
from paretune.search import claims
from paretune.search.claims import (
    ask,
    cut_off,
    fail,
    find_in_hand,
    read_worker,
    reclaim,
    requeue,
    retry_failed,
)
from paretune.search.storage import read_trial
from paretune.search.study import list_running, open_study, read_end_s, read_reason
from search.settings import LIMITS, up_to

TESTS = Path(__file__).parents[1]
ROUNDS = 30


def study_at(url: str | None) -> optuna.Study:
    return open_study("s", url, ["minimize"], optuna.samplers.RandomSampler())


def ask_and_take_away(url: str) -> None:
    """Ask again and again for one of three trials, and put all that run back, as if
    their workers had been silent for too long.
    """
    study = study_at(url)
    for _ in range(ROUNDS):
        if asked := ask(study, up_to(3)):
            print(asked[0].number, asked[1], flush=True)
        for trial in list_running(study):
            requeue(study, trial)


def contend(url: str, processes: int) -> list[list[str]]:
    """What each of several processes printed that did so at the same time: the trials
    it had, and which attempt at each.
    """
    study_at(url)
    code = (
        f"from search.test_claims import ask_and_take_away; ask_and_take_away({url!r})"
    )
    command = [sys.executable, "-W", "ignore", "-c", code]
    crowd = [
        subprocess.Popen(command, cwd=TESTS, stdout=subprocess.PIPE, text=True)
        for _ in range(processes)
    ]
    return [worker.communicate()[0].splitlines() for worker in crowd]


def assert_each_attempt_has_one_worker(url: str) -> None:
    had = contend(url, processes=2)
    attempts = sorted(line for lines in had for line in lines)
    trials = study_at(url).trials

    assert all(had)
    assert attempts == sorted(set(attempts))
    assert len(trials) <= 3
    assert {trial.state for trial in trials} == {TrialState.WAITING}


def test_each_attempt_at_a_trial_has_one_worker(tmp_path):
    assert_each_attempt_has_one_worker(f"sqlite:///{tmp_path}/optuna.db")


@pytest.fixture(params=["memory", "database"])
def study(request, tmp_path) -> optuna.Study:
    return study_at(
        f"sqlite:///{tmp_path}/optuna.db" if request.param == "database" else None
    )


def test_a_sweep_has_no_more_trials_than_it_may_if_several_begin_one_at_once(
    study, monkeypatch
):
    """Another process adds one between the look at the study and the own one."""
    add = claims.add_waiting

    def add_behind_another(study):
        add(study)
        return add(study)

    monkeypatch.setattr(claims, "add_waiting", add_behind_another)

    assert ask(study, up_to(1)) is None
    assert ask(study, up_to(1))[0].number == 0


def test_a_trial_that_is_asked_for_has_its_worker_at_once(study):
    trial, attempt = ask(study, up_to(1))

    assert read_worker(read_trial(study, trial))["pid"]
    assert (read_trial(study, trial).state, attempt) == (TrialState.RUNNING, 0)
    assert ask(study, up_to(1)) is None
    assert reclaim(study, retry=1) == 0


@pytest.mark.parametrize(
    "change", [requeue, lambda study, trial: fail(study, trial, "a reason")]
)
def test_who_has_read_a_trial_before_it_changed_hands_changes_nothing(study, change):
    """It was away for minutes; meanwhile the trial was put back, and another process
    has it.
    """
    ask(study, up_to(1))
    (seen,) = study.get_trials(deepcopy=True)
    requeue(study, seen)
    trial, _ = ask(study, up_to(1))
    before = read_worker(read_trial(study, trial))

    assert not change(study, seen)
    assert read_worker(read_trial(study, trial)) == before
    assert read_trial(study, trial).state is TrialState.RUNNING


def test_a_running_trial_that_nobody_has_is_taken_back_at_once(study):
    """As an earlier version left it that was killed between asking and claiming."""
    study.ask()

    assert find_in_hand(study, list_running(study)) == set()
    assert reclaim(study, retry=1) == 1


def test_a_trial_with_a_number_beyond_the_total_waits_for_a_larger_one(study):
    for _ in range(3):
        ask(study, up_to(3))
    for trial in list_running(study):
        requeue(study, trial)

    assert [ask(study, up_to(2))[0].number for _ in range(2)] == [0, 1]
    assert ask(study, up_to(2)) is None
    assert ask(study, up_to(3))[0].number == 2


@pytest.fixture
def in_zone(monkeypatch) -> Iterator[Callable[[str], None]]:
    """Moves this process to a time zone."""

    def move(zone: str) -> None:
        monkeypatch.setenv("TZ", zone)
        time.tzset()

    yield move
    monkeypatch.undo()
    time.tzset()


# The last: daylight saving ends.
ZONES = [("UTC-14", "UTC+12"), ("UTC+12", "UTC-14"), ("CEST-2", "CET-1")]


@pytest.mark.parametrize(("first", "second"), ZONES)
def test_an_orphan_is_taken_back_and_a_worker_is_alive_in_any_zone(
    study, in_zone, first, second
):
    in_zone(first)
    ask(study, up_to(2))
    study.ask()
    in_zone(second)

    assert find_in_hand(study, list_running(study)) == {0}
    assert reclaim(study, retry=1) == 1


@pytest.mark.parametrize(("first", "second"), ZONES)
def test_what_failed_first_is_told_by_seconds_not_by_the_local_time(
    study, in_zone, first, second
):
    began_s = time.time()
    for zone, reason in ((first, "the cause"), (second, "what followed")):
        in_zone(zone)
        fail(study, ask(study, up_to(2))[0], reason)

    assert all(began_s <= read_end_s(trial) <= time.time() for trial in study.trials)
    with pytest.raises(SweepError, match=r"2 trials of 2 failed.*trial 0: the cause;"):
        replace(LIMITS, n_trials=2, max_failure_rate=0).reached(study)


def test_a_failed_trial_is_queued_again_as_it_was_drawn(tmp_path):
    study = study_at(f"sqlite:///{tmp_path}/optuna.db")
    trial, _ = ask(study, up_to(1))
    x = trial.suggest_float("x", 0, 1)
    fail(study, trial, "a bug")

    assert retry_failed(study) == [0]
    again, attempt = ask(study, up_to(1))
    assert (again.number, attempt, again.params) == (0, 1, {"x": x})
    assert read_reason(read_trial(study, again)) == ""


def test_a_trial_that_runs_again_may_die_as_often_as_a_new_one(tmp_path):
    study = study_at(f"sqlite:///{tmp_path}/optuna.db")
    for _ in range(2):
        trial, _ = ask(study, up_to(1))
        cut_off(study, trial, retry=1)
    assert retry_failed(study) == [0]

    trial, _ = ask(study, up_to(1))
    cut_off(study, trial, retry=1)
    assert read_trial(study, trial).state is TrialState.WAITING


def test_complete_trials_do_not_run_again(study):
    trial, _ = ask(study, up_to(2))
    study.tell(trial, 1.0)

    assert retry_failed(study) == []
    assert ask(study, up_to(2))[0].number == 1
