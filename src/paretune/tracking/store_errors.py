"""Errors of a store that cannot be used, told in a line with what to do about it."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from paretune.errors import StoreError, first_line
from paretune.paths import sqlite_file
from paretune.retry import FaultError, error_of, fault_of, sqlite_codes_of
from paretune.tracking.database import columns_of, open_read_only
from paretune.tracking.error_types import list_error_types

HELD = "another process holds it; wait, or stop that process"
REMEDIES_BY_SQLITE_CODE = {
    sqlite3.SQLITE_BUSY: HELD,
    sqlite3.SQLITE_LOCKED: HELD,
    sqlite3.SQLITE_NOTADB: "give an MLflow store with --store or tracking.uri",
    sqlite3.SQLITE_READONLY: (
        "another version of MLflow made it; back it up and run `mlflow db upgrade "
        "<uri>`"
    ),
    sqlite3.SQLITE_CORRUPT: "the file is damaged: put a backup back",
}
# MLflow and SQLite tell these in words alone.
OUT_OF_DATE = "out-of-date database schema"
UPGRADE = (
    "back it up and run `mlflow db upgrade <uri>`, or install the MLflow that made it"
)
HALF_MADE = re.compile(r"table \S+ already exists|duplicate column name")


@contextmanager
def translate_errors(uri: str) -> Iterator[None]:
    """Raise errors of MLflow and its database as a
    :class:`~paretune.errors.StoreError` of one line.
    """
    try:
        yield
    except list_error_types() as error:
        raise _translate(error, uri) from error


def _translate(error: Exception, uri: str) -> StoreError:
    file = _file_named_by(uri)
    fault = fault_of(error, file)
    remedy = _find_remedy(error, file)
    if fault and not remedy:
        return error_of(fault, f"tracking store `{file or uri}`")
    reason = first_line(error).split(". ")[0]
    message = (
        f"tracking store `{uri}` cannot be used ({reason}); "
        f"{remedy or 'check tracking.uri, which has to name an MLflow store'}"
    )
    if fault:
        return FaultError(message)
    return StoreError(message)


def _find_remedy(error: Exception, file: Path | None) -> str | None:
    for code in sqlite_codes_of(error):
        if code in REMEDIES_BY_SQLITE_CODE:
            return REMEDIES_BY_SQLITE_CODE[code]
    if OUT_OF_DATE in str(error):
        return UPGRADE
    if HALF_MADE.search(str(error)):
        return _remedy_of_half_made(file)
    return None


def _remedy_of_half_made(file: Path | None) -> str:
    """Advice for a store in which MLflow was stopped between two tables, as by a disk
    that was full: it does not go on with a part of them.
    """
    if file and not _has_runs(file):
        return (
            "it was left half-made, as by a disk that was full, and holds no run; "
            "delete the file, and the same command makes it anew"
        )
    return (
        "an upgrade of its tables was cut off, as by a disk that was full; put a "
        "backup back, and run `mlflow db upgrade <uri>` again"
    )


def _has_runs(file: Path) -> bool:
    """Whether a SQLite file has runs, or may have some that cannot be read."""
    try:
        with open_read_only(file) as connection:
            if "runs" not in columns_of(connection):
                return False
            row = connection.execute("SELECT 1 FROM runs LIMIT 1").fetchone()
    except sqlite3.Error:
        return True
    return row is not None


def _file_named_by(uri: str) -> Path | None:
    with suppress(Exception):  # it is no URI of a database, which is what is told
        return sqlite_file(uri)
    return None
