"""The SQLite database of a store: made whole, read without being changed, and named for
MLflow's client.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from paretune.atomic import atomically
from paretune.paths import sqlite_url
from paretune.retry import error_of, fault_of
from paretune.tracking.error_types import list_error_types

DRIVER = "sqlite+pysqlite"
DATABASE_TIMEOUT_S = 0.5


def client_url(url: str) -> str:
    """The URL of a SQLite file as MLflow's client is to have it.

    Of ``sqlite:///...`` it would make the folder by the escaped name, so the file's
    driver is named, too.
    """
    return f"{DRIVER}:{url.partition(':')[2]}"


def read_only_client_url(file: Path) -> str:
    """The URL by which MLflow's client cannot write to a SQLite file."""
    from sqlalchemy.engine.url import URL

    url = URL.create(
        DRIVER,
        database=file.resolve().as_uri(),
        query={"mode": "ro", "uri": "true"},
    )
    return url.render_as_string()


def make_database(file: Path) -> None:
    """Make a SQLite file with MLflow's tables, whole or not at all: MLflow does not go
    on with a part of them.

    Raises :class:`~paretune.retry.FaultError` if the disk is full or read-only.
    """
    from mlflow import MlflowClient

    with atomically(file) as staged:
        try:
            # The client makes the tables as soon as there is one.
            client = MlflowClient(client_url(sqlite_url(staged)))
            client.search_experiments(max_results=1)
        except list_error_types() as error:
            if fault := fault_of(error, staged):
                raise error_of(fault, f"tracking store `{file}`") from error
            raise


def let_readers_read(file: Path) -> None:
    """Have readers never wait for a writer (WAL)."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


def try_to_lock(file: Path) -> None:
    """Raise ``sqlite3.OperationalError`` if another process holds a SQLite file."""
    connection = sqlite3.connect(file, timeout=DATABASE_TIMEOUT_S, isolation_level=None)
    with closing(connection):
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")


@contextmanager
def open_read_only(file: Path) -> Iterator[sqlite3.Connection]:
    """A connection to the SQLite file that cannot write. Raises ``sqlite3.Error``.

    Where the folder cannot be written either, such as one that is mounted read-only,
    SQLite needs to be told that nobody else writes the file.
    """
    url = f"{file.resolve().as_uri()}?mode=ro"
    with closing(_connect(url)) as connection:
        if _can_read(connection, file):
            yield connection
            return
    with closing(_connect(f"{url}&immutable=1")) as connection:
        yield connection


def _connect(url: str) -> sqlite3.Connection:
    return sqlite3.connect(url, uri=True, isolation_level=None)


def _can_read(connection: sqlite3.Connection, file: Path) -> bool:
    """Whether the file can be read as it is; ``False`` if it may be read as one that
    nobody writes. Raises ``sqlite3.Error`` if it cannot be read at all.
    """
    try:
        connection.execute("SELECT name FROM sqlite_master LIMIT 1").fetchone()
    except sqlite3.OperationalError:
        is_writable = os.access(file.parent, os.W_OK)
        if is_writable or not os.access(file, os.R_OK) or _has_journal(file):
            raise
        return False
    return True


def _has_journal(file: Path) -> bool:
    journal = file.with_name(f"{file.name}-wal")
    return journal.is_file() and journal.stat().st_size > 0


def columns_in(file: Path) -> dict[str, set[str]]:
    """The names of the columns of each table of a SQLite file. Raises
    ``sqlite3.Error``.
    """
    with open_read_only(file) as connection:
        return columns_of(connection)


def columns_of(connection: sqlite3.Connection) -> dict[str, set[str]]:
    """The names of the columns of each table. Raises ``sqlite3.Error``."""
    rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    columns: dict[str, set[str]] = {}
    for (table,) in rows.fetchall():
        named = connection.execute("SELECT name FROM pragma_table_info(?)", [table])
        columns[table] = {name for (name,) in named}
    return columns
