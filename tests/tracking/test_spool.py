"""Runs that wait on disk: beside a database that another process holds, and in folders
that are damaged.
"""

import json
import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recording import POINT

from paretune.retry import FaultError, patience
from paretune.tracking import RunRecorder, Store, SweepRecorder, read_trials, steps
from paretune.tracking.leftovers import write_leftovers
from paretune.tracking.runs import find_trials
from paretune.tracking.spool import SpoolFolder, Step
from paretune.tracking.steps import RunWriter

TAGS = {"kind": "trial", "sweep": "s", "data": "rows", "attempt": "0"}


@pytest.fixture
def store(tmp_path: Path, migrated: Callable[[Path], None], monkeypatch) -> Store:
    """A store in a file, with its spool beside it."""
    monkeypatch.setattr(steps, "outage", steps.Outage("the tracking store", (0.0,)))
    migrated(tmp_path / "mlflow.db")
    made = Store(
        f"sqlite:///{tmp_path}/mlflow.db",
        str(tmp_path / "artifacts"),
        "e",
        str(tmp_path / "spool"),
    )
    made.create()
    return made


@contextmanager
def locked(store: Store) -> Iterator[None]:
    """Hold the store as another process does."""
    with closing(sqlite3.connect(store.file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


def waiting(store: Store) -> list[Path]:
    return sorted(store.spool_folder.glob("[!.]*"))


def record(store: Store, number: int) -> None:
    with RunRecorder(
        store, f"r-{number}", tags=TAGS | {"trial": str(number)}, searched={"a": "1"}
    ) as run:
        run.start(POINT)
        run.epoch(1, {"val_f1": 0.5})
        run.finish(POINT, {}, [])


def parent(store: Store) -> SweepRecorder:
    recorder = SweepRecorder(
        {
            "uri": store.uri,
            "artifacts": store.artifacts,
            "experiment": store.experiment,
            "spool": store.spool,
        }
    )
    recorder.start("s", {"cap": 1000})
    return recorder


def test_a_lock_costs_no_trial_and_the_next_run_writes_what_waited(store, monkeypatch):
    parent(store)
    steps.outage.noticed(ValueError("the first try takes MLflow 20 s"))
    with locked(store):
        record(store, 0)
        assert len(waiting(store)) == 1
    record(store, 1)

    assert waiting(store) == []
    assert list(read_trials(store, "s")["state"]) == ["complete", "complete"]


@pytest.mark.slow
def test_a_lock_that_outlasts_mlflows_own_patience_costs_no_trial(store):
    parent(store)
    with locked(store):
        record(store, 0)
    record(store, 1)

    assert list(read_trials(store, "s")["state"]) == ["complete", "complete"]


def test_without_a_spool_a_run_waits_for_a_lock(store, monkeypatch):
    alone = Store(store.uri, store.artifacts, store.experiment)
    alone.create()
    monkeypatch.setattr(steps, "LONGEST_OUTAGE_S", -1.0)
    patience.end()
    with locked(store), pytest.raises(Exception, match="database is locked"):
        record(alone, 0)


def test_an_interrupt_of_which_a_library_made_an_error_is_a_killed_run(store):
    parent(store)
    with (
        suppress(ImportError),
        RunRecorder(store, "r", tags=TAGS | {"trial": "0"}, searched={}),
    ):
        try:
            raise KeyboardInterrupt
        except BaseException:
            raise ImportError("as pydoc does") from None

    assert [run.info.status for run in find_trials(store, "s")] == ["KILLED"]


def test_a_store_that_was_deleted_is_no_outage(store):
    parent(store)
    _ = store.experiment_id
    store.file.unlink()

    with pytest.raises(
        FaultError,
        match=r"mlflow.db` cannot be used: it is not there any more; put it back",
    ):
        record(store, 0)


STEPS = [
    Step(
        "begin",
        1000,
        {
            "name": "r",
            "tags": TAGS | {"trial": "7"},
            "searched": {},
            "replaces": [],
            "key": "k",
        },
    ),
    Step("metrics", 1001, {"values": {"val_f1": 0.5}}),
]


def leave(store: Store, key: str = "1-a") -> Path:
    """A folder of a process that was killed."""
    path = store.spool_folder / key
    path.mkdir(parents=True)
    lines = [
        json.dumps([step.name, step.at_ms, step.arguments]) + "\n" for step in STEPS
    ]
    (path / "steps.jsonl").write_text("".join(lines))
    return path


def spoil(name: str, content: bytes) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        with (folder / name).open("ab" if name == "steps.jsonl" else "wb") as file:
            file.write(content)

    return write


def step(*line: object) -> bytes:
    return json.dumps(line).encode() + b"\n"


DAMAGES = {
    "a line of garbage": spoil("steps.jsonl", b"\x00\xff garbage\n"),
    "a line that is no step": spoil("steps.jsonl", b"[1, 2]\n"),
    "an unknown step": spoil("steps.jsonl", step("unknown", 1, {})),
    "an unknown argument": spoil("steps.jsonl", step("metrics", 1, {"value": 1})),
    "an argument of another type": spoil(
        "steps.jsonl", step("metrics", 1, {"values": {"a": "b"}})
    ),
    "files that are gone": spoil(
        "steps.jsonl", step("attach", 1, {"files": ["/gone"]})
    ),
    "an empty state": spoil("state.json", b""),
    "a state of garbage": spoil("state.json", b"\xff\x00"),
    "another state": spoil("state.json", b'{"done": 1}'),
    "a state below zero": spoil("state.json", b'[-1, ""]'),
    "a folder for steps": lambda folder: (
        (folder / "steps.jsonl").unlink(),
        (folder / "steps.jsonl").mkdir(),
    ),
    "a folder for the lock": lambda folder: (folder / "lock").mkdir(),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_folder_is_set_aside_with_one_line_and_stops_nothing(
    store, caplog, damage
):
    parent(store)
    damage(leave(store))
    leave(store, "2-b")
    for number in range(2):
        record(store, number)
    warnings = [line for line in caplog.records if line.levelno >= logging.WARNING]

    assert waiting(store) == []
    assert [
        path.name for path in store.spool_folder.with_name("spool.damaged").iterdir()
    ] == ["1-a"]
    assert ["is set aside in" in line.getMessage() for line in warnings] == [True]


def test_a_file_among_the_folders_is_set_aside(store):
    store.spool_folder.mkdir()
    (store.spool_folder / "notes.txt").write_text("not a run")

    assert write_leftovers(store) == 0
    assert waiting(store) == []


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(["steps.jsonl", "state.json"]),
    position=st.integers(0, 200),
    content=st.binary(max_size=30),
)
def test_whatever_bytes_a_disk_puts_there_recording_goes_on(
    store, name, position, content
):
    path = leave(store)
    (path / "state.json").write_text('[0, ""]')
    before = (path / name).read_bytes()
    (path / name).write_bytes(
        before[:position] + content + before[position + len(content) :]
    )

    assert write_leftovers(store) == 0
    assert waiting(store) == []


def test_a_full_disk_is_told_where_a_step_is_noted(store, tmp_path, monkeypatch):
    """The smallest limit of a file's size that this process can have."""
    writer = RunWriter(store, SpoolFolder.make(store.spool_folder))
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(
            FaultError, match="it may not grow any further; raise the limit"
        ):
            writer.write("tag", name="long", value="x" * 4000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        writer.folder.release()
