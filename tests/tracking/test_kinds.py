"""What a command that reads is given instead of a tracking store; and that reading
writes nothing.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

import mlflow.store.db_migrations
import optuna
import pytest
from alembic.script import ScriptDirectory
from recording import copied, start_sweep

from paretune.commands.confirm import cli as confirm
from paretune.commands.export import cli as export
from paretune.commands.pareto import cli as pareto
from paretune.errors import StoreError
from paretune.paths import sqlite_url
from paretune.tracking import Store
from paretune.tracking.kinds import check_tables, tables_of_url
from paretune.tracking.runs import find_trials


@pytest.fixture
def store(tmp_path, migrated) -> Store:
    migrated(tmp_path / "mlflow.db")
    return Store(sqlite_url(tmp_path / "mlflow.db"), str(tmp_path / "artifacts"))


def optuna_study(file: Path) -> None:
    optuna.create_study(study_name="s", storage=sqlite_url(file))


def other_database(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE songs (title)")


def no_tables(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("PRAGMA user_version = 1")


def text(file: Path) -> None:
    file.write_text("no database, though long enough to look at: " + "x" * 200)


def nothing(file: Path) -> None:
    file.write_bytes(b"")


def folder(file: Path) -> None:
    file.mkdir()


def absent(file: Path) -> None:
    pass


KINDS = [
    (optuna_study, r"is the study of a sweep \(Optuna's\)"),
    (other_database, r"is a database of something else \(its tables: songs\)"),
    (no_tables, r"is a database of something else \(its tables: none\)"),
    (text, r"cannot be used \(file is not a database\)"),
    (nothing, r"is empty \(0 bytes\)"),
    (folder, "is a folder"),
    (absent, "does not exist"),
]


@pytest.mark.parametrize("cli", [pareto, confirm, export])
@pytest.mark.parametrize(("make", "said"), KINDS)
def test_a_command_that_reads_says_what_it_was_given_and_leaves_it_as_it_is(
    answered, tmp_path, cli, make, said
):
    file = tmp_path / "given.db"
    make(file)
    before = file.read_bytes() if file.is_file() else b""
    answer = answered(
        cli, "s", *(["model.onnx"] if cli is export else []), "--uri", sqlite_url(file)
    )

    assert answer.code == 2
    with pytest.raises(
        RuntimeError, match=f"tracking store `{file}` {said}; (expected|run) .*"
    ):
        raise RuntimeError(answer.err)
    assert len(answer.err.strip().splitlines()) == 1
    assert (file.read_bytes() if file.is_file() else b"") == before


@pytest.mark.parametrize("size", [100, 5000, 60_000])
def test_a_store_that_was_cut_off_is_one_line(store, tmp_path, size):
    start_sweep(store)
    other, path = copied(store)
    Path(path).write_bytes(Path(path).read_bytes()[:size])

    with pytest.raises(
        StoreError,
        match=(
            r"tracking store `.*` is cut off, as a copy is that broke off; .*copy it "
            r"again"
        ),
    ):
        find_trials(other.open_for_reading(), "small")


def test_reading_a_store_of_an_older_mlflow_does_not_upgrade_it(store):
    """MLflow itself would."""
    other, path = copied(store)
    versions = ScriptDirectory(str(Path(mlflow.store.db_migrations.__file__).parent))
    older = versions.get_revision("heads").down_revision
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", [older])
        connection.execute("DROP TABLE scheduler_leases")
        connection.execute("ALTER TABLE latest_metrics RENAME COLUMN is_nan TO nan")
    before = Path(path).read_bytes()

    with pytest.raises(StoreError, match=r"; back it up and run `mlflow db upgrade"):
        find_trials(other.open_for_reading(), "small")
    assert Path(path).read_bytes() == before


@pytest.mark.parametrize("make", [optuna_study, other_database])
def test_any_database_is_looked_at_before_mlflow_makes_its_tables_in_it(tmp_path, make):
    """Of PostgreSQL, too: what is asked is SQLAlchemy's."""
    make(tmp_path / "given.db")
    tables = tables_of_url(f"sqlite+pysqlite:///{tmp_path}/given.db")

    with pytest.raises(StoreError, match="expected an MLflow store"):
        check_tables("postgresql://host/given", tables)


@pytest.mark.parametrize(
    "uri",
    [
        "file:./mlruns",
        "file:///tmp/mlruns",
        "mlruns",
        "/tmp/store/mlflow.db",
        "store.db",
        "C:",
    ],
)
def test_a_folder_or_a_path_is_refused_with_what_to_write(uri):
    with pytest.raises(
        StoreError,
        match=rf"tracking.uri `{uri}` is a path, .*; write sqlite:////.*\.db \(",
    ):
        Store(uri)
