"""What to do when a store fails: wait for what comes back by itself, and tell a person
what does not.

A database that is busy, restarts or cannot be reached is an :class:`Outage`: the same
call is tried again. A disk that is full, or a file that is read-only, gone or damaged
is a :class:`Fault`: waiting mends nothing, so that the command ends with one line that
says what does.
"""

import errno
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from paretune.errors import StoreError, first_line

log = logging.getLogger(__name__)

LEAST_FREE_BYTES = 16_384  # what no database can be written with
TOLD_AFTER_S = 5.0  # a lock of a busy database is shorter
# How long a call waits for a store that is busy or away: a restart takes seconds, a
# failover a minute or two.
LONGEST_OUTAGE_S = 300.0
LAST_TRIES_S = 3.0  # for closing what is open, once somebody asked the process to stop


@dataclass(frozen=True)
class Fault:
    """Something that only a person can mend: what is ``wrong`` with a file, and what to
    do (``mend``).
    """

    wrong: str
    mend: str


GOES_ON = "the same command then goes on from here"
DISK_FULL = Fault("its disk is full", f"free some space; {GOES_ON}")
FILE_TOO_LARGE = Fault(
    "it may not grow any further",
    f"raise the limit (a quota, or `ulimit -f`); {GOES_ON}",
)
READ_ONLY = Fault("it is read-only", f"make it and its folder writable; {GOES_ON}")
GONE = Fault("it is not there any more", f"put it back, or mount its disk; {GOES_ON}")
DAMAGED = Fault(
    "it is damaged",
    "restore it from a backup, or start anew in another folder (PARETUNE_STORE)",
)
EMPTIED = Fault(
    "it was deleted or emptied",
    "restore it from a backup, or start anew in another folder (PARETUNE_STORE)",
)
NO_DATABASE = Fault(
    "it is no SQLite database", "give the right file, or restore it from a backup"
)
DISK_FAILS = Fault("its disk gives errors", f"check the disk; {GOES_ON}")

FAULTS_BY_ERRNO = {
    errno.ENOSPC: DISK_FULL,
    errno.EDQUOT: FILE_TOO_LARGE,
    errno.EFBIG: FILE_TOO_LARGE,
    errno.EROFS: READ_ONLY,
    errno.EIO: DISK_FAILS,
}
OF_FILES = {
    errno.EACCES: READ_ONLY,
    errno.EPERM: READ_ONLY,
    errno.ENOENT: GONE,
    errno.ENOTDIR: GONE,
}
FAULTS_BY_SQLITE_CODE = {
    sqlite3.SQLITE_FULL: DISK_FULL,
    sqlite3.SQLITE_READONLY: READ_ONLY,
    sqlite3.SQLITE_PERM: READ_ONLY,
    sqlite3.SQLITE_AUTH: READ_ONLY,
    sqlite3.SQLITE_CANTOPEN: GONE,
    sqlite3.SQLITE_CORRUPT: DAMAGED,
    sqlite3.SQLITE_NOTADB: NO_DATABASE,
    sqlite3.SQLITE_IOERR: DISK_FAILS,
}
BUSY_SQLITE_CODES = (
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_PROTOCOL,
)
PRIMARY_CODE = 0xFF  # of SQLite's extended result codes
LOST_TABLES = ("no such table", "no such column")
FAULTS_BY_SQLSTATE = {
    "53100": DISK_FULL,
    "42501": READ_ONLY,
    "42P01": EMPTIED,
    "XX001": DAMAGED,
    "XX002": DAMAGED,
}


class FaultError(StoreError):
    """A store cannot be used until a person mends it; the same command then goes on."""


def fault_of(error: BaseException, path: Path | None = None) -> Fault | None:
    """What a person has to mend before the call that raised ``error`` can work;
    ``None`` if nobody has to.

    ``path`` is the database's file, if it is one: SQLite's own words do not always tell
    a full disk from a missing file.
    """
    for cause in _causes(error):
        if isinstance(cause, sqlite3.Error):
            return _fault_of_sqlite(cause, path)
        if isinstance(cause, OSError):
            return FAULTS_BY_ERRNO.get(cause.errno or 0)
        if state := getattr(cause, "sqlstate", None):  # of PostgreSQL
            return FAULTS_BY_SQLSTATE.get(state)
    return None


def _fault_of_sqlite(error: sqlite3.Error, path: Path | None) -> Fault | None:
    code = getattr(error, "sqlite_errorcode", 0) & PRIMARY_CODE
    # SQLite makes a deleted file anew.
    is_emptied = code == sqlite3.SQLITE_ERROR and str(error).startswith(LOST_TABLES)
    fault = EMPTIED if is_emptied else FAULTS_BY_SQLITE_CODE.get(code)
    seen = fault_of_file(path) if fault and path else None
    # By a command that only reads.
    is_opened_so = fault is READ_ONLY and path is not None
    return seen or (None if is_opened_so else fault)


def is_busy(error: BaseException) -> bool:
    """Whether another process holds the SQLite database."""
    return any(code in BUSY_SQLITE_CODES for code in sqlite_codes_of(error))


def sqlite_codes_of(error: BaseException) -> Iterator[int]:
    """SQLite's primary codes of the error and of what it was raised from."""
    for cause in _causes(error):
        if isinstance(cause, sqlite3.Error):
            yield getattr(cause, "sqlite_errorcode", 0) & PRIMARY_CODE


FileId = tuple[int, int]  # its device and its number there


def file_id(path: Path) -> FileId:
    """What tells a file apart from another one that took its name. Raises
    ``OSError``.
    """
    status = path.stat()
    return status.st_dev, status.st_ino


def fault_of_file(path: Path, opened: FileId | None = None) -> Fault | None:
    """What is wrong with a database's file or its disk, as far as the operating system
    tells.

    It was deleted, too, if it is another one than was ``opened``: SQLite makes an empty
    one at the next connection.
    """
    try:
        if opened not in (None, file_id(path)):
            return EMPTIED
        disk = os.statvfs(path)
    except OSError as error:
        return (FAULTS_BY_ERRNO | OF_FILES).get(error.errno or 0)
    if disk.f_flag & os.ST_RDONLY or not os.access(path, os.W_OK):
        return READ_ONLY
    free_blocks = disk.f_bfree if os.geteuid() == 0 else disk.f_bavail
    has_no_inode = disk.f_files > 0 and disk.f_ffree == 0
    return (
        DISK_FULL
        if has_no_inode or free_blocks * disk.f_frsize < LEAST_FREE_BYTES
        else None
    )


def error_of(fault: Fault, what: str) -> FaultError:
    """The error that tells a person of the ``fault`` of ``what``, such as "the study's
    database `optuna.db`".
    """
    return FaultError(f"{what} cannot be used: {fault.wrong}; {fault.mend}")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error itself and what it was raised from; of SQLAlchemy's the driver's
    own.
    """
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = getattr(cause, "orig", None) or cause.__cause__


def comes_of(error: BaseException, kind: type[BaseException]) -> bool:
    """Whether the error is of this kind, or was raised while one of it was handled:
    libraries make errors of their own of interrupts.
    """
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        if isinstance(cause, kind):
            return True
        seen.add(id(cause))
        cause = cause.__cause__ or cause.__context__
    return False


class Patience:
    """Whether this process may still wait for what is away; not once somebody asked it
    to stop.
    """

    def __init__(self) -> None:
        self._ended = threading.Event()
        self._ends_s = float("inf")

    def end(self) -> None:
        """Somebody asked this process to stop: what waits now tries once more at
        most.
        """
        if not self._ended.is_set():
            self._ends_s = time.monotonic() + LAST_TRIES_S
            self._ended.set()

    def begin(self) -> None:
        """A new task of this process may wait again."""
        self._ended.clear()
        self._ends_s = float("inf")

    def is_ended(self) -> bool:
        """Whether somebody asked this process to stop."""
        return self._ended.is_set()

    def is_over(self) -> bool:
        """Whether nothing is waited for any more."""
        return time.monotonic() >= self._ends_s

    def sleep(self, seconds: float) -> None:
        """Sleep, but not beyond the end."""
        self._ended.wait(max(0.0, seconds))
        if self._ended.is_set():
            time.sleep(min(0.2, seconds))


patience = Patience()


class Outage:
    """How long something has been away that comes back by itself, such as a database
    that restarts.

    Each :meth:`noticed` makes the pause before the next try longer; one line in the log
    says that ``what`` is away, one that it is back.
    """

    def __init__(
        self, what: str, pauses_s: Sequence[float], told_after_s: float = 0.0
    ) -> None:
        self.what, self.pauses_s, self.told_after_s = what, pauses_s, told_after_s
        self.tries, self.since_s, self.next_s = 0, 0.0, 0.0
        self.is_told = False

    def is_over(self) -> bool:
        """Whether it is time to try again."""
        return time.monotonic() >= self.next_s

    def noticed(self, error: BaseException) -> float:
        """It is still away; returns the seconds since it was first away."""
        now_s = time.monotonic()
        if not self.tries:
            self.since_s = now_s
        if not self.is_told and now_s - self.since_s >= self.told_after_s:
            log.warning("%s is away (%s); waiting for it", self.what, _reason(error))
            self.is_told = True
        self.next_s = now_s + self.pauses_s[min(self.tries, len(self.pauses_s) - 1)]
        self.tries += 1
        return now_s - self.since_s

    def wait(self) -> None:
        """Sleep until it is time to try again, or until somebody asks this process to
        stop.
        """
        patience.sleep(self.next_s - time.monotonic())

    def ended(self) -> None:
        """It answered."""
        if self.is_told:
            log.info("%s is back", self.what)
        self.tries, self.next_s, self.is_told = 0, 0.0, False


def _reason(error: BaseException) -> str:
    """What the first cause says: a library around it tells less."""
    *_, cause = _causes(error)
    return first_line(cause)[:200]
