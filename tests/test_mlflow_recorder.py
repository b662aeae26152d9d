"""The recorder of a sweep of anybody's app, in a real MLflow store."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow.entities import Run

from paretune.mlflow import SweepRecorder
from paretune.search.trial_end import Ending, TrialEnd

BOTH = ("minimize", "maximize")


@pytest.fixture
def recorder(tmp_path: Path, migrated: Any, monkeypatch) -> SweepRecorder:
    migrated(tmp_path / "mlflow.db")
    monkeypatch.chdir(tmp_path)
    made = SweepRecorder(f"sqlite:///{tmp_path}/mlflow.db", "mine")
    made.start("s", {"command": "python app.py", "cost": "params"})
    return made


def end_of(number: int, *values: float, **more: Any) -> TrialEnd:
    fields = {
        "sweep": "s",
        "number": number,
        "attempt": 0,
        "ending": Ending.COMPLETE,
        "values": values,
        "directions": BOTH,
        "searched": {"x": "1"},
    }
    return TrialEnd(**{**fields, **more})


def read_trials(recorder: SweepRecorder) -> list[Run]:
    client = recorder.store.client
    runs = client.search_runs([recorder.store.experiment_id])
    trials = [run for run in runs if run.data.tags["kind"] == "trial"]
    return sorted(trials, key=lambda run: run.data.tags["trial"])


def test_a_trial_has_its_cost_its_score_and_whether_it_is_on_the_front(recorder):
    recorder.end_trial(end_of(0, 100, 0.9), "params")
    recorder.end_trial(end_of(1, 200, 0.8), "params")
    first, second = read_trials(recorder)

    assert first.data.metrics == {"n_params": 100, "val_f1": 0.9}
    assert first.data.params == {"x": "1"}
    assert (first.data.tags["front"], second.data.tags["front"]) == ("true", "false")


@pytest.mark.parametrize(
    ("directions", "values", "metrics"),
    [
        (("maximize", "minimize"), (0.9, 100), {"n_params": 100, "val_f1": 0.9}),
        (("maximize",), (0.9,), {"val_f1": 0.9}),
        (("minimize",), (3.5,), {"value_0": 3.5}),
        (("minimize", "minimize"), (3.5, 2), {"value_0": 3.5, "value_1": 2}),
    ],
)
def test_values_are_named_by_their_directions(recorder, directions, values, metrics):
    recorder.end_trial(end_of(0, *values, directions=directions), "params")
    (trial,) = read_trials(recorder)

    assert trial.data.metrics == metrics
    assert ("front" in trial.data.tags) == ("val_f1" in metrics)


def test_what_a_dead_worker_has_not_written_is_written_once_later(recorder):
    recorder.end_trial(end_of(0, 100, 0.9), "params")
    ends = [
        end_of(0, 100, 0.9),
        end_of(1, 50, 0.5),
        end_of(2, ending=Ending.FAILED, reason="ZeroDivisionError: no"),
    ]
    recorder.catch_up("s", ends, "params")
    recorder.catch_up("s", ends, "params")
    states = [run.data.tags["state"] for run in read_trials(recorder)]

    assert states == ["complete", "complete", "failed"]


KILLED_AT_A_WRITE = """
import os, signal, sys
import mlflow
from paretune.mlflow import SweepRecorder
from paretune.search.trial_end import Ending, TrialEnd

uri, last = sys.argv[1], int(sys.argv[2])
writes = 0

def kill_after(write):
    def count(*arguments, **named):
        global writes
        result = write(*arguments, **named)
        writes += 1
        if writes == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    return count

recorder = SweepRecorder(uri, "mine")
recorder.store.client  # of a store that is open
for name in ("create_run", "log_param", "log_metric", "log_batch", "set_tag",
             "set_terminated"):
    write = getattr(mlflow.MlflowClient, name)
    setattr(mlflow.MlflowClient, name, kill_after(write))
both = ("minimize", "maximize")
end = TrialEnd("s", 1, 0, Ending.COMPLETE, (200, 0.8), both, {"x": "1"})
recorder.end_trial(end, "params")
"""


@pytest.mark.slow
@pytest.mark.parametrize("last", range(1, 8))
def test_a_worker_that_is_killed_at_any_write_leaves_what_can_be_mended(recorder, last):
    dominating, dominated = end_of(0, 100, 0.9), end_of(1, 200, 0.8)
    recorder.end_trial(dominating, "params")
    command = [sys.executable, "-c", KILLED_AT_A_WRITE, recorder.store.uri, str(last)]
    killed = subprocess.run(command, capture_output=True, text=True, check=False)
    recorder.catch_up("s", [dominating, dominated], "params")
    recorder.finish("FINISHED", {}, ())
    runs = read_trials(recorder)

    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert [run.data.tags["front"] for run in runs] == ["true", "false"]
    assert [run.info.status for run in runs] == ["FINISHED", "FINISHED"]
    assert runs[1].data.metrics == {"n_params": 200, "val_f1": 0.8}
    assert runs[1].data.params == {"x": "1"}


def test_further_runs_of_a_trial_are_no_trials(recorder):
    tags = {"kind": "trial", "sweep": "s", "trial": "0", "attempt": "0"}
    client, experiment = recorder.store.client, recorder.store.experiment_id
    first = client.create_run(experiment, tags=tags).info.run_id
    second = client.create_run(experiment, tags=tags).info.run_id
    recorder.end_trial(end_of(0, 100, 0.9), "params")

    assert [run.info.run_id for run in read_trials(recorder)] == [first]
    assert client.get_run(second).data.tags["kind"] == "run"


def test_a_run_that_the_app_left_open_is_not_that_of_the_next_trial(recorder):
    mlflow.set_tracking_uri(recorder.store.uri)
    mlflow.log_metric("loss", 1.0)
    recorder.end_trial(end_of(0, 100, 0.9), "params")

    assert mlflow.active_run() is None


def test_a_sweep_of_any_name_ends(recorder):
    recorder.start("sphere@5k", {"command": "python app.py"})
    recorder.finish("FINISHED", {}, ())

    assert recorder.store.client.get_run(recorder.run_id).info.status == "FINISHED"


def test_mlflow_of_a_program_without_us_is_as_it_was():
    code = "import mlflow, os, json; print(json.dumps(sorted(os.environ.items())))"
    with_us = [sys.executable, "-c", code]
    code = code.replace("import mlflow, ", "import ")
    without = [sys.executable, "-c", code]
    env = {name: value for name, value in os.environ.items() if "MLFLOW" not in name}
    printed = [
        subprocess.run(command, env=env, capture_output=True, text=True, check=True)
        for command in (with_us, without)
    ]
    ours = [line for line in printed[0].stdout.split("]") if "MLFLOW" in line]

    assert not [line for line in ours if "RETRIES" in line or "TELEMETRY" in line]
