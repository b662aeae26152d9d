"""An app with a training loop and a MLflow of its own: cap, race, two workers, resume,
and its front.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import optuna
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from paretune.commands import pareto
from sweeper.app_processes import APPS, run_app, start_app

APP = APPS / "digits"


def run(folder: Path, *overrides: str) -> None:
    done = run_app(APP, folder, *overrides)
    assert done.returncode == 0, done.stderr


def read_runs(folder: Path) -> tuple[Run, list[Run]]:
    """The parent run and the trials, by their numbers."""
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    experiment = client.get_experiment_by_name("digits")
    runs = client.search_runs([experiment.experiment_id])
    (parent,) = [run for run in runs if run.data.tags["kind"] == "sweep"]
    trials = [run for run in runs if run.data.tags["kind"] == "trial"]
    trials.sort(key=lambda run: int(run.data.tags["trial"]))
    return parent, trials


def count_complete(folder: Path) -> int:
    """How many trials of the study are complete by now."""
    with suppress(Exception):
        study = optuna.load_study(
            study_name="digits", storage=f"sqlite:///{folder}/optuna.db"
        )
        states = [trial.state.name for trial in study.trials]
        return states.count("COMPLETE")
    return 0


def test_runs_of_the_apps_own_logger_are_nested_below_the_sweep(tmp_path):
    run(tmp_path, "hydra.sweeper.n_jobs=1", "hydra.sweeper.n_trials=4")
    parent, trials = read_runs(tmp_path)
    parents = {trial.data.tags["mlflow.parentRunId"] for trial in trials}

    assert parent.info.status == "FINISHED"
    assert [trial.data.tags["trial"] for trial in trials] == ["0", "1", "2", "3"]
    assert parents == {parent.info.run_id}
    assert {trial.info.status for trial in trials} == {"FINISHED"}
    assert {"complete", "raced"} >= {trial.data.tags["state"] for trial in trials}
    assert "model.first" in trials[0].data.params
    assert trials[0].data.metrics["val_f1"] == trials[0].data.metrics["val/f1"]


@pytest.mark.slow
def test_a_sweep_of_two_workers_that_is_killed_goes_on_to_its_front(tmp_path, capsys):
    process = start_app(APP, tmp_path)
    while count_complete(tmp_path) < 3:
        time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.communicate()
    run(tmp_path)
    _, trials = read_runs(tmp_path)
    states = [trial.data.tags["state"] for trial in trials]
    ended = [state for state in states if state != "superseded"]
    pareto.cli(
        ["digits", "--uri", f"sqlite:///{tmp_path}/mlflow.db", "--out", str(tmp_path)]
    )

    assert len(ended) == 16
    assert set(ended) == {"complete", "raced"}
    assert "16 trials in all" in " ".join(capsys.readouterr().out.split())
    assert (tmp_path / "report.html").is_file()


def test_an_app_without_runs_of_its_own_has_one_for_each_trial(tmp_path):
    app = tmp_path / "app"
    shutil.copytree(APP, app)
    logger = app / "configs" / "logger" / "none.yaml"
    logger.write_text("{_target_: pytorch_lightning.loggers.CSVLogger, save_dir: .}\n")
    uri = f"hydra.sweeper.recorder.tracking_uri=sqlite:///{tmp_path}/mlflow.db"
    command = [sys.executable, "src/train.py", "hparams_search=front", "logger=none"]
    small = ("hydra.sweeper.n_jobs=1", "hydra.sweeper.n_trials=2")
    env = os.environ | {"LOG_DIR": str(tmp_path)}
    subprocess.run([*command, uri, *small], cwd=app, env=env, check=True)
    parent, trials = read_runs(tmp_path)

    assert [trial.info.run_name for trial in trials] == ["digits-00000", "digits-00001"]
    assert trials[0].data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert trials[0].data.metrics["n_params"] > 0
