"""Workers as Hydra jobs: the launcher starts a few workers, not every trial, and one
that dies is replaced.
"""

import logging
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Condition, Event, Thread

import psutil
from optuna.study import Study

from hydra_plugins.paretune_sweeper._deaths import describe_death, read_last_log
from hydra_plugins.paretune_sweeper._forking import SERVER_MODULE
from hydra_plugins.paretune_sweeper._launching import Launch
from hydra_plugins.paretune_sweeper._slurm import cancel_waiting_jobs
from paretune.errors import SweepError
from paretune.retry import FaultError, patience
from paretune.search.claims import (
    count_starts,
    kill_overdue,
    kill_workers,
    list_live_crews,
    name_this_process,
    needs_worker,
    reclaim,
)
from paretune.search.interrupts import last_act
from paretune.search.storage import refuse_broken
from paretune.search.study import ask_to_stop, is_stopping
from paretune.search.worker import Interrupted, Sweep

log = logging.getLogger(__name__)

# Of all threads that wait, so that a hundred do not keep the database busy.
ASKS_A_SECOND = 16
DEATHS_WITHOUT_PROGRESS = 3
DRAIN_S = 8
FAULTY_DRAIN_S = 1.0  # for workers whose store fails
# After SIGTERM, so that its parent, which has END_WITHIN_S, can close what it leaves.
WORKER_ENDS_WITHIN_S = 7.0
LAST_KILLS_S = 1.5
# Of their command lines.
WORKER_MODULES = ("submitit.", SERVER_MODULE)


@dataclass
class WorkerPool:
    """Keeps ``n_jobs`` workers running until the total is reached, a launch for each,
    so that none waits for another.

    ``logs`` is the folder of their logs. ``name`` is that of this process: the workers
    that it launches say whose they are.
    """

    study: Study
    sweep: Sweep
    launch: Launch
    n_jobs: int
    logs: Path
    errors: list[BaseException] = field(default_factory=list)
    # Notified whenever a worker has ended, or all are to end.
    lock: Condition = field(default_factory=Condition)
    launched: int = 0
    is_ending: Event = field(default_factory=Event)
    name: str = field(default_factory=name_this_process)

    def run(self, tell: Callable[[], None]) -> None:
        """Start the workers and call ``tell`` every second until all are done.

        Raises :class:`~paretune.errors.SweepError` if workers keep dying before they
        finish a trial.
        """
        slots: list[Thread] = []
        for slot in range(self.n_jobs):
            slots.append(Thread(target=self._keep, args=(slot,), daemon=True))
        for thread in slots:
            thread.start()
        with last_act(kill_children):
            try:
                self._watch(slots, tell)
            except KeyboardInterrupt as interrupt:
                self._stop(slots)
                raise Interrupted("the sweep was stopped") from interrupt
            except FaultError as fault:
                self._give_up(slots, fault)
            finally:
                self._begin_to_end()
        if self.errors and not self.sweep.limits.reached(self.study):
            raise self.errors[0]

    def _watch(self, slots: Sequence[Thread], tell: Callable[[], None]) -> None:
        while any(thread.is_alive() for thread in slots):
            for thread in slots:
                thread.join(1 / len(slots))
            if patience.is_ended():  # SIGTERM came where Python swallows what it raises
                raise KeyboardInterrupt
            self._refuse_faults()
            kill_overdue(self.study, self.sweep.limits.trial_timeout_s)
            if self._is_over():
                # On a busy cluster the parent would wait for hours for a worker that
                # finds nothing to do.
                cancel_waiting_jobs()
            tell()

    def _refuse_faults(self) -> None:
        """Raise the :class:`~paretune.retry.FaultError` that a worker met, or of a
        study that cannot be used any more.
        """
        for error in self.errors:
            if isinstance(error, FaultError):
                raise error
        refuse_broken(self.study)

    def _give_up(self, slots: Sequence[Thread], fault: FaultError) -> None:
        """End the workers of a sweep whose study cannot be used, and raise the
        ``fault``; :class:`Interrupted` if somebody stopped the sweep meanwhile.
        """
        if patience.is_ended():
            self._stop(slots)
            raise Interrupted("the sweep was stopped") from fault
        patience.end()
        self._drain(slots, FAULTY_DRAIN_S)
        raise fault

    def _stop(self, slots: Sequence[Thread]) -> None:
        """Have the workers put their trials back, and end them."""
        patience.end()
        self._begin_to_end()
        log.warning(
            "stopping: workers put their trials back, in %d s at most; Ctrl-C again "
            "kills them",
            DRAIN_S,
        )
        with suppress(FaultError):
            ask_to_stop(self.study)
        self._drain(slots, DRAIN_S)
        with suppress(FaultError):
            reclaim(self.study, self.sweep.limits.retry)

    def _drain(self, slots: Sequence[Thread], drain_s: float) -> None:
        """Wait until no worker of this process has a trial, then kill them all."""
        self._begin_to_end()
        deadline_s = time.monotonic() + drain_s
        cancel_waiting_jobs()
        tell_children()  # those who cannot read the study's flag
        with suppress(KeyboardInterrupt, FaultError):
            while time.monotonic() < deadline_s and self._has_trials():
                time.sleep(0.2)
        with suppress(FaultError):
            kill_workers(self.study)
        self._kill_children(slots)  # one without a trial has nothing to put back

    def _begin_to_end(self) -> None:
        """Have no further worker start."""
        self.is_ending.set()
        with self.lock:
            self.lock.notify_all()

    def _has_trials(self) -> bool:
        """Whether workers of this process have a trial in hand."""
        return self.name in list_live_crews(self.study)

    def _kill_children(self, slots: Sequence[Thread]) -> None:
        """Kill the workers, also those that are just being launched: without a parent
        one may wait a minute for its job.
        """
        deadline_s = time.monotonic() + LAST_KILLS_S
        kill_children()
        while _are_alive(slots) and time.monotonic() < deadline_s:
            time.sleep(0.1)
            kill_children()

    def _keep(self, slot: int) -> None:
        """Keep a worker running in a slot, in a thread of its own."""
        try:
            self._keep_going(slot)
        except (FaultError, SweepError) as error:
            self.errors.append(error)

    def _keep_going(self, slot: int) -> None:
        """Launch a worker after another; raise :class:`~paretune.errors.SweepError`
        once they keep dying.
        """
        deaths, seen = 0, count_starts(self.study)
        while deaths < DEATHS_WITHOUT_PROGRESS and not self.is_ending.is_set():
            try:
                if is_stopping(self.study) or self.sweep.limits.reached(self.study):
                    return
                self._launch_or_wait(slot)
            except (FaultError, SweepError):
                raise
            except Exception as death:
                refuse_broken(self.study)
                begun = count_starts(self.study)
                deaths = 0 if begun > seen else deaths + 1
                seen = begun
                self._tell_death(slot, death)
        if not self.is_ending.is_set():
            raise SweepError(self._explain_deaths(slot, deaths))

    def _explain_deaths(self, slot: int, deaths: int) -> str:
        """Why the sweep cannot go on, with the end of the log that tells it."""
        words = f"worker {slot} died {deaths} times before it began a trial"
        log_end = read_last_log(self.logs, slot)
        if not log_end:
            return f"{words}; it left no log in {self.logs}"
        return f"{words}; the last lines of {log_end}"

    def _launch_or_wait(self, slot: int) -> None:
        """Run a worker if there is work and room for one, else wait a while."""
        if self._is_needed() and self._has_room():
            self._launch(slot)
        else:  # trials are in other hands, which may drop them
            with self.lock:
                self.lock.wait(max(1.0, self.n_jobs / ASKS_A_SECOND))

    def _launch(self, slot: int) -> None:
        try:
            for job in self.launch(slot):
                _ = job.return_value  # raises what the worker raised
        finally:
            with self.lock:
                self.launched -= 1
                self.lock.notify_all()

    def _tell_death(self, slot: int, death: Exception) -> None:
        if not self.is_ending.is_set() and not self._is_over():
            log.warning(
                "worker %d ended early (%s); starting another",
                slot,
                describe_death(death),
            )

    def _is_over(self) -> bool:
        try:
            return is_stopping(self.study) or bool(
                self.sweep.limits.reached(self.study)
            )
        except SweepError:  # too many have failed, which the next launch reports
            return True

    def _is_needed(self) -> bool:
        """Whether there are trials that no worker has in hand."""
        leaves_room = partial(self.sweep.limits.leaves_room, self.study)
        return needs_worker(self.study, leaves_room, self.sweep.race)

    def _has_room(self) -> bool:
        """Whether there is room for one more worker, which is then counted; a killed
        parent's may still be at it.
        """
        ours = ("", self.name)
        with self.lock:
            others = [name for name in list_live_crews(self.study) if name not in ours]
            has_room = self.launched + len(others) < self.n_jobs
            self.launched += has_room
        return has_room


def _are_alive(threads: Sequence[Thread]) -> bool:
    return any(thread.is_alive() for thread in threads)


def tell_children() -> None:
    """Ask the worker processes that this process launched to end."""
    _signal_children(signal.SIGTERM)


def kill_children() -> None:
    """Kill the worker processes that this process launched, also those that have not
    claimed a trial yet.
    """
    _signal_children(signal.SIGKILL)


def _signal_children(number: signal.Signals) -> None:
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            if any(word.startswith(WORKER_MODULES) for word in child.cmdline()):
                child.send_signal(number)
