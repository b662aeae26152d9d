"""What is waited for and what a person has to mend, told from real errors of SQLite and
of the operating system.
"""

import errno
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from paretune.retry import (
    DAMAGED,
    DISK_FAILS,
    DISK_FULL,
    EMPTIED,
    FILE_TOO_LARGE,
    GONE,
    NO_DATABASE,
    READ_ONLY,
    Fault,
    Outage,
    fault_of,
    fault_of_file,
    is_busy,
)

CREATE, INSERT = "CREATE TABLE t (x)", "INSERT INTO t VALUES (zeroblob(100000))"


def busy(path: Path) -> sqlite3.Connection:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    return sqlite3.connect(path, timeout=0)


def full(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA max_page_count = 3")
    return connection


def read_only(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True)


def in_no_folder(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path.parent / "gone" / "x.db")


def garbled(path: Path) -> sqlite3.Connection:
    path.write_bytes(path.read_bytes()[:4096] + b"\xff" * 4096)
    return sqlite3.connect(path)


def emptied(path: Path) -> sqlite3.Connection:
    os.truncate(path, 0)
    return sqlite3.connect(path)


def another_file(path: Path) -> sqlite3.Connection:
    path.write_bytes(b"no database " * 1000)
    return sqlite3.connect(path)


def deleted_while_open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path)
    connection.execute("SELECT * FROM t")
    path.unlink()
    return connection


def error_in(path: Path, opened: Callable[[Path], sqlite3.Connection]) -> sqlite3.Error:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(CREATE)
    with pytest.raises(sqlite3.Error) as caught, closing(opened(path)) as connection:
        connection.execute(INSERT)
    return caught.value


@pytest.mark.parametrize(
    ("opened", "fault"),
    [
        (busy, None),
        (full, DISK_FULL),
        (in_no_folder, GONE),
        (garbled, DAMAGED),
        (emptied, EMPTIED),
        (another_file, NO_DATABASE),
        (deleted_while_open, GONE),
    ],
)
def test_errors_of_sqlite(tmp_path, opened, fault):
    path = tmp_path / "x.db"
    error = error_in(path, opened)

    assert fault_of(error, path) == fault
    assert is_busy(error) == (fault is None)


def test_a_database_that_was_opened_to_be_read_has_no_fault(tmp_path):
    path = tmp_path / "x.db"
    error = error_in(path, read_only)

    assert fault_of(error, path) is None
    assert fault_of(error) == READ_ONLY


def test_an_error_within_sqlalchemys_and_ours_is_found(tmp_path):
    with pytest.raises(SQLAlchemyError) as caught:
        create_engine(f"sqlite:///{tmp_path}/x.db").connect().execute(
            text("SELECT * FROM missing")
        )
    ours = ValueError("a library's")
    ours.__cause__ = caught.value

    assert fault_of(ours) == EMPTIED


@pytest.mark.parametrize(
    ("number", "fault"),
    [
        (errno.ENOSPC, DISK_FULL),
        (errno.EDQUOT, FILE_TOO_LARGE),
        (errno.EFBIG, FILE_TOO_LARGE),
        (errno.EROFS, READ_ONLY),
        (errno.EIO, DISK_FAILS),
        (errno.ENOENT, None),
        (errno.ECONNREFUSED, None),
        (errno.ETIMEDOUT, None),
    ],
)
def test_errors_of_the_operating_system(number, fault: Fault | None):
    assert fault_of(OSError(number, os.strerror(number))) == fault


@pytest.mark.parametrize(
    "error",
    [
        ValueError("x"),
        KeyboardInterrupt(),
        RuntimeError(),
        sqlite3.NotSupportedError("x"),
    ],
)
def test_what_says_nothing_of_the_machine_is_no_fault(error):
    assert fault_of(error) is None
    assert not is_busy(error)


def test_a_file_that_can_be_used_has_no_fault(tmp_path):
    assert fault_of_file(tmp_path) is None
    assert fault_of_file(tmp_path / "missing") == GONE


def test_a_short_outage_is_not_worth_a_line(caplog):
    outage = Outage("the database", (0.0,), told_after_s=60.0)
    outage.noticed(ValueError("it is locked"))
    outage.ended()

    assert caplog.text == ""


def test_an_outage_is_told_once_when_it_begins_and_once_when_it_is_over(caplog):
    caplog.set_level("INFO")
    outage = Outage("the database", (0.0,))
    for _ in range(3):
        outage.noticed(ValueError("it is locked"))
    outage.ended()

    assert caplog.messages == [
        "the database is away (it is locked); waiting for it",
        "the database is back",
    ]
