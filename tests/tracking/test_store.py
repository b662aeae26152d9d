import json
import math
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal
from requests import Response

from paretune.errors import ConfigError, Raced, StoreError
from paretune.front import Point, front_volume
from paretune.tracking import (
    RunRecorder,
    Store,
    SweepRecorder,
    read_points,
    read_trials,
)
from paretune.tracking.config_tags import config_tags, configs_of
from paretune.tracking.database import columns_in
from paretune.tracking.entities import Part
from paretune.tracking.leftovers import write_leftovers
from paretune.tracking.runs import (
    find_runs,
    find_runs_by_client,
    find_sweeps,
    find_trials,
    read_metric,
)
from paretune.tracking.spool import Step
from paretune.tracking.steps import RunWriter
from paretune.tracking.store_errors import translate_errors
from paretune.tracking.tables import COLUMNS_READ

POINT = Point(
    costs={"params": 120, "macs": 900, "ram_bytes": 160, "flash_bytes": 480},
    f1=0.91,
    accuracy=0.92,
    loss=0.3,
    seconds=1.5,
    seed=4,
    family="conv",
    data="rows",
    best_epoch=2,
    config={"seed": 4, "model": {"widths": [2, 3]}},
)


@pytest.fixture
def store(tmp_path: Path, migrated) -> Store:
    migrated(tmp_path / "deep" / "mlflow.db")
    return Store(
        f"sqlite:///{tmp_path}/deep/mlflow.db",
        str(tmp_path / "deep/artifacts"),
        "tests",
    )


def start_sweep(store: Store, name: str = "small") -> SweepRecorder:
    recorder = SweepRecorder(
        {"uri": store.uri, "artifacts": store.artifacts, "experiment": store.experiment}
    )
    recorder.start(name, {"cap": 1000})
    return recorder


def run_trial(
    store: Store,
    tmp_path: Path,
    number: int = 0,
    sweep: str = "small",
    attempt: int = 0,
) -> str:
    tags = {
        "kind": "trial",
        "sweep": sweep,
        "trial": str(number),
        "data": "rows",
        "attempt": str(attempt),
    }
    weights = tmp_path / "weights.pt"
    weights.write_bytes(b"weights")
    again = ("sweep", "trial") if attempt else ()
    with RunRecorder(
        store,
        f"{sweep}-{number}",
        tags=tags,
        searched={"model.widths.0": "2"},
        replaces=again,
    ) as run:
        run.start(POINT)
        run.epoch(1, {"val_f1": 0.5})
        run.epoch(2, {"val_f1": 0.91})
        run.finish(POINT, {"images_per_s": 10.0}, [weights])
    return run.run_id


def test_a_trial_comes_back_as_the_point_that_went_in(store, tmp_path):
    start_sweep(store)
    run_id = run_trial(store, tmp_path)

    assert read_points(store, "small") == [replace(POINT, run_id=run_id)]


def test_a_config_longer_than_a_tag_comes_back_whole(store, tmp_path, monkeypatch):
    """Data of hundreds of classes has as many names in its config. Cuts fall on blanks,
    too.
    """
    names = [" " * (i % 7) + f"class {i}" for i in range(3000)]
    monkeypatch.setattr(
        sys.modules[__name__],
        "POINT",
        replace(POINT, config={"seed": 4, "data": {"names": names}}),
    )
    start_sweep(store)
    run_trial(store, tmp_path)

    assert [point.config for point in read_points(store, "small")] == [
        {"seed": 4, "data": {"names": names}}
    ]


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


def test_a_sweep_started_again_has_one_parent(store):
    first, second = start_sweep(store), start_sweep(store)
    first.finish("FINISHED", {}, ())

    assert first.run_id == second.run_id
    assert [run.data.tags["sweep"] for run in find_sweeps(store)] == ["small"]


def test_the_end_of_a_sweep_closes_the_runs_of_killed_workers(store):
    """Trial 0 failed for a reason, trial 1 was cut off, a worker still has trial 2."""
    sweep = start_sweep(store)
    tags = {"kind": "trial", "sweep": "small"}
    runs = [
        store.client.create_run(
            store.experiment_id, tags={**tags, "trial": str(n)}
        ).info.run_id
        for n in range(3)
    ]
    sweep.finish("FINISHED", {0: "its worker died"}, {2})
    closed = [store.client.get_run(run_id) for run_id in runs]

    assert [run.info.status for run in closed] == ["FAILED", "KILLED", "RUNNING"]
    assert closed[0].data.tags["error"] == "its worker died"


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


def test_what_was_added_to_the_config_is_searched_with_its_plus(store):
    start_sweep(store)
    tags = {"kind": "trial", "sweep": "small", "trial": "0"}
    with RunRecorder(
        store,
        "small-0",
        tags=tags,
        searched={"+optimizer.amsgrad": "true", "seed": "1"},
    ):
        pass
    (row,) = read_trials(store, "small").to_dict("records")

    assert row["searched"] == {"+optimizer.amsgrad": "true", "seed": "1"}
    assert row["param.optimizer.amsgrad"] == "true"


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


def test_the_store_lets_readers_read_while_one_writes(store):
    store.create()
    journal = Path(store.uri.removeprefix("sqlite:///") + "-wal")

    assert journal.exists()


def test_a_sweep_that_is_not_there_is_named_with_the_nearest(store):
    start_sweep(store, "under_10k")

    with pytest.raises(
        StoreError,
        match=(
            r"sweep `under10k` is not in the tracking store .*; did you mean "
            r"`under_10k`\?"
        ),
    ):
        read_points(store, "under10k")


def test_a_store_that_is_not_there_says_how_to_make_one(tmp_path):
    with pytest.raises(
        StoreError,
        match=(
            r"tracking store `.*/none.db` does not exist; .*paretune sweep "
            r"digits_demo.* PARETUNE_STORE"
        ),
    ):
        Store(f"sqlite:///{tmp_path}/none.db").require()


def test_a_store_that_is_no_database_is_one_line(tmp_path):
    (tmp_path / "mlflow.db").write_text(
        "not a database, though long enough to look at: " + "x" * 200
    )

    with pytest.raises(
        StoreError,
        match=(
            r"tracking store `sqlite:///.*mlflow.db` cannot be used \(.*\); give an "
            r"MLflow store with --store or tracking.uri"
        ),
    ):
        Store(f"sqlite:///{tmp_path}/mlflow.db").create()


def finished(store: Store, number: int, params: int, f1: float) -> str:
    tags = {"kind": "trial", "sweep": "small", "trial": str(number), "data": "rows"}
    with RunRecorder(store, f"small-{number}", tags=tags, searched={}) as run:
        point = replace(POINT, costs={"params": params}, f1=f1)
        run.start(point)
        run.finish(point, {}, [])
    return run.run_id


def test_the_tag_of_the_front_stays_true_while_trials_come_in(store):
    start_sweep(store)
    ids = [
        finished(store, n, *pair)
        for n, pair in enumerate([(100, 0.8), (200, 0.9), (50, 0.85), (200, 0.7)])
    ]
    tags = [store.client.get_run(run_id).data.tags["front"] for run_id in ids]

    assert tags == ["false", "true", "true", "false"]


def test_the_parent_has_the_volume_of_the_front_over_the_trials(store):
    parent = start_sweep(store)
    for number, pair in enumerate([(100, 0.8), (50, 0.85), (200, 0.7)]):
        finished(store, number, *pair)
    history = store.client.get_metric_history(parent.run_id, "hypervolume")
    expected = front_volume([50], [0.85], 1000)

    assert [point.step for point in history] == [0, 1, 2]
    assert (
        history[0].value
        < history[1].value
        == history[2].value
        == pytest.approx(expected)
    )


def test_trials_that_end_out_of_turn_leave_the_parent_with_the_figures_of_all(store):
    parent = start_sweep(store)
    for number, pair in ((1, (100, 0.8)), (0, (50, 0.85))):
        finished(store, number, *pair)
    parent.finish("FINISHED", {}, ())

    latest = store.client.get_run(parent.run_id).data.metrics
    assert latest["hypervolume"] == pytest.approx(front_volume([50], [0.85], 1000))


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


def test_an_error_that_says_nothing_is_named(store):
    with pytest.raises(StoreError, match="TimeoutError"), translate_errors(store.uri):
        raise TimeoutError


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


def test_a_sweep_name_with_quotes_and_slashes_is_found(store, tmp_path):
    start_sweep(store, "it's/one of ünser")
    run_trial(store, tmp_path, sweep="it's/one of ünser")

    assert len(read_points(store, "it's/one of ünser")) == 1


@given(
    value=st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
        min_size=1,
        max_size=20,
    )
)
@example(value="""a'b"c""")
@example(value="""it's a "b\\""")
@example(value="a' or tags.kind = 'b")
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_mlflow_finds_the_runs_of_any_name_and_no_others(store, value):
    runs = [
        store.client.create_run(store.experiment_id, tags={"sweep": name})
        for name in (value, f"{value}'", "x")
    ]

    found = find_runs_by_client(store, {"sweep": value})

    assert runs[0].info.run_id in {run.info.run_id for run in found}
    assert {run.data.tags["sweep"] for run in found} == {value}


def test_a_store_is_made_from_nothing(tmp_path):
    store = Store(
        f"sqlite:///{tmp_path}/a/b/mlflow.db", str(tmp_path / "a/artifacts"), "mine"
    )
    store.create()

    assert (
        store.client.get_experiment_by_name("mine").artifact_location
        == (tmp_path / "a/artifacts").as_uri()
    )


@pytest.mark.slow
def test_processes_may_make_a_store_at_the_same_time(tmp_path):
    store = Store(
        f"sqlite:///{tmp_path}/new/mlflow.db", str(tmp_path / "new/artifacts"), "tests"
    )
    make = (
        f"from paretune.tracking import Store; Store({store.uri!r}, "
        f"{store.artifacts!r}, 'tests').create()"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", make], stderr=subprocess.PIPE)
        for _ in range(4)
    ]

    assert [process.communicate()[1] for process in processes] == [b""] * 4
    assert store.experiment_id


def test_a_trial_of_a_sweep_without_a_parent_run_is_complete(store, tmp_path):
    """Somebody deleted the parent, or the sweep has no recorder."""
    run = store.client.get_run(run_trial(store, tmp_path))

    assert (run.info.status, run.data.tags["state"], run.data.tags["front"]) == (
        "FINISHED",
        "complete",
        "true",
    )


def test_the_tables_give_the_same_as_the_client(store, tmp_path, monkeypatch):
    start_sweep(store)
    for number in range(3):
        run_trial(store, tmp_path, number)
    run_trial(store, tmp_path, 1, attempt=1)
    failed = run_trial(store, tmp_path, 3)
    store.client.log_metric(failed, "val_f1", math.nan)
    tables, curve = (
        read_trials(store, "small"),
        read_metric(store, failed, "epoch/val_f1"),
    )
    monkeypatch.setitem(
        COLUMNS_READ, "runs", {"run_uuid", "a_column_of_another_version"}
    )

    assert_frame_equal(tables, read_trials(store, "small"))
    assert curve == read_metric(store, failed, "epoch/val_f1") == [(1, 0.5), (2, 0.91)]


def test_a_deleted_run_is_not_read(store, tmp_path):
    start_sweep(store)
    store.client.delete_run(run_trial(store, tmp_path, 0))
    run_trial(store, tmp_path, 1)

    assert [run.data.tags["trial"] for run in find_trials(store, "small")] == ["1"]


def test_the_columns_that_are_read_are_in_a_store_of_the_mlflow_that_is_installed(
    store,
):
    """Else reading is right but slow: check :mod:`paretune.tracking.tables` against the
    new tables.
    """
    there = columns_in(store.file)

    assert [
        table for table, columns in COLUMNS_READ.items() if columns - there[table]
    ] == []


def test_a_store_of_another_revision_with_the_same_columns_is_read_from_its_tables(
    store, tmp_path, caplog
):
    start_sweep(store)
    run_trial(store, tmp_path)
    other, path = copied(store)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")

    assert len(read_points(other, "small")) == 1
    assert not caplog.messages


def test_reading_without_the_columns_falls_back_to_mlflow_and_says_so_once(
    store, tmp_path, monkeypatch, caplog
):
    start_sweep(store)
    run_trial(store, tmp_path)
    other, path = copied(store)
    monkeypatch.setitem(COLUMNS_READ, "runs", {"a_new_column"})
    read_points(other, "small")
    read_points(other, "small")

    (said,) = [message for message in caplog.messages if "read directly" in message]
    assert said.startswith(
        f"the tables of {path} are not read directly (its table runs has no column "
        "a_new_column), but"
    )


def test_reading_a_table_imports_neither_mlflow_nor_torch(store, tmp_path):
    start_sweep(store)
    run_trial(store, tmp_path)
    code = (
        "import sys; from paretune.pareto import front; front('small', "
        f"uri='{store.uri}'); print({{'mlflow', 'torch'}} & set(sys.modules))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert answer.stdout.strip() == "set()"


def copied(store: Store) -> tuple[Store, str]:
    """A store that this process has not opened yet (MLflow keeps what it has), and its
    file.
    """
    store.create()
    path = str(store.file.with_name("other.db"))
    with (
        closing(sqlite3.connect(store.file)) as source,
        closing(sqlite3.connect(path)) as target,
    ):
        source.backup(target)
    return Store(f"sqlite:///{path}", store.artifacts, store.experiment), path


def test_a_store_of_another_schema_says_what_to_do(store):
    other, path = copied(store)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")

    with pytest.raises(
        StoreError,
        match=(
            r"cannot be used \(Detected out-of-date .*\); back it up and run "
            r"`mlflow db upg"
        ),
    ):
        other.create()


def half_make(path: str) -> None:
    """Leave a store as MLflow does that is stopped between two of its tables."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM alembic_version")
        connection.execute("DROP TABLE scheduler_leases")


def test_a_store_that_was_left_half_made_says_what_to_do(store):
    other, path = copied(store)
    half_make(path)

    with pytest.raises(
        StoreError,
        match=(
            r"tracking store `.*` cannot be used \(.*\); it was left half-made, .* and "
            r"holds no run; delete the file, and the same command makes it anew$"
        ),
    ) as said:
        other.create()
    assert "\n" not in str(said.value)


def test_a_half_made_store_that_holds_runs_is_not_to_be_deleted(store, tmp_path):
    start_sweep(store)
    run_trial(store, tmp_path)
    other, path = copied(store)
    half_make(path)

    with pytest.raises(
        StoreError, match=r"upgrade of its tables was cut off, .*; put a backup back"
    ):
        other.create()


@pytest.mark.slow
def test_a_locked_store_says_what_to_do(store):
    """MLflow waits for 20 seconds before it gives up."""
    other, path = copied(store)
    with closing(sqlite3.connect(path)) as holder:
        holder.executescript("PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE;")
        with pytest.raises(
            StoreError,
            match=(
                r"cannot be used \(.*is locked.*\); another process holds it; wait, "
                r"or"
            ),
        ):
            find_runs(other, {"kind": "sweep"})


@pytest.mark.parametrize(
    "uri", ["postgresql+psycopg://ann:secret@host/db", "http://ann:secret@host:5000"]
)
def test_a_password_in_the_uri_is_refused_and_not_repeated(uri):
    with pytest.raises(
        ConfigError,
        match=r"URL `.*://ann:\*\*\*@host.*` holds a password, .*PGPASSWORD or ~/.pgpass",
    ) as refusal:
        Store(uri)
    assert "secret" not in str(refusal.value)


SECTIONS = st.dictionaries(
    st.sampled_from(["seed", "model", "cap"]),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(0, 1)
        | st.sampled_from([0.0, 1.0, "1"]),
        st.lists,
        max_leaves=3,
    ),
)


@given(st.lists(SECTIONS, max_size=5))
def test_configs_that_are_read_together_are_those_that_were_kept(configs):
    """Also where parts are equal in Python, such as 1, 1.0 and true."""
    assert repr(configs_of(map(config_tags, configs))) == repr(configs)


def test_equal_sections_of_configs_are_one_object():
    first, second = configs_of(
        map(
            config_tags,
            [
                {"seed": 1, "model": {"widths": [4]}},
                {"seed": 2, "model": {"widths": [4]}},
            ],
        )
    )

    assert first["model"] is second["model"]


def test_a_part_of_a_run_is_what_was_asked_for(store, tmp_path):
    start_sweep(store)
    run_trial(store, tmp_path)
    (whole,), (part,) = (
        find_trials(store, "small", only=only).copy()
        for only in (None, Part(("trial", "val_f1"), config=True))
    )

    assert set(part.data.tags) == {"trial", "config"}
    assert part.data.metrics == {"val_f1": whole.data.metrics["val_f1"]}
    assert (part.info, part.data.params) == (whole.info, {})
