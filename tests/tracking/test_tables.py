import math
import sqlite3
import subprocess
import sys
from contextlib import closing

from pandas.testing import assert_frame_equal
from recording import copied, run_trial, start_sweep

from paretune.tracking import (
    read_points,
    read_trials,
)
from paretune.tracking.database import columns_in
from paretune.tracking.entities import Part
from paretune.tracking.runs import (
    find_trials,
    read_metric,
)
from paretune.tracking.tables import COLUMNS_READ


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
