import json
import os
import pydoc
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from threading import Timer

import optuna
import psutil
import pytest
from optuna.trial import TrialState
from submitit.core.job_environment import SignalHandler
from submitit.core.utils import DelayedSubmission, JobPaths
from submitit.slurm.slurm import SlurmJobEnvironment

from paretune.errors import StoreError, SweepError
from paretune.search import current_trial
from paretune.search.claims import LATEST, ask, read_worker, reclaim, requeue
from paretune.search.feasible_sampler import FeasibleSampler
from paretune.search.feasible_space import FeasibleSpace
from paretune.search.grid_sampler import COUNTED_AT_ONCE, GridSampler
from paretune.search.partial_curves import PartialCurve
from paretune.search.space_parser import parse_space
from paretune.search.storage import note, read_note, read_study_notes
from paretune.search.study import ask_to_stop, list_finished, open_study
from paretune.search.worker import Interrupted, Sweep, work
from search.settings import LIMITS, up_to

SPACE = parse_space(
    ["x=interval(0,1)"], is_group=lambda _: False, own_space=lambda _: {}
)
TESTS = Path(__file__).parents[1]
DIRECTIONS = ["minimize", "maximize"]


def sampler(space=SPACE) -> FeasibleSampler:
    return FeasibleSampler(
        lambda seed: optuna.samplers.RandomSampler(seed=seed), FeasibleSpace(space)
    )


@pytest.fixture
def study(tmp_path) -> optuna.Study:
    return open_study(
        "small", f"sqlite:///{tmp_path}/new/optuna.db", DIRECTIONS, sampler()
    )


def sweep(n_trials: int, max_failure_rate: float = 0.5) -> Sweep:
    return Sweep(
        "small",
        SPACE,
        replace(LIMITS, n_trials=n_trials, max_failure_rate=max_failure_rate),
    )


def claimed(study: optuna.Study) -> optuna.Trial:
    """A trial that this process has asked for."""
    trial, _ = ask(study, up_to(len(study.trials) + 1))
    return trial


def square(trial, overrides):
    x = float(overrides[0].removeprefix("x="))
    return x, x * x


def test_a_worker_stops_at_the_total_and_a_larger_total_adds_the_difference(study):
    numbers = []
    for total in (3, 3, 5):
        work(
            study,
            sweep(total),
            lambda trial, o: numbers.append(trial.number) or square(trial, o),
        )

    assert numbers == [0, 1, 2, 3, 4]
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 5


def test_the_task_sees_its_trial(study):
    seen = []
    work(
        study,
        sweep(1),
        lambda trial, o: seen.append(current_trial()) or square(trial, o),
    )

    assert (seen[0].sweep, seen[0].number, seen[0].attempt, list(seen[0].searched)) == (
        "small",
        0,
        0,
        ["x"],
    )
    assert current_trial() is None


def test_the_study_has_what_a_running_trial_reported_last_until_the_trial_is_put_back(
    study,
):
    def interrupted(trial, overrides):
        trial.report(1, *square(trial, overrides))
        assert read_note(study.get_trials()[0], LATEST)[0] == 1
        raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        work(study, sweep(1), interrupted)

    assert read_note(study.get_trials()[0], LATEST) is None


def test_trials_that_fail_are_failed_and_the_sweep_goes_on(study):
    def objective(trial, overrides):
        if trial.number == 1:
            raise RuntimeError("out of luck")
        return (float("inf"), 1.0) if trial.number == 2 else square(trial, overrides)

    work(study, sweep(5), objective)

    assert [trial.state.name for trial in study.trials] == [
        "COMPLETE",
        "FAIL",
        "FAIL",
        "COMPLETE",
        "COMPLETE",
    ]


def test_a_sweep_stops_when_too_many_trials_fail(study):
    with pytest.raises(
        SweepError,
        match=(
            r"sweep `small` stops: 3 trials of 10 failed, more than the share 0.2 it "
            r"allows"
        ),
    ):
        work(study, sweep(10, max_failure_rate=0.2), lambda *_: 1 / 0)
    assert len(list_finished(study)) == 3


@pytest.mark.parametrize(
    ("returned", "shown"),
    [
        (1.0, "1.0"),
        ((1, 2, 3), r"\(1, 2, 3\)"),
        (("a", 1), r"\('a', 1\)"),
        (None, "None"),
    ],
)
def test_a_task_that_returns_something_else_fails_with_what_was_expected(
    study, caplog, returned, shown
):
    with pytest.raises(SweepError, match="1 trials of 1 failed"):
        work(study, sweep(1), lambda *_: returned)
    assert (
        f"returned `{returned}`; expected 2 finite numbers, one for each direction"
        in caplog.text
    )


def test_an_interrupted_trial_goes_back_in_the_queue_and_runs_as_itself(study):
    """Ctrl-C during trial 1: the next start runs trial 1 again, with the same draw, as
    its second attempt.
    """
    seen = []

    def objective(trial, overrides):
        seen.append((trial.number, trial.attempt, overrides))
        if len(seen) == 2:
            raise KeyboardInterrupt
        return square(trial, overrides)

    with pytest.raises(
        Interrupted, match="trial 1 was interrupted, and is in the queue again"
    ):
        work(study, sweep(3), objective)
    work(study, sweep(3), objective)

    assert [number for number, *_ in seen] == [0, 1, 1, 2]
    assert seen[1][2] == seen[2][2]
    assert [attempt for _, attempt, _ in seen] == [0, 0, 1, 0]
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 3


def test_the_trial_of_a_killed_process_is_taken_back(study, tmp_path):
    """Another process claims a trial and dies with SIGKILL; a living one's trial is
    left alone.
    """
    code = (
        "import os, signal, sys, optuna\n"
        "from paretune.search.claims import ask\n"
        "from search.settings import up_to\n"
        "study = optuna.load_study(study_name='small', "
        f"storage='sqlite:///{tmp_path}/new/optuna.db')\n"
        "ask(study, up_to(1))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=TESTS, check=False)
    claimed(study)

    assert reclaim(study, retry=1) == 1
    assert [trial.state for trial in study.trials] == [
        TrialState.WAITING,
        TrialState.RUNNING,
    ]


def test_a_process_number_that_was_given_again_is_another_process(study):
    trial = study.ask()
    identity = {
        "host": os.uname().nodename,
        "pid": os.getpid(),
        "started": psutil.Process().create_time() - 60,
    }
    note(study, trial, "worker", identity)

    assert reclaim(study, retry=1) == 1


def test_a_trial_that_breaks_off_again_and_again_is_failed(study):
    for _ in range(3):
        trial = claimed(study)
        dead = {"host": os.uname().nodename, "pid": 2**22 + 1, "started": 0.0}
        note(study, trial, "worker", dead)
        reclaim(study, retry=2)

    assert [trial.state for trial in study.trials] == [TrialState.FAIL]
    assert (
        study.trials[0].user_attrs["reason"]
        == "its worker died 3 times (killed, or out of memory or time)"
    )


def test_what_earlier_versions_noted_of_a_trial_in_the_users_attributes_counts(study):
    """A study that was started before goes on: its workers that died are known, and how
    often.
    """
    trial = study.ask()
    dead = {"host": os.uname().nodename, "pid": 2**22 + 1, "started": 0.0}
    for name, value in {"attempt": 2, "deaths": 1, "worker": json.dumps(dead)}.items():
        trial.set_user_attr(name, value)

    assert reclaim(study, retry=2) == 1
    assert read_note(study.trials[0], "deaths") == 2
    assert ask(study, up_to(1))[1] == 3
    assert reclaim(study, retry=2) == 0


def test_stops_and_starts_are_no_deaths(study):
    """A trial that is stopped again and again is not failed for it."""
    for _ in range(5):
        trial = claimed(study)
        requeue(study, trial)

    assert [trial.state for trial in study.trials] == [TrialState.WAITING]
    assert read_note(study.trials[0], "deaths") is None


def test_a_trial_whose_worker_alone_is_terminated_again_and_again_is_failed(study):
    """A scheduler that ends every worker after its time would otherwise have it started
    for ever.
    """
    endings, small = [], sweep(1, max_failure_rate=1.0)
    for _ in range(4):
        with pytest.raises(Interrupted) as caught:
            work(study, small, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
        endings.append(str(caught.value).partition(", and ")[2])

    assert endings == ["is in the queue again"] * 3 + ["counts as failed"]
    assert (
        study.trials[0].user_attrs["reason"]
        == "its worker died 4 times (killed, or out of memory or time)"
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_amid_an_import_is_no_failure_though_pydoc_makes_an_error_of_it(
    study, tmp_path, monkeypatch, number
):
    """Hydra's ``_target_`` and others are found by ``pydoc.locate``."""
    (tmp_path / f"stops_{number.name}.py").write_text(
        f"import os\nos.kill(os.getpid(), {number.value})\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        Interrupted, match="trial 0 was interrupted, and is in the queue again"
    ):
        work(study, sweep(1), lambda *_: pydoc.locate(f"stops_{number.name}.x"))

    assert [trial.state for trial in study.trials] == [TrialState.WAITING]


def test_a_task_that_exits_is_a_failed_trial(study):
    """``sys.exit`` in a task is no interrupt."""
    work(study, sweep(2, max_failure_rate=1.0), lambda *_: sys.exit(3))

    assert [trial.state.name for trial in study.trials] == ["FAIL"] * 2
    assert study.trials[0].user_attrs["reason"] == "the task left with SystemExit(3)"


def test_a_task_that_exits_under_slurm_is_a_failed_trial_too(study, monkeypatch):
    """There, a SystemExit may also come of submitit's handler of a pre-emption."""
    monkeypatch.setenv("SUBMITIT_EXECUTOR", "slurm")
    work(study, sweep(1, max_failure_rate=1.0), lambda *_: sys.exit(3))

    assert study.trials[0].user_attrs["reason"] == "the task left with SystemExit(3)"


@pytest.mark.parametrize("executor", ["slurm", "local"])
def test_a_job_that_submitit_takes_away_puts_its_trial_back(
    study, monkeypatch, tmp_path, executor
):
    """Submitit's handler of the signal has the job queued again, and exits."""
    monkeypatch.setenv("SUBMITIT_EXECUTOR", executor)
    job = SlurmJobEnvironment()
    monkeypatch.setattr(job, "_requeue", lambda countdown: None)
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    handler = SignalHandler(job, JobPaths(tmp_path, "1"), DelayedSubmission(int))

    with pytest.raises(Interrupted, match="trial 0 was interrupted"):
        work(study, sweep(1), lambda *_: handler.checkpoint_and_exit(signal.SIGUSR2))
    assert [trial.state for trial in study.trials] == [TrialState.WAITING]


def test_an_error_of_the_search_space_is_a_failed_trial(study):
    broken = replace(
        sweep(1, max_failure_rate=1.0), suggest=lambda trial, overrides: 1 / 0
    )

    assert work(study, broken, square) == 1
    assert study.trials[0].user_attrs["reason"] == "ZeroDivisionError: division by zero"


def test_of_two_that_find_the_same_orphan_one_takes_it_back(study):
    """Both read the trial as running before either acts."""
    claimed(study)
    (seen,) = study.get_trials(states=[TrialState.RUNNING])

    assert [requeue(study, seen), requeue(study, seen)] == [True, False]


def test_what_comes_of_a_trial_that_went_back_meanwhile_is_dropped(study, caplog):
    """As when a worker was cut off from the database, and another one took its trial
    for orphaned.
    """
    seen = []

    def objective(trial, overrides):
        seen.append(trial.attempt)
        if trial.attempt == 0:
            requeue(study, study.trials[0])
        return square(trial, overrides)

    work(study, sweep(1), objective)

    assert seen == [0, 1]
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE]
    assert "trial 0 is over or in other hands by now" in caplog.text


def test_a_silent_worker_elsewhere_counts_as_gone_when_its_heartbeat_stops(study):
    trial = claimed(study)
    note(study, trial, "worker", {"host": "elsewhere", "pid": 1, "started": 0.0})
    storage = study._storage
    storage.record_heartbeat(trial._trial_id)
    assert reclaim(study, retry=1) == 0

    with storage._backend.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE trial_heartbeats SET heartbeat = '2020-01-01 00:00:00'"
        )
    assert reclaim(study, retry=1) == 1


def test_a_worker_in_a_container_of_the_same_name_is_one_elsewhere(study):
    """Its process numbers say nothing here."""
    trial = claimed(study)
    identity = {
        **read_worker(study.trials[0]),
        "pid": 2**22 + 1,
        "processes": "another boot pid:[1]",
    }
    note(study, trial, "worker", identity)

    assert reclaim(study, retry=1) == 0


def test_workers_stop_before_the_next_trial_when_asked(study):
    def objective(trial, overrides):
        ask_to_stop(study)
        return square(trial, overrides)

    assert work(study, sweep(5), objective) == 1
    ask_to_stop(study, False)
    assert work(study, sweep(5), square) == 4


def test_a_worker_leaves_when_all_trials_are_in_other_hands(study):
    for _ in range(2):
        claimed(study)

    assert work(study, sweep(2), square) == 0
    assert len(study.trials) == 2


def test_a_worker_to_the_end_takes_what_others_drop(study):
    """The other one lets its trial go after two seconds."""
    other = claimed(study)
    Timer(2.0, lambda: requeue(study, other)).start()

    assert work(study, sweep(1), square, to_the_end=True) == 1
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE]


def test_a_further_attempt_has_all_that_the_first_was_given(study):
    """Also what the task itself suggested."""
    seen = []

    def objective(trial, overrides):
        seen.append(overrides)
        if len(seen) == 1:
            raise KeyboardInterrupt
        return 1.0, 0.5

    suggesting = replace(
        sweep(1), suggest=lambda trial, overrides: trial.suggest_float("y", 0, 1)
    )
    with pytest.raises(Interrupted, match="trial 0 was interrupted"):
        work(study, suggesting, objective)
    work(study, suggesting, objective)

    assert seen[0] == seen[1]
    assert [line.split("=")[0] for line in seen[0]] == ["x", "y"]


@pytest.mark.slow
def test_workers_that_are_killed_at_random_leave_exactly_the_total(study, tmp_path):
    """Three processes at a time, one killed every 0.3 s, until a hundred trials are
    finished: none is lost or run twice.
    """
    code = (
        "import time\n"
        "from search.test_worker import DIRECTIONS, open_study, sampler, square, "
        "sweep, work\n"
        f"study = open_study('small', 'sqlite:///{tmp_path}/new/optuna.db', "
        "DIRECTIONS, sampler())\n"
        "work(study, sweep(100), lambda trial, o: time.sleep(0.02) or square(trial, "
        "o))\n"
    )
    workers: list[subprocess.Popen[bytes]] = []
    while len(list_finished(study)) < 100:
        workers = [worker for worker in workers if worker.poll() is None]
        workers += [
            subprocess.Popen([sys.executable, "-W", "ignore", "-c", code], cwd=TESTS)
            for _ in range(3 - len(workers))
        ]
        time.sleep(3)
        workers[0].kill()
    for worker in workers:
        worker.wait()

    states = [trial.state for trial in study.trials]
    assert states[:100].count(TrialState.COMPLETE) == 100
    assert TrialState.RUNNING not in states


def test_other_directions_than_the_stored_ones_are_refused(tmp_path):
    url = f"sqlite:///{tmp_path}/optuna.db"
    open_study("small", url, DIRECTIONS, sampler())

    with pytest.raises(
        StoreError,
        match=r"study `small` optimises \['minimize', 'maximize'\], not \['maximize'\]",
    ):
        open_study("small", url, ["maximize"], sampler())


def test_a_storage_that_cannot_be_used_is_one_line(tmp_path):
    (tmp_path / "optuna.db").write_text(
        "no database at all, but long enough to have a header"
    )

    with pytest.raises(
        StoreError,
        match=(
            r"study storage `.*optuna.db` \(.* bytes\) is no SQLite database; "
            r"expected the optuna.db"
        ),
    ):
        open_study("small", f"sqlite:///{tmp_path}/optuna.db", DIRECTIONS, sampler())


def test_trials_share_the_value_that_the_first_one_chose(study):
    values = []

    def objective(trial, overrides):
        values.append(trial.shared("layout", lambda: {"threads": trial.number + 1}))
        return square(trial, overrides)

    work(study, sweep(2), objective)

    assert values == [{"threads": 1}] * 2
    assert read_study_notes(study)["shared:layout"] == {"threads": 1}


def test_a_sweep_over_a_grid_ends_with_the_last_configuration_that_fits(tmp_path):
    """Of a grid that is not counted beforehand; each command and worker has a sampler
    of its own.
    """
    space = parse_space(
        ["a=range(1,40)", "b=range(1,40)"],
        is_group=lambda _: False,
        own_space=lambda _: {},
    )
    tried = []
    for n_trials in (4, 1600, 1600):
        grid = GridSampler(
            FeasibleSpace(space, lambda params: params["a"] * params["b"], 5)
        )
        study = open_study("grid", f"sqlite:///{tmp_path}/optuna.db", DIRECTIONS, grid)
        limits = replace(LIMITS, n_trials=n_trials, has_trial=grid.has_trial)
        work(
            study,
            Sweep("grid", space, limits),
            lambda _, overrides: tried.append(tuple(overrides)) or (1, 1),
        )

    assert len(grid.grid) > COUNTED_AT_ONCE
    assert len(tried) == len(set(tried)) == 5 + 2 + 1 + 1 + 1  # of a 1 to 5
    assert limits.reached(study) == "every configuration that fits was tried"
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 10


def test_a_task_may_tell_how_certain_its_score_is(study):
    def task(trial, overrides):
        trial.tell_standard_error(0.02)
        return [3.0, 0.9]

    work(study, sweep(1), task)
    curve = PartialCurve.of(study.trials[0], score_at=1)

    assert curve.deviation == pytest.approx(0.2)
