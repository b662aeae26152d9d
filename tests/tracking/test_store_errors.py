import sqlite3
from contextlib import closing

import pytest
from recording import copied, run_trial, start_sweep

from paretune.errors import StoreError
from paretune.tracking import (
    Store,
)
from paretune.tracking.runs import (
    find_runs,
)
from paretune.tracking.store_errors import translate_errors


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


def test_an_error_that_says_nothing_is_named(store):
    with pytest.raises(StoreError, match="TimeoutError"), translate_errors(store.uri):
        raise TimeoutError


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
