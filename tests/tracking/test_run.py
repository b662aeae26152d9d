"""A training as a run, however it ends."""

import json
from contextlib import suppress

import pytest
from recording import POINT, run_trial, start_sweep
from requests import Response

from paretune.errors import Raced, StoreError
from paretune.tracking import (
    RunRecorder,
    Store,
    read_points,
    read_trials,
)
from paretune.tracking.leftovers import write_leftovers
from paretune.tracking.spool import Step
from paretune.tracking.steps import RunWriter


def test_a_trial_is_a_child_of_its_sweep_with_figures_curves_and_files(store, tmp_path):
    parent = start_sweep(store)
    run = store.client.get_run(run_trial(store, tmp_path))
    curve = store.client.get_metric_history(run.info.run_id, "epoch/val_f1")
    files = {file.path for file in store.client.list_artifacts(run.info.run_id)}

    assert run.data.tags["mlflow.parentRunId"] == parent.run_id
    assert run.data.params == {"model.widths.0": "2"}
    assert {
        "n_params": 120.0,
        "val_f1": 0.91,
        "val_accuracy": 0.92,
        "seconds": 1.5,
    }.items() <= run.data.metrics.items()
    assert [(point.step, point.value) for point in curve] == [(1, 0.5), (2, 0.91)]
    assert files == {"config.yaml", "weights.pt"}


@pytest.mark.parametrize(
    ("error", "status"),
    [(RuntimeError("x"), "FAILED"), (KeyboardInterrupt("x"), "KILLED")],
)
def test_a_trial_that_breaks_off_is_closed_and_no_point(store, error, status):
    start_sweep(store)
    tags = {"kind": "trial", "sweep": "small", "trial": "0"}
    recorder = RunRecorder(store, "small-0", tags=tags, searched={})
    with pytest.raises(type(error), match=r"^x$"), recorder:
        raise error

    run = store.client.get_run(recorder.run_id)
    assert run.info.status == status
    assert "in test_a_trial_that_breaks_off" in run.data.tags["traceback"]
    assert read_points(store, "small") == []


def test_a_further_attempt_replaces_what_the_earlier_ones_left(store, tmp_path):
    """One earlier attempt died running, one after it had finished but before the study
    knew.
    """
    start_sweep(store)
    died = store.client.create_run(
        store.experiment_id, tags={"kind": "trial", "sweep": "small", "trial": "0"}
    )
    run_trial(store, tmp_path)
    last = run_trial(store, tmp_path, attempt=2)

    assert [point.run_id for point in read_points(store, "small")] == [last]
    assert store.client.get_run(died.info.run_id).info.status == "KILLED"


def test_an_attempt_that_a_server_hears_of_late_replaces_no_later_one(store, tmp_path):
    start_sweep(store)
    last = run_trial(store, tmp_path, attempt=2)
    tags = {"kind": "trial", "sweep": "small", "trial": "0", "attempt": "1"}
    begun = {
        "name": "small-0",
        "tags": tags,
        "searched": {},
        "replaces": ["sweep", "trial"],
        "key": "",
    }
    RunWriter(store)._apply(Step("begin", 1_000, begun))

    assert [point.run_id for point in read_points(store, "small")] == [last]


def test_a_raced_trial_is_closed_and_no_point(store):
    start_sweep(store)
    recorder = RunRecorder(
        store,
        "small-0",
        tags={"kind": "trial", "sweep": "small", "trial": "0"},
        searched={},
    )
    with pytest.raises(Raced, match=r"^$"), recorder:
        raise Raced

    run = store.client.get_run(recorder.run_id)
    assert (run.info.status, run.data.tags["state"]) == ("FINISHED", "raced")
    assert read_points(store, "small") == []


def test_a_raced_trial_keeps_its_best_epoch_and_is_apart(store):
    start_sweep(store)
    tags = {"kind": "trial", "sweep": "small", "trial": "0"}
    with suppress(Raced), RunRecorder(store, "small-0", tags=tags, searched={}) as run:
        run.start(POINT)
        run.epoch(1, {"val_f1": 0.5, "val_loss": 1.0})
        run.epoch(2, {"val_f1": 0.4, "val_loss": 2.0})
        raise Raced
    (trial,) = read_trials(store, "small").itertuples()

    assert (trial.state, trial.val_f1, trial.best_epoch, trial.n_params) == (
        "raced",
        0.5,
        1,
        120.0,
    )


def test_a_run_says_what_it_was_made_with(store, tmp_path):
    start_sweep(store)
    tags = store.client.get_run(run_trial(store, tmp_path)).data.tags

    assert "torch 2" in tags["versions"]
    assert "threads" in tags["hardware"]


def test_a_trial_of_a_sweep_without_a_parent_run_is_complete(store, tmp_path):
    """Somebody deleted the parent, or the sweep has no recorder."""
    run = store.client.get_run(run_trial(store, tmp_path))

    assert (run.info.status, run.data.tags["state"], run.data.tags["front"]) == (
        "FINISHED",
        "complete",
        "true",
    )


def test_a_file_that_the_server_refuses_for_good_is_one_line_and_stays_on_disk(
    store, tmp_path, monkeypatch
):
    def refused(writer: RunWriter, at_ms: int, *, files: list[str]) -> None:
        answer = Response()
        answer.status_code = 413
        answer.raise_for_status()

    monkeypatch.setitem(RunWriter.STEPS, "attach", refused)
    monkeypatch.setattr(Store, "spool_folder", tmp_path / "spool")
    writer = RunWriter(store)
    writer.open()
    with pytest.raises(StoreError, match=r"413 Client Error"):
        writer.write("attach", files=[])
    with pytest.raises(StoreError, match=r"413 Client Error"):
        writer.close()

    assert (writer.folder.path / "steps.jsonl").is_file()


def test_a_spool_folder_of_an_earlier_version_is_written(store, tmp_path, monkeypatch):
    """The names of the steps and of their arguments, as they stand on disk."""
    (tmp_path / "weights.pt").write_bytes(b"weights")
    tags = {
        "kind": "trial",
        "sweep": "small",
        "trial": "0",
        "attempt": "0",
        "data": "rows",
    }
    steps = [
        [
            "begin",
            1000,
            {
                "name": "small-0",
                "tags": tags,
                "searched": {"a": "1"},
                "replaces": ["sweep", "trial"],
                "key": "old",
            },
        ],
        ["start", 1001, {"params": 120, "family": "conv", "config": {"seed": 4}}],
        ["metrics", 1002, {"values": {"epoch/val_f1": 0.5}, "step": 1}],
        ["tag", 1003, {"name": "rule", "value": "best f1"}],
        ["metrics", 1004, {"values": {"val_f1": 0.5}}],
        ["attach", 1005, {"files": [str(tmp_path / "weights.pt")]}],
        [
            "end",
            1006,
            {
                "status": "FINISHED",
                "tags": {"state": "complete", "front": "true"},
                "trial_of": "small",
                "trial": 0,
            },
        ],
    ]
    folder = tmp_path / "spool" / "old"
    folder.mkdir(parents=True)
    (folder / "steps.jsonl").write_text(
        "".join(json.dumps(step) + "\n" for step in steps)
    )
    start_sweep(store)
    monkeypatch.setattr(Store, "spool_folder", tmp_path / "spool")

    assert write_leftovers(store) == 0
    (trial,) = read_trials(store, "small").itertuples()
    assert (trial.state, trial.front, trial.n_params, trial.val_f1, trial.seed) == (
        "complete",
        True,
        120,
        0.5,
        4,
    )
    assert not folder.exists()
