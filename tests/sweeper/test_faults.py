"""Trials that go wrong, workers that are replaced, sweeps that are over early: real
sweeps of a small app.
"""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import optuna
import pytest

from paretune.search.claims import read_worker

APP = Path(__file__).parent / "apps" / "faulty"


def start(tmp_path: Path, *overrides: str) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "app.py",
        "-m",
        f"hydra.sweep.dir={tmp_path}",
        *overrides,
    ]
    storage = f"hydra.sweeper.storage=sqlite:///{tmp_path}/optuna.db"
    pipe = subprocess.PIPE
    env = os.environ | {
        "PYTHONPATH": os.pathsep.join([".", os.environ.get("PYTHONPATH", "")])
    }
    return subprocess.Popen(
        [*command, storage],
        cwd=APP,
        env=env,
        stdout=pipe,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(tmp_path: Path, *overrides: str) -> tuple[list[optuna.trial.FrozenTrial], str]:
    """The trials of a sweep that ran to its end, and what it printed."""
    process = start(tmp_path, *overrides)
    output, _ = process.communicate(timeout=180)
    assert process.returncode == 0, output
    study = optuna.load_study(
        study_name="faulty", storage=f"sqlite:///{tmp_path}/optuna.db"
    )
    return [trial for trial in study.trials if trial.state.is_finished()], output


def reasons(trials: list[optuna.trial.FrozenTrial]) -> dict[str, str]:
    return {
        trial.params["kind"]: trial.user_attrs.get("reason", "") for trial in trials
    }


def test_a_trial_that_raises_has_its_traceback_in_its_log_and_a_line_on_the_console(
    tmp_path,
):
    trials, output = run(
        tmp_path, "kind=choice(raise,fine)", "hydra.sweeper.n_trials=2"
    )
    (failed,) = [trial for trial in trials if trial.state.name == "FAIL"]
    log = (tmp_path / str(failed.number) / "app.log").read_text()

    assert "Traceback" in log
    assert "ZeroDivisionError: division by zero" in log
    assert (
        f"trial {failed.number} failed: ZeroDivisionError: division by zero" in output
    )
    assert "Traceback" not in output


@pytest.mark.slow
def test_every_way_to_go_wrong_is_a_failed_trial_with_its_reason_and_the_sweep_completes(
    tmp_path,
):
    kinds = "kind=choice(raise,no_number,killed,sleep,deaf,lock,fine)"
    trials, _ = run(
        tmp_path,
        kinds,
        "hydra.sweeper.n_trials=7",
        "hydra.sweeper.n_jobs=2",
        "hydra.sweeper.trial_timeout_s=3",
    )
    why = reasons(trials)

    assert why.pop("fine") == ""
    assert why.pop("raise") == "ZeroDivisionError: division by zero"
    assert why.pop("no_number").startswith(
        "ConfigError: task function returned `nan`; expected 1 finite number"
    )
    assert (
        why.pop("killed")
        == "its worker died 2 times (killed, or out of memory or time)"
    )
    assert set(why.values()) == {"ran for longer than trial_timeout_s = 3"}
    assert set(why) == {"sleep", "deaf", "lock"}


@pytest.mark.slow
def test_a_worker_is_replaced_after_as_many_trials_as_asked(tmp_path):
    """The app returns the number of the process that it ran in."""
    trials, _ = run(
        tmp_path,
        "kind=choice(fine,raise)",
        "hydra.sweeper.n_trials=2",
        "hydra.sweeper.recycle_after=1",
    )

    assert [
        trial.state.name for trial in sorted(trials, key=lambda t: t.params["kind"])
    ] == ["COMPLETE", "FAIL"]
    assert len(list((tmp_path / ".submitit").glob("[0-9]*"))) == 2


def test_no_trial_starts_after_the_time_is_over(tmp_path):
    trials, output = run(
        tmp_path,
        "kind=choice(fine)",
        "hydra.sweeper.n_trials=500",
        "epochs=4",
        "hydra.sweeper.timeout_s=1",
        "hydra/sweeper/sampler=random",
    )

    assert 1 <= len(trials) < 100
    assert ": its time is over" in output
    assert re.search(r"asks took [\d.]+ % of the time", output)


def test_a_pruner_of_optuna_stops_trials_of_one_objective(tmp_path):
    pruner = (
        "hydra.sweeper.pruner={_target_: optuna.pruners.MedianPruner, "
        "n_startup_trials: 2}"
    )
    trials, _ = run(
        tmp_path,
        "kind=choice(fine)",
        "hydra/sweeper/sampler=random",
        "epochs=3",
        pruner,
    )

    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 2 + ["PRUNED"] * 4
    assert trials[3].value == 3.0


@pytest.mark.slow
@pytest.mark.parametrize("signals", [[signal.SIGTERM], [signal.SIGINT, signal.SIGINT]])
def test_a_stop_leaves_nothing_running_and_says_how_to_go_on(tmp_path, signals):
    """SIGTERM drains; a second Ctrl-C kills workers that are deaf."""
    process = start(
        tmp_path,
        "kind=choice(deaf)",
        "hydra/sweeper/sampler=random",
        "hydra.sweeper.n_jobs=2",
    )
    study = None
    while study is None or sum(bool(read_worker(trial)) for trial in study.trials) < 2:
        time.sleep(0.5)
        with suppress(Exception):  # not there yet
            study = optuna.load_study(
                study_name="faulty", storage=f"sqlite:///{tmp_path}/optuna.db"
            )
    stopped_s = time.monotonic()
    for number in signals:
        process.send_signal(number)
        time.sleep(1.5)
    output, _ = process.communicate(timeout=30)

    assert process.returncode == 128 + signals[0], output
    assert time.monotonic() - stopped_s < 16
    assert (
        f"the same command goes on from here: {Path(sys.executable).name} app.py -m"
        in output
    )
    assert {trial.state.name for trial in study.trials} == {"WAITING"}, [
        t.user_attrs for t in study.trials
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("modules", "is_forked"), [("[json]", True), ("[starts_a_thread]", False)]
)
def test_workers_are_forked_unless_a_module_has_started_threads(
    tmp_path, modules, is_forked
):
    """The app fails with the command line of its process."""
    trials, _ = run(
        tmp_path,
        "kind=choice(command)",
        "hydra.sweeper.n_trials=1",
        "hydra.sweeper.trial_timeout_s=60",
        f"hydra.sweeper.preload={modules}",
    )

    command = reasons(trials)["command"]
    assert ("paretune.fork_server" in command) == is_forked, command
    assert ("submitit.core" in command) != is_forked, command
