import json
import os
import subprocess
import sys

import optuna
import psutil
import pytest
from optuna.trial import TrialState

from paretune.errors import StoreError, SweepError
from paretune.search import current_trial
from paretune.search.feasible import FeasibleSampler
from paretune.search.space import parse_space
from paretune.search.study import claim, finished, open_study, reclaim
from paretune.search.worker import Interrupted, Sweep, work

SPACE = parse_space(["x=interval(0,1)"], is_group=lambda _: False, own_space=lambda _: {})
DIRECTIONS = ["minimize", "maximize"]


def sampler(space=SPACE) -> FeasibleSampler:
    return FeasibleSampler(lambda seed: optuna.samplers.RandomSampler(seed=seed), space)


@pytest.fixture
def study(tmp_path) -> optuna.Study:
    return open_study("small", f"sqlite:///{tmp_path}/new/optuna.db", DIRECTIONS, sampler())


def sweep(n_trials: int, max_failure_rate: float = 0.5) -> Sweep:
    return Sweep("small", n_trials, SPACE, max_failure_rate)


def square(trial, overrides):
    x = float(overrides[0].removeprefix("x="))
    return x, x * x


def test_a_worker_stops_at_the_total_and_a_larger_total_adds_the_difference(study):
    numbers = []
    for total in (3, 3, 5):
        work(study, sweep(total), lambda trial, o: numbers.append(trial.number) or square(trial, o))

    assert numbers == [0, 1, 2, 3, 4]
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 5


def test_the_task_sees_its_trial(study):
    seen = []
    work(study, sweep(1), lambda trial, o: seen.append(current_trial()) or square(trial, o))

    assert (seen[0].sweep, seen[0].number, seen[0].attempt, list(seen[0].searched)) == ("small", 0, 0, ["x"])
    assert current_trial() is None


def test_trials_that_fail_are_failed_and_the_sweep_goes_on(study):
    def objective(trial, overrides):
        if trial.number == 1:
            raise RuntimeError("out of luck")  # noqa: EM101
        return (float("nan"), 1.0) if trial.number == 2 else square(trial, overrides)

    work(study, sweep(5), objective)

    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "FAIL", "FAIL", "COMPLETE", "COMPLETE"]


def test_a_sweep_stops_when_too_many_trials_fail(study):
    with pytest.raises(
        SweepError, match=r"sweep `small` stops: 3 trials of 10 failed, more than the share 0.2 it allows"
    ):
        work(study, sweep(10, max_failure_rate=0.2), lambda *_: 1 / 0)
    assert len(finished(study)) == 3


@pytest.mark.parametrize(
    ("returned", "shown"), [(1.0, "1.0"), ((1, 2, 3), r"\(1, 2, 3\)"), (("a", 1), r"\('a', 1\)"), (None, "None")]
)
def test_a_task_that_returns_something_else_fails_with_what_was_expected(study, caplog, returned, shown):
    with pytest.raises(SweepError):
        work(study, sweep(1), lambda *_: returned)
    assert f"returned `{returned}`; expected 2 numbers, one for each direction" in caplog.text


def test_an_interrupted_trial_goes_back_in_the_queue_and_runs_as_itself(study):
    """Ctrl-C during trial 1: the next start runs trial 1 again, with the same draw, as its second attempt."""
    seen = []

    def objective(trial, overrides):
        seen.append((trial.number, trial.attempt, overrides))
        if len(seen) == 2:
            raise KeyboardInterrupt
        return square(trial, overrides)

    with pytest.raises(Interrupted):
        work(study, sweep(3), objective)
    work(study, sweep(3), objective)

    assert [number for number, *_ in seen] == [0, 1, 1, 2]
    assert seen[1][2] == seen[2][2]
    assert [attempt for _, attempt, _ in seen] == [0, 0, 1, 0]
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 3


def test_the_trial_of_a_killed_process_is_taken_back(study, tmp_path):
    """Another process claims a trial and dies with SIGKILL; a living one's trial is left alone."""
    code = (
        "import os, signal, sys, optuna\n"
        "from paretune.search.study import claim\n"
        f"trial = optuna.load_study(study_name='small', storage='sqlite:///{tmp_path}/new/optuna.db').ask()\n"
        "claim(trial)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=False)
    mine = study.ask()
    claim(mine)

    assert reclaim(study) == 1
    assert [trial.state for trial in study.trials] == [TrialState.WAITING, TrialState.RUNNING]


def test_a_process_number_that_was_given_again_is_another_process(study):
    trial = study.ask()
    identity = {"host": os.uname().nodename, "pid": os.getpid(), "started": psutil.Process().create_time() - 60}
    trial.set_user_attr("worker", json.dumps(identity))

    assert reclaim(study) == 1


def test_other_directions_than_the_stored_ones_are_refused(tmp_path):
    url = f"sqlite:///{tmp_path}/optuna.db"
    open_study("small", url, DIRECTIONS, sampler())

    with pytest.raises(StoreError, match=r"study `small` optimises \['minimize', 'maximize'\], not \['maximize'\]"):
        open_study("small", url, ["maximize"], sampler())


def test_a_storage_that_cannot_be_used_is_one_line(tmp_path):
    (tmp_path / "optuna.db").write_text("no database at all, but long enough to have a header")

    with pytest.raises(
        StoreError, match=r"study storage `sqlite:///.*optuna.db` cannot be used \(.*\); expected an SQLAl"
    ):
        open_study("small", f"sqlite:///{tmp_path}/optuna.db", DIRECTIONS, sampler())
