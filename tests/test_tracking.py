import math
from dataclasses import replace
from pathlib import Path

import pytest

from paretune.errors import Raced, StoreError
from paretune.point import Point
from paretune.tracking import RunRecorder, Store, SweepRecorder, read_points, sweep_names

POINT = Point(params=120, f1=0.91, accuracy=0.92, loss=0.3, seconds=1.5, seed=4, family="conv", data="rows",
              best_epoch=2, config={"seed": 4, "model": {"widths": [2, 3]}})  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(f"sqlite:///{tmp_path}/deep/mlflow.db", str(tmp_path / "deep/artifacts"), "tests")


def start_sweep(store: Store, name: str = "small") -> SweepRecorder:
    recorder = SweepRecorder({"uri": store.uri, "artifacts": store.artifacts, "experiment": store.experiment})
    recorder.start(name, {"cap": 1000})
    return recorder


def run_trial(store: Store, tmp_path: Path, number: int = 0, sweep: str = "small", attempt: int = 0) -> str:
    tags = {"kind": "trial", "sweep": sweep, "trial": str(number), "data": "rows", "attempt": str(attempt)}
    weights = tmp_path / "weights.pt"
    weights.write_bytes(b"weights")
    again = ("sweep", "trial") if attempt else ()
    with RunRecorder(store, f"{sweep}-{number}", tags=tags, searched={"model.widths.0": "2"}, replaces=again) as run:
        run.start(replace(POINT, f1=math.nan))
        run.epoch(1, {"val_f1": 0.5})
        run.epoch(2, {"val_f1": 0.91})
        run.finish(POINT, {"images_per_s": 10.0}, [weights])
    return run.run_id


def test_a_trial_comes_back_as_the_point_that_went_in(store, tmp_path):
    start_sweep(store)
    run_id = run_trial(store, tmp_path)

    assert read_points(store, "small") == [replace(POINT, run_id=run_id)]


def test_a_trial_is_a_child_of_its_sweep_with_figures_curves_and_files(store, tmp_path):
    parent = start_sweep(store)
    run = store.client.get_run(run_trial(store, tmp_path))
    curve = store.client.get_metric_history(run.info.run_id, "epoch/val_f1")
    files = {file.path for file in store.client.list_artifacts(run.info.run_id)}

    assert run.data.tags["mlflow.parentRunId"] == parent.run_id
    assert run.data.params == {"model.widths.0": "2"}
    assert {"n_params": 120.0, "val_f1": 0.91, "val_accuracy": 0.92, "seconds": 1.5}.items() <= run.data.metrics.items()
    assert [(point.step, point.value) for point in curve] == [(1, 0.5), (2, 0.91)]
    assert files == {"config.yaml", "weights.pt"}


def test_a_sweep_started_again_has_one_parent(store):
    first, second = start_sweep(store), start_sweep(store)
    first.finish("FINISHED", {}, ())

    assert first.run_id == second.run_id
    assert sweep_names(store) == ["small"]


def test_the_end_of_a_sweep_closes_the_runs_of_killed_workers(store):
    """Trial 0 failed for a reason, trial 1 was cut off, trial 2 is still in somebody's hands."""
    sweep = start_sweep(store)
    tags = {"kind": "trial", "sweep": "small"}
    runs = [store.client.create_run(store.experiment_id, tags={**tags, "trial": str(n)}).info.run_id for n in range(3)]
    sweep.finish("FINISHED", {0: "its worker died"}, {2})
    closed = [store.client.get_run(run_id) for run_id in runs]

    assert [run.info.status for run in closed] == ["FAILED", "KILLED", "RUNNING"]
    assert closed[0].data.tags["error"] == "its worker died"


@pytest.mark.parametrize(("error", "status"), [(RuntimeError("x"), "FAILED"), (KeyboardInterrupt(), "KILLED")])
def test_a_trial_that_breaks_off_is_closed_and_no_point(store, error, status):
    start_sweep(store)
    tags = {"kind": "trial", "sweep": "small", "trial": "0"}
    recorder = RunRecorder(store, "small-0", tags=tags, searched={})
    with pytest.raises(type(error)), recorder:
        raise error

    run = store.client.get_run(recorder.run_id)
    assert run.info.status == status
    assert "in test_a_trial_that_breaks_off" in run.data.tags["traceback"]
    assert read_points(store, "small") == []


def test_a_further_attempt_replaces_what_the_earlier_ones_left(store, tmp_path):
    """One earlier attempt died running, one after it had finished but before the study knew."""
    start_sweep(store)
    died = store.client.create_run(store.experiment_id, tags={"kind": "trial", "sweep": "small", "trial": "0"})
    run_trial(store, tmp_path)
    last = run_trial(store, tmp_path, attempt=2)

    assert [point.run_id for point in read_points(store, "small")] == [last]
    assert store.client.get_run(died.info.run_id).info.status == "KILLED"


def test_a_raced_trial_is_closed_and_no_point(store):
    start_sweep(store)
    recorder = RunRecorder(store, "small-0", tags={"kind": "trial", "sweep": "small", "trial": "0"}, searched={})
    with pytest.raises(Raced), recorder:
        raise Raced

    run = store.client.get_run(recorder.run_id)
    assert (run.info.status, run.data.tags["state"]) == ("FINISHED", "raced")
    assert read_points(store, "small") == []


def test_the_store_lets_readers_read_while_one_writes(store):
    store.create()
    journal = Path(store.uri.removeprefix("sqlite:///") + "-wal")

    assert journal.exists()


def test_a_sweep_that_is_not_there_is_named_with_the_nearest(store):
    start_sweep(store, "under_10k")

    with pytest.raises(
        StoreError, match=r"sweep `under10k` is not in the tracking store .*; did you mean `under_10k`\?"
    ):
        read_points(store, "under10k")


def test_a_store_that_is_not_there_says_how_to_make_one(tmp_path):
    with pytest.raises(StoreError, match=r"tracking store `.*/none.db` does not exist; .*make demo.* PARETUNE_STORE"):
        Store(f"sqlite:///{tmp_path}/none.db").require()


def test_a_store_that_is_no_database_is_one_line(tmp_path):
    (tmp_path / "mlflow.db").write_text("not a database, though long enough to look at: " + "x" * 200)

    with pytest.raises(
        StoreError, match=r"tracking store `sqlite:///.*mlflow.db` cannot be used \(.*\); expected an MLflow"
    ):
        Store(f"sqlite:///{tmp_path}/mlflow.db").create()
