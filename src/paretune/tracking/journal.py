"""Steps of a training on this machine's disk until the tracking server has them.

A server restarts, a network breaks; a training goes on. Each step is appended to a file before it is sent, and crossed off once
the server has it. While the server is away steps gather; they are sent in their order when it is back, by the training itself
or, if its process is gone, by the next one that uses the same folder. A step that was cut off is sent again: the calls
leave the same when done twice.
"""

import fcntl
import json
import logging
import shutil
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from mlflow.exceptions import MlflowException
from requests import HTTPError

from paretune.errors import StoreError, first_line
from paretune.tracking.store import Store, one_line
from paretune.tracking.write import RunWriter

__all__ = ["Journal", "write_leftovers"]

log = logging.getLogger(__name__)

WAITS_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)  # between attempts while the server is away
OLD_S = 60.0
TRY_AGAIN = (408, 425, 429)  # of the answers that blame the request, those that time mends


class Absence:
    """When this process last found the server away, and when it asks again."""

    def __init__(self) -> None:
        self.failures, self.next_s = 0, 0.0

    def is_over(self) -> bool:
        """Whether it is time to ask again."""
        return time.monotonic() >= self.next_s

    def noticed(self, error: Exception) -> None:
        """Ask again later, each time after a longer wait."""
        if not self.failures:
            log.warning(
                "the tracking server is away (%s); runs are kept on disk until it is back", first_line(error)[:200]
            )
        self.next_s = time.monotonic() + WAITS_S[min(self.failures, len(WAITS_S) - 1)]
        self.failures += 1

    def ended(self) -> None:
        """The server answered."""
        if self.failures:
            log.info("the tracking server is back")
        self.failures, self.next_s = 0, 0.0


absence = Absence()


class Journal:
    """The steps of one run, in a folder that this process has locked; an empty ``key`` makes a new one.

    Raises ``BlockingIOError`` if another process has it, ``FileNotFoundError`` if it is gone.
    """

    def __init__(self, spool: Path, writer: RunWriter, key: str = "") -> None:
        self.key = key or uuid.uuid4().hex
        self.folder, self.writer = spool / self.key, writer
        made = self.folder if key else spool / f".new-{self.key}"  # nobody else looks at it before it is locked
        if not key:
            made.mkdir(parents=True)
        self.lock: IO[str] = (made / "lock").open("w")
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.lock.close()
            raise
        made.rename(self.folder)
        state = self.folder / "state.json"
        self.done = 0
        if state.is_file():
            self.done, self.writer.run_id = json.loads(state.read_text())

    def add(self, step: str, at_ms: int, arguments: Mapping[str, Any]) -> None:
        """Note a step, with copies of its files, and send what has not been sent."""
        arguments = {**arguments, **({"files": self._copied(arguments["files"])} if "files" in arguments else {})}
        with (self.folder / "steps.jsonl").open("a") as file:
            file.write(json.dumps([step, at_ms, arguments]) + "\n")
        self.send()

    def send(self) -> bool:
        """Send the steps that are left, in order; returns whether all are done.

        Raises :class:`~paretune.errors.StoreError` if the server refuses a step for good.
        """
        for step, at_ms, arguments in self._steps()[self.done :]:
            if not absence.is_over():
                return False
            try:
                with one_line(self.writer.store.uri):
                    getattr(self.writer, step)(at_ms, **arguments)
            except StoreError as error:
                if _for_good(error):
                    raise
                absence.noticed(error)
                return False
            absence.ended()
            self._cross_off()
        return True

    def close(self) -> None:
        """Remove the folder if all is sent, else leave it for the next process."""
        with self.lock:  # which is let go, also if a step is refused
            if self.send():
                gone = self.folder.with_name(f".done-{self.key}")  # at once, for all who look
                self.folder.rename(gone)
                shutil.rmtree(gone, ignore_errors=True)

    def _steps(self) -> list[Any]:
        path = self.folder / "steps.jsonl"
        lines = path.read_text().splitlines(keepends=True) if path.is_file() else []
        return [json.loads(line) for line in lines if line.endswith("\n")]  # a process may have died while it wrote

    def _cross_off(self) -> None:
        self.done += 1
        partial = self.folder / "state.partial"
        partial.write_text(json.dumps([self.done, self.writer.run_id]))
        partial.replace(self.folder / "state.json")

    def _copied(self, files: list[str]) -> list[str]:
        folder = self.folder / "files"
        folder.mkdir(exist_ok=True)
        return [str(shutil.copy(path, folder)) for path in files]


def write_leftovers(store: Store) -> int:
    """Send what processes that are gone left in the store's spool; returns how many runs are left there after that."""
    spool = store.spool_folder
    if spool is None or not spool.is_dir():
        return 0
    for old in spool.glob(".*"):  # of a process that was killed as it began or ended one
        with suppress(FileNotFoundError):
            if time.time() - old.stat().st_mtime > OLD_S:
                shutil.rmtree(old, ignore_errors=True)
    left = 0
    for folder in sorted(path for path in spool.glob("[!.]*")):
        try:
            journal = Journal(spool, RunWriter(store), folder.name)
        except (BlockingIOError, FileNotFoundError):  # its process lives, or has just ended it
            continue
        try:
            journal.close()
        except StoreError as error:
            log.warning("a run of %s is refused (%s); its steps stay there", folder, first_line(error)[:300])
        left += folder.is_dir()
    return left


def _for_good(error: StoreError) -> bool:
    """Whether the server understood and refuses, rather than not being there."""
    cause = error.__cause__
    status: int = 500
    if isinstance(cause, MlflowException):
        status = cause.get_http_status_code()  # type: ignore[no-untyped-call]
    elif isinstance(cause, HTTPError) and cause.response is not None:  # of an artifact, which goes its own way
        status = cause.response.status_code
    return isinstance(cause, PermissionError) or (400 <= status < 500 and status not in TRY_AGAIN)
