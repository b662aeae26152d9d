"""Keeping workers at a sweep until it is over."""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Lock, Thread
from typing import Any

from optuna.exceptions import StorageInternalError
from optuna.study import Study

from paretune.errors import SweepError, first_line
from paretune.search.claims import kill_overdue, kill_workers, reclaim, starts, this_process, workers_alive
from paretune.search.study import ask_to_stop, finished, running, stopping
from paretune.search.worker import Interrupted, Sweep

__all__ = ["Crew"]

log = logging.getLogger(__name__)

DEATHS_WITHOUT_PROGRESS = 3
DRAIN_S = 13
ASKS_A_SECOND = 16  # of all threads that wait, so that a hundred do not keep the database busy


@dataclass
class Crew:
    """Keeps ``n_jobs`` workers running until the total is reached, a launch for each, so that none waits for another."""

    study: Study
    sweep: Sweep
    launch: Callable[[int], Any]
    n_jobs: int
    errors: list[BaseException] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)
    launched: int = 0
    name: str = field(default_factory=this_process)

    def run(self, tell: Callable[[], None]) -> None:
        """Start the workers and call ``tell`` every second until all are done.

        Raises :class:`~paretune.errors.SweepError` if workers keep dying before they finish a trial.
        """
        slots = [Thread(target=self._keep, args=(slot,), daemon=True) for slot in range(self.n_jobs)]
        for thread in slots:
            thread.start()
        try:
            self._watch(slots, tell)
        except KeyboardInterrupt:
            ask_to_stop(self.study)
            log.warning("stopping: workers put their trials back, in %d s at most; Ctrl-C again kills them", DRAIN_S)
            self._drain(slots)
            raise Interrupted from None
        if self.errors and not self.sweep.limits.reached(self.study):
            raise self.errors[0]

    def _watch(self, slots: Sequence[Thread], tell: Callable[[], None]) -> None:
        while any(thread.is_alive() for thread in slots):
            for thread in slots:
                thread.join(1 / len(slots))
            with suppress(StorageInternalError):  # a busy database is asked again
                kill_overdue(self.study, self.sweep.limits.trial_timeout_s)
                tell()

    def _drain(self, slots: Sequence[Thread]) -> None:
        deadline_s = time.monotonic() + DRAIN_S
        try:
            for thread in slots:
                thread.join(max(0.0, deadline_s - time.monotonic()))
        except KeyboardInterrupt:
            kill_workers(self.study)
        else:
            if any(thread.is_alive() for thread in slots):
                kill_workers(self.study)
        for thread in slots:
            thread.join(1.0)
        reclaim(self.study, self.sweep.limits.retry)

    def _keep(self, slot: int) -> None:
        deaths, seen = 0, starts(self.study)
        while deaths < DEATHS_WITHOUT_PROGRESS:
            try:
                if self._over():
                    return
                if self._needed() and self._has_room():
                    self._launch(slot)
                else:  # trials are in other hands, which may drop them
                    time.sleep(max(1.0, self.n_jobs / ASKS_A_SECOND))
            except SweepError as error:
                self.errors.append(error)
                return
            except StorageInternalError:
                time.sleep(1)  # a busy database is asked again
            except Exception as error:
                begun = starts(self.study)
                deaths, seen = (0 if begun > seen else deaths + 1), begun
                if not stopping(self.study):
                    log.warning("worker %d ended early (%s); starting another", slot, first_line(error))
        message = f"worker {slot} died {deaths} times before it began a trial; its log is under .submitit"
        self.errors.append(SweepError(message))

    def _launch(self, slot: int) -> None:
        try:
            for job in self.launch(slot):
                _ = job.return_value  # raises what the worker raised
        finally:
            with self.lock:
                self.launched -= 1

    def _over(self) -> bool:
        return stopping(self.study) or bool(self.sweep.limits.reached(self.study))

    def _needed(self) -> bool:
        """Whether there are trials that no worker has in hand."""
        in_hand = min(len(running(self.study)), len(workers_alive(self.study)))
        return len(finished(self.study)) + in_hand < self.sweep.limits.n_trials

    def _has_room(self) -> bool:
        """Whether there is room for one more worker, which is then counted; a killed parent's may still be at it."""
        with self.lock:
            others = [crew for crew in workers_alive(self.study) if crew not in ("", self.name)]
            room = self.launched + len(others) < self.n_jobs
            self.launched += room
        return room
