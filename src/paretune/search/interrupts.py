"""What breaks a trial off from outside: somebody stops the sweep, or the trial runs for too long."""

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from traceback import walk_tb
from typing import Self

POLL_S = 1.0
GRACE_S = 8.0  # for the trial to clean up after an interrupt, before its process is killed


class Terminated(KeyboardInterrupt):
    """SIGTERM asked this process to end."""


def listen() -> None:
    """Have SIGTERM raise :class:`Terminated`, much as Ctrl-C does; call it in the main thread.

    Not in a job of submitit under Slurm: there its own handlers requeue a job that is pre-empted.
    """
    # a shell's background jobs ignore SIGINT, and Lightning ignores it after the first
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if not under_slurm():
        signal.signal(signal.SIGTERM, _terminate)


def _terminate(*_: object) -> None:
    raise Terminated


def interrupted(error: BaseException) -> bool:
    """Whether ``error`` comes of a request to stop, and not of a task that calls ``sys.exit``.

    Lightning turns a :class:`KeyboardInterrupt` into :class:`SystemExit`; submitit's signal handler leaves a job that is
    pre-empted, or whose time is up, with one.
    """
    # from here to where it was raised
    files = [Path(frame.f_code.co_filename) for frame, _ in walk_tb(error.__traceback__)]
    by_submitit = any("submitit" in file.parts for file in files)
    return isinstance(error, KeyboardInterrupt) or isinstance(error.__context__, KeyboardInterrupt) or by_submitit


def terminated(error: BaseException) -> bool:
    """Whether it was SIGTERM that interrupted, which some scheduler may do to a worker again and again."""
    return isinstance(error, Terminated) or isinstance(error.__context__, Terminated)


def under_slurm() -> bool:
    """Whether this process is a job that submitit gave to Slurm."""
    return os.environ.get("SUBMITIT_EXECUTOR") == "slurm"


class Watch:
    """Interrupts the block, in the main thread, when ``stopping()`` holds or after ``limit_s`` (then it is ``late``).

    Whoever asks ``stopping`` may sit on another machine: the flag is in the study. A block that does not heed the interrupt
    within seconds, such as one that hangs in native code, is killed with its process, after ``last_words(late)``.
    """

    def __init__(self, stopping: Callable[[], bool], limit_s: float | None, last_words: Callable[[bool], None]) -> None:
        self.stopping, self.limit_s, self.last_words = stopping, limit_s, last_words
        self.late = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        listen()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        started_s = time.monotonic()
        while not self._over.wait(POLL_S):
            self.late = self.limit_s is not None and time.monotonic() - started_s > self.limit_s
            if self.late or self._is_stopping():
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
                if not self._over.wait(GRACE_S):
                    self.last_words(self.late)
                    os.kill(os.getpid(), signal.SIGKILL)
                return

    def _is_stopping(self) -> bool:
        with suppress(Exception):  # a database that is busy is asked again
            return self.stopping()
        return False
