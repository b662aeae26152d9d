"""Ctrl-C and kill -9 on real sweeps, in processes of their own."""

import os
import signal
import subprocess
import time
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from paretune.search.claims import read_worker
from paretune.tracking import Store, read_points
from paretune.tracking.runs import find_runs
from small_sweep import PARETUNE

ROOT = Path(__file__).parents[2]


def start(tmp_path: Path, *overrides: str) -> subprocess.Popen[str]:
    command = [
        *PARETUNE,
        "train",
        "-m",
        "name=stop",
        "data=digits",
        "model=conv",
        "trainer.max_epochs=50",
        "trainer.patience=null",
        "trainer.autotune=false",
        "cap.max_params=9000",
        *overrides,
    ]
    env = os.environ | {"PARETUNE_STORE": str(tmp_path), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def states(tmp_path: Path) -> list[TrialState]:
    return [trial.state for trial in study(tmp_path).trials]


def study(tmp_path: Path) -> optuna.Study:
    return optuna.load_study(
        study_name="stop", storage=f"sqlite:///{tmp_path}/optuna.db"
    )


def wait_for(condition, timeout_s: float = 180.0) -> None:
    """Until ``condition()`` holds; it may raise as long as the study does not exist."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            if condition():
                return
        except Exception as error:  # the database is not there yet
            last = error
        time.sleep(0.2)
    pytest.fail(f"nothing happened in {timeout_s} s: {locals().get('last')}")


def mlflow_states(tmp_path: Path) -> list[str]:
    runs = find_runs(Store(f"sqlite:///{tmp_path}/mlflow.db"), {"kind": "trial"})
    return [run.info.status for run in runs]


@pytest.mark.slow
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_ctrl_c_puts_the_trial_back_and_the_same_command_ends_the_sweep(
    tmp_path, n_jobs
):
    options = ("hydra.sweeper.n_trials=3", f"hydra.sweeper.n_jobs={n_jobs}")
    process = start(tmp_path, *options)
    wait_for(lambda: "RUNNING" in mlflow_states(tmp_path))
    stopped_s = time.monotonic()
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)

    assert process.returncode == 130, output
    assert time.monotonic() - stopped_s < 15
    assert "sweep stop was stopped; the same command goes on from here" in output
    assert TrialState.RUNNING not in states(tmp_path)
    assert "KILLED" in mlflow_states(tmp_path)
    assert "RUNNING" not in mlflow_states(tmp_path)

    output, _ = start(tmp_path, *options).communicate(timeout=120)
    assert states(tmp_path)[:3] == [TrialState.COMPLETE] * 3, output
    assert len(read_points(Store(f"sqlite:///{tmp_path}/mlflow.db"), "stop")) == 3


@pytest.mark.slow
def test_a_killed_parent_and_killed_workers_lose_nothing(tmp_path):
    """Kill -9 of the parent, then of a worker, then the same command again until the
    end.
    """
    options = (
        "hydra.sweeper.n_trials=6",
        "hydra.sweeper.n_jobs=2",
        "trainer.max_epochs=6",
    )
    process = start(tmp_path, *options)
    wait_for(lambda: states(tmp_path).count(TrialState.COMPLETE) >= 1)
    process.kill()
    process.communicate()
    running = [t for t in study(tmp_path).trials if t.state is TrialState.RUNNING]
    for trial in running[:1]:
        os.kill(read_worker(trial)["pid"], signal.SIGKILL)
    output, _ = start(tmp_path, *options).communicate(timeout=200)
    wait_for(lambda: TrialState.RUNNING not in states(tmp_path))

    assert states(tmp_path)[:6] == [TrialState.COMPLETE] * 6, output
    run_ids = [
        p.run_id for p in read_points(Store(f"sqlite:///{tmp_path}/mlflow.db"), "stop")
    ]
    assert len(set(run_ids)) == len(run_ids) == 6
    assert "RUNNING" not in mlflow_states(tmp_path)
