"""Runs while the tracking server is away, against a real ``mlflow server``."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from recording import POINT

from paretune.tracking import (
    RunRecorder,
    Store,
    SweepRecorder,
    read_points,
    read_trials,
)
from paretune.tracking.leftovers import write_leftovers
from paretune.tracking.runs import find_runs
from server import Server

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("server")]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    made = Server(tmp_path_factory.mktemp("server"))
    made.start()
    yield made
    made.stop()


@pytest.fixture
def store(server, tmp_path, request) -> Store:
    return Store(server.uri, None, f"e-{request.node.name}", str(tmp_path / "spool"))


@pytest.fixture(autouse=True)
def _ask_at_once(monkeypatch):
    monkeypatch.setattr("paretune.tracking.steps.outage.pauses_s", (0.0,))


def sweep(store: Store) -> SweepRecorder:
    recorder = SweepRecorder(
        {
            "uri": store.uri,
            "artifacts": None,
            "experiment": store.experiment,
            "spool": store.spool,
        }
    )
    recorder.start(store.experiment, {"cap": 1000})
    return recorder


def tags_of(store: Store, number: int, attempt: int = 0) -> dict[str, str]:
    return {
        "kind": "trial",
        "sweep": store.experiment,
        "trial": str(number),
        "data": "rows",
        "attempt": str(attempt),
    }


def test_a_run_beside_a_server_leaves_nothing_behind(store, tmp_path):
    sweep(store)
    weights = tmp_path / "weights.pt"
    weights.write_bytes(b"weights")
    with RunRecorder(store, "r", tags=tags_of(store, 0), searched={"a": "1"}) as run:
        run.start(POINT)
        run.finish(POINT, {}, [weights])

    assert read_points(store, store.experiment) == [replace(POINT, run_id=run.run_id)]
    assert {file.path for file in store.client.list_artifacts(run.run_id)} == {
        "config.yaml",
        "weights.pt",
    }
    assert list((tmp_path / "spool").glob("[!.]*")) == []


def test_what_happens_while_the_server_is_away_is_written_in_order_and_once(
    server, store, tmp_path
):
    parent = sweep(store)
    weights = tmp_path / "weights.pt"
    weights.write_bytes(b"weights")
    with RunRecorder(store, "r", tags=tags_of(store, 0), searched={"a": "1"}) as run:
        run.start(POINT)
        run.epoch(1, {"val_f1": 0.5})
        server.stop()
        run.epoch(2, {"val_f1": 0.6})
        run.finish(POINT, {"images_per_s": 1.0}, [weights])
    weights.unlink()  # the spool has a copy
    with RunRecorder(store, "r2", tags=tags_of(store, 1), searched={}) as second:
        second.start(POINT)
    waiting = len(list((tmp_path / "spool").iterdir()))
    server.start()
    parent.finish("FINISHED", {}, ())
    curve = store.client.get_metric_history(run.run_id, "epoch/val_f1")

    assert waiting == 2
    assert list((tmp_path / "spool").glob("[!.]*")) == []
    assert [(point.step, point.value) for point in curve] == [(1, 0.5), (2, 0.6)]
    assert curve[0].timestamp <= curve[1].timestamp
    assert list(read_trials(store, store.experiment)["trial"]) == [0, 1]
    assert {file.path for file in store.client.list_artifacts(run.run_id)} == {
        "config.yaml",
        "weights.pt",
    }


def test_steps_whose_answers_were_lost_are_sent_again_and_leave_the_same(
    store, tmp_path
):
    parent = sweep(store)
    with RunRecorder(store, "r", tags=tags_of(store, 0), searched={"a": "1"}) as run:
        run.start(POINT)
        run.epoch(1, {"val_f1": 0.5})
        run.done = 0
    parent.finish("FINISHED", {}, ())
    (trial,) = read_trials(store, store.experiment).itertuples()
    curve = store.client.get_metric_history(run.run_id, "epoch/val_f1")

    assert (trial.state, trial.n_params, len(curve)) == ("complete", 120, 1)
    assert len(find_runs(store, {"trial": "0", "sweep": store.experiment})) == 1
    assert list((tmp_path / "spool").glob("[!.]*")) == []


def test_what_a_killed_process_left_is_written_by_the_next(server, store, tmp_path):
    parent = sweep(store)
    code = f"""
import os, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from paretune.tracking import RunRecorder, Store
from recording import POINT
store = Store({store.uri!r}, None, {store.experiment!r}, {store.spool!r})
run = RunRecorder(store, "killed", tags={tags_of(store, 0)!r}, searched={{}})
run.__enter__()
run.start(POINT)
run.epoch(1, {{"val_f1": 0.5}})
os.kill(os.getpid(), 9)
"""
    server.stop()
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=False)
    server.start()
    with RunRecorder(
        store,
        "again",
        tags=tags_of(store, 0, 1),
        searched={},
        replaces=("sweep", "trial"),
    ) as run:
        run.start(POINT)
        run.finish(POINT, {}, [])
    parent.finish("FINISHED", {}, ())
    runs = find_runs(store, {"sweep": store.experiment, "kind": "trial"})

    assert sorted((one.data.tags["state"], one.info.status) for one in runs) == [
        ("complete", "FINISHED"),
        ("superseded", "KILLED"),
    ]
    assert [point.run_id for point in read_points(store, store.experiment)] == [
        run.run_id
    ]
    assert list((tmp_path / "spool").glob("[!.]*")) == []


def test_two_processes_that_end_the_same_journal_do_not_trip_over_each_other(
    store, tmp_path
):
    """One has sent all and removes the folder while the other looks for leftovers."""
    sweep(store)
    for number in range(5):
        with RunRecorder(store, "r", tags=tags_of(store, number), searched={}) as run:
            run.start(POINT)
            with ThreadPoolExecutor(2) as pool:
                others = [pool.submit(write_leftovers, store) for _ in range(4)]
                run.finish(POINT, {}, [])
        assert [other.result() for other in others] == [0] * 4
    assert list((tmp_path / "spool").glob("[!.]*")) == []


def test_a_line_cut_off_by_a_kill_is_no_step(store, tmp_path):
    sweep(store)
    spool = tmp_path / "spool" / "old"
    spool.mkdir(parents=True)
    step = [
        "begin",
        1000,
        {
            "name": "cut",
            "tags": tags_of(store, 3),
            "searched": {},
            "replaces": [],
            "key": "old",
        },
    ]
    (spool / "steps.jsonl").write_text(json.dumps(step) + '\n["start", 2000, {"par')

    assert write_leftovers(store) == 0
    assert len(find_runs(store, {"trial": "3", "sweep": store.experiment})) == 1
