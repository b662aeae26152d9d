"""Steps of runs on disk, for as long as the store has not got them: what is noted there
outlives an outage and the process.

A folder of the spool is one run. Its ``steps.jsonl`` holds a line ``[step, milliseconds
since 1970, arguments]`` for each step, its ``state.json`` ``[number of steps that the
store has, id of the run]``, its ``files`` copies of what is to be attached. The process
that writes the run locks ``lock``.
"""

import fcntl
import json
import logging
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from paretune.atomic import atomically
from paretune.retry import error_of, fault_of

log = logging.getLogger(__name__)

# How folders begin that a process is making or removing; and how old one is that a
# killed process left.
MAKING = ".new-"
REMOVING = ".done-"
ABANDONED_AFTER_S = 60.0
STEPS_FILE = "steps.jsonl"
STATE_FILE = "state.json"
FILES_FOLDER = "files"


class DamagedError(Exception):
    """A folder of the spool holds something that Paretune did not write."""


@dataclass(frozen=True)
class Step:
    """Something that happened to a run, at ``at_ms`` milliseconds since 1970."""

    name: str
    at_ms: int
    arguments: dict[str, Any]


@dataclass(frozen=True)
class SpoolState:
    """The number of steps that the store has, and the run's id there; empty before."""

    done: int = 0
    run_id: str = ""


class SpoolFolder:
    """The folder of one run, locked by this process."""

    def __init__(self, path: Path, lock: IO[str]) -> None:
        self.path = path
        self._lock = lock

    @classmethod
    def make(cls, spool: Path) -> "SpoolFolder":
        """A new one. Raises :class:`~paretune.retry.FaultError` if the disk is full or
        read-only.
        """
        key = f"{time.time_ns()}-{uuid.uuid4().hex}"  # in the order of their age
        hidden = spool / f"{MAKING}{key}"  # no process looks at it before it is locked
        with _translate_faults(spool):
            hidden.mkdir(parents=True)
            lock = _lock(hidden)
            hidden.rename(spool / key)
        return cls(spool / key, lock)

    @classmethod
    def take_over(cls, path: Path) -> "SpoolFolder":
        """One that another process left.

        Raises ``BlockingIOError`` if that process still has it, ``FileNotFoundError``
        if it is gone.
        """
        return cls(path, _lock(path))

    @property
    def key(self) -> str:
        """Its name, by which a run in the store tells that it was made from here."""
        return self.path.name

    def state(self) -> SpoolState:
        """The part of the run that the store has. Raises :class:`DamagedError`."""
        path = self.path / STATE_FILE
        if not path.is_file():
            return SpoolState()
        match _parse(path.read_bytes()):
            case [int(done), str(run_id)] if done >= 0:
                return SpoolState(done, run_id)
        raise DamagedError(f"its {STATE_FILE} is damaged")

    def steps(self) -> list[Step]:
        """All steps that were noted whole: a process may have died while it wrote.
        Raises :class:`DamagedError`.
        """
        path = self.path / STEPS_FILE
        if not path.exists():
            return []
        steps: list[Step] = []
        for number, line in enumerate(path.read_bytes().splitlines(keepends=True), 1):
            if line.endswith(b"\n"):
                steps.append(_step_of(line, number))
        return steps

    def note(self, step: Step) -> None:
        """Add a step. Raises :class:`~paretune.retry.FaultError` if the disk is full or
        read-only.
        """
        line = json.dumps([step.name, step.at_ms, step.arguments])
        with _translate_faults(self.path), (self.path / STEPS_FILE).open("a") as file:
            file.write(f"{line}\n")

    def keep(self, files: Iterable[str]) -> list[str]:
        """Copies of files that stay until the folder is removed. Raises
        :class:`~paretune.retry.FaultError` like :meth:`note`.
        """
        folder = self.path / FILES_FOLDER
        with _translate_faults(self.path):
            folder.mkdir(exist_ok=True)
            return [str(shutil.copy(path, folder)) for path in files]

    def set_state(self, state: SpoolState) -> None:
        """Keep what the store has of the run. Raises
        :class:`~paretune.retry.FaultError` like :meth:`note`.
        """
        with _translate_faults(self.path), atomically(self.path / STATE_FILE) as file:
            file.write_text(json.dumps([state.done, state.run_id]))

    def remove(self) -> None:
        """Remove it with all that it holds."""
        # One rename hides it from all processes.
        hidden = self.path.with_name(f"{REMOVING}{self.key}")
        self.path.rename(hidden)
        shutil.rmtree(hidden, ignore_errors=True)

    def release(self) -> None:
        """Give up the lock."""
        self._lock.close()


def folders_of(spool: Path) -> list[Path]:
    """Runs that wait in a spool, oldest first; what processes left that were killed while
    they made or removed a folder is removed.
    """
    for hidden in spool.glob(".*"):
        if _is_abandoned(hidden):
            shutil.rmtree(hidden, ignore_errors=True)
    return sorted(spool.glob("[!.]*"))


def _is_abandoned(hidden: Path) -> bool:
    if not hidden.name.startswith((MAKING, REMOVING)):
        return False
    try:
        changed_s = hidden.stat().st_mtime
    except FileNotFoundError:  # another process has just removed it
        return False
    return time.time() - changed_s > ABANDONED_AFTER_S


def set_aside(path: Path, reason: str) -> None:
    """Move what cannot be written out of the spool, to the folder ``spool.damaged``
    beside it, and say so.
    """
    folder = path.parent.with_name(f"{path.parent.name}.damaged")
    with _translate_faults(folder):
        folder.mkdir(parents=True, exist_ok=True)
        aside = folder / path.name
        if aside.exists():
            aside = folder / f"{path.name}-{uuid.uuid4().hex}"
        path.rename(aside)
    log.warning(
        "a run that waited to be recorded cannot be (%s); it is set aside in %s",
        reason,
        aside,
    )


def _step_of(line: bytes, number: int) -> Step:
    match _parse(line):
        case [str(name), int(at_ms), dict(arguments)]:
            return Step(name, at_ms, arguments)
    raise DamagedError(f"line {number} of its {STEPS_FILE} is damaged")


def _parse(text: bytes) -> Any:
    """The JSON in ``text``; ``None`` if it is none."""
    with suppress(ValueError, RecursionError):
        return json.loads(text)
    return None


def _lock(folder: Path) -> IO[str]:
    """Lock the folder for this process. Raises ``BlockingIOError`` if another one has
    it.
    """
    lock = (folder / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise
    return lock


@contextmanager
def _translate_faults(folder: Path) -> Iterator[None]:
    """Raise a :class:`~paretune.retry.FaultError` if the disk is full or read-only."""
    try:
        yield
    except OSError as error:
        if fault := fault_of(error):
            raise error_of(
                fault, f"the folder of runs that wait to be recorded `{folder}`"
            ) from error
        raise
