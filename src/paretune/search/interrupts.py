"""Breaking a trial off from outside: somebody stops the sweep, the trial runs for too
long, or its store fails.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from select import select
from threading import Thread
from traceback import walk_tb
from typing import Self

from paretune.retry import FaultError, comes_of, patience

POLL_S = 1.0
# For the trial to clean up after an interrupt, before its process is killed.
GRACE_S = 6.0
# After SIGTERM; a scheduler or a shutdown waits for some seconds more.
END_WITHIN_S = 12.0
LAST_ACTS_S = 2.5
# After Ctrl-C, to close what is open; nobody but the person waits.
CLOSE_WITHIN_S = 30.0
SIGNALLED = 128  # and the signal's number: what a shell makes of the two

log = logging.getLogger(__name__)


class Terminated(KeyboardInterrupt):
    """SIGTERM asked this process to end."""


def listen(end_within_s: float = END_WITHIN_S) -> None:
    """Have SIGTERM raise :class:`Terminated`, much as Ctrl-C does, and end the process
    in any case; call it in the main thread.

    Not in a job of submitit under Slurm: there its own handlers requeue a job that is
    pre-empted.
    """
    begin_anew()
    _handle_signals()
    if not is_under_slurm():
        _backstop.end_within_s = end_within_s
        _backstop.stand()


def begin_anew() -> None:
    """Forget that somebody asked this process to stop: it has heard, and begins
    something else.
    """
    _backstop.begin_anew()


def end_soon() -> None:
    """Give this process a few seconds to close what is open, which a further Ctrl-C
    would only cut off.
    """
    patience.end()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if not signal.getitimer(signal.ITIMER_REAL)[0]:
        signal.setitimer(signal.ITIMER_REAL, CLOSE_WITHIN_S)


def _handle_signals() -> None:
    # A shell's background jobs ignore SIGINT, and Lightning ignores it after the first
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if not is_under_slurm():
        signal.signal(signal.SIGTERM, _terminate)


def _terminate(*_: object) -> None:
    if not patience.is_ended():  # a second one would cut off what the first one closes
        patience.end()
        _backstop.was_terminated = True
        raise Terminated


class _Backstop:
    """Ends this process some seconds after SIGTERM, also where Python cannot hear it:
    in a long call of C, or amid a ``__del__``.
    """

    def __init__(self) -> None:
        self.end_within_s = END_WITHIN_S
        self.was_terminated = False
        self.last_acts: list[Callable[[], None]] = []
        self._began_anew = threading.Event()
        # Nothing begins anew between the moment that the thread hears a signal and the
        # moment that it has set what the signal asks for.
        self._heard = threading.Lock()
        self._pipe: tuple[int, int] | None = None

    def stand(self) -> None:
        """Stand behind this process from now on; a second call does nothing."""
        if self._pipe is not None:
            return
        self._pipe = os.pipe()
        for end in self._pipe:
            os.set_blocking(end, False)
        # Written to by C as soon as a signal comes.
        signal.set_wakeup_fd(self._pipe[1], warn_on_full_buffer=False)
        Thread(target=self._wait_for_sigterm, args=self._pipe[:1], daemon=True).start()

    def begin_anew(self) -> None:
        """Forget the signals so far, also those that the thread has not heard yet."""
        with self._heard:
            if self._pipe is not None:
                _drain(self._pipe[0])
            self._began_anew.set()
            patience.begin()
            self.was_terminated = False
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _wait_for_sigterm(self, read_end: int) -> None:
        while True:
            select([read_end], [], [])
            if not self._hear_sigterm(read_end):
                continue
            if not self._began_anew.wait(self.end_within_s):
                self.end()

    def _hear_sigterm(self, read_end: int) -> bool:
        with self._heard:
            if signal.SIGTERM not in _drain(read_end):
                return False
            self._began_anew.clear()
            patience.end()
            self.was_terminated = True
            # Threads end before Python itself does.
            signal.setitimer(signal.ITIMER_REAL, self.end_within_s + LAST_ACTS_S)
            return True

    def end(self) -> None:
        """Do the last acts, as far as they come in a moment, and kill this process."""
        acts = Thread(target=self._act, daemon=True)
        acts.start()
        acts.join(LAST_ACTS_S)
        os.kill(os.getpid(), signal.SIGKILL)

    def _act(self) -> None:
        for act in reversed(self.last_acts):
            with suppress(Exception):
                act()


def _drain(read_end: int) -> bytes:
    """The numbers of the signals that came since the last call."""
    with suppress(BlockingIOError):
        return os.read(read_end, 4096)
    return b""


_backstop = _Backstop()


@contextmanager
def last_act(act: Callable[[], None]) -> Iterator[None]:
    """Have ``act`` called if this process is killed inside the block because it did not
    end after SIGTERM.
    """
    _backstop.last_acts.append(act)
    try:
        yield
    finally:
        _backstop.last_acts.remove(act)


def end_with(is_alive: Callable[[], bool]) -> None:
    """End this process, much as SIGTERM does, once ``is_alive()`` of the process that
    it works for no longer holds.
    """

    def watch() -> None:
        while is_alive():
            time.sleep(POLL_S)
        log.warning("the process that started this worker is gone; it ends")
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_backstop.end_within_s)
        _backstop.end()  # one that has not begun to listen

    Thread(target=watch, daemon=True).start()


def is_interrupt(error: BaseException) -> bool:
    """Whether ``error`` comes of a request to stop, and not of a task that calls
    ``sys.exit``.

    Lightning turns a :class:`KeyboardInterrupt` into :class:`SystemExit`, ``pydoc`` one
    amid an import into an error of its own. submitit's signal handler leaves a job that
    is pre-empted, or whose time is up, with :class:`SystemExit`.
    """
    if comes_of(error, KeyboardInterrupt):
        return True
    if isinstance(error, Exception):
        return False
    # Lightning leaves with SystemExit where it alone has heard SIGTERM.
    if _backstop.was_terminated:
        return True
    for frame, _ in walk_tb(error.__traceback__):  # from here to where it was raised
        file = Path(frame.f_code.co_filename)
        if "submitit" in file.parts:
            return True
    return False


def is_termination(error: BaseException) -> bool:
    """Whether it was SIGTERM that interrupted, which some scheduler may do to a worker
    again and again.
    """
    return comes_of(error, Terminated)


def exit_code_of(error: BaseException) -> int:
    """The exit code of a process that was interrupted, as shells show it: 143 after
    SIGTERM, 130 after Ctrl-C.
    """
    if _backstop.was_terminated or is_termination(error):
        return SIGNALLED + signal.SIGTERM
    return SIGNALLED + signal.SIGINT


def is_under_slurm() -> bool:
    """Whether this process is a job that submitit gave to Slurm."""
    return os.environ.get("SUBMITIT_EXECUTOR") == "slurm"


class Watch:
    """Interrupts the block, in the main thread, when ``stopping()`` holds or after
    ``limit_s`` (then it is ``late``).

    Whoever asks ``stopping`` may sit on another machine: the flag is in the study. A
    study that cannot be used any more interrupts it, too, and is the ``fault``. A block
    that does not heed the interrupt within seconds, such as one that hangs in native
    code, is killed with its process, after ``last_words(late)``.
    """

    def __init__(
        self,
        stopping: Callable[[], bool],
        limit_s: float | None,
        last_words: Callable[[bool], None],
    ) -> None:
        self.stopping = stopping
        self.limit_s = limit_s
        self.last_words = last_words
        self.late = False
        self.fault: FaultError | None = None
        self._over = threading.Event()
        self._thread = Thread(target=self._watch, daemon=True)
        self._last_act = last_act(partial(last_words, False))

    def __enter__(self) -> Self:
        _handle_signals()
        self._last_act.__enter__()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._last_act.__exit__(None, None, None)
        self._thread.join(POLL_S)  # it may wait for a database

    def _watch(self) -> None:
        started_s = time.monotonic()
        while not self._over.wait(POLL_S):
            self.late = self._is_late(started_s)
            # SIGTERM came in a `__del__`, say, whose exceptions Python drops.
            is_swallowed = patience.is_over()
            is_to_end = self.late or is_swallowed or self._is_stopping()
            if is_to_end and not self._over.is_set():
                self._interrupt()
                return

    def _is_late(self, started_s: float) -> bool:
        if self.limit_s is None:
            return False
        return time.monotonic() - started_s > self.limit_s

    def _interrupt(self) -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        if not self._over.wait(GRACE_S):
            with suppress(FaultError):
                self.last_words(self.late)
            os.kill(os.getpid(), signal.SIGKILL)

    def _is_stopping(self) -> bool:
        try:
            return self.stopping()
        except FaultError as fault:
            self.fault = fault
            return True
        except Exception:
            # It is asked again.
            return False
