"""Which process runs which trial, and taking back the trials of those that are gone."""

import json
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import psutil
from optuna.exceptions import UpdateFinishedTrialError
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from paretune.pause import Pause
from paretune.search.interrupts import GRACE_S
from paretune.search.pausing import (
    PAUSED,
    choose_paused,
    list_paused,
    may_go_on,
)
from paretune.search.racing import Race
from paretune.search.standing import Standing
from paretune.search.storage import (
    add_waiting,
    as_trial,
    find_silent,
    forget_trials,
    read_note,
    read_trial,
    set_user_attr,
    switch,
)
from paretune.search.study import ENDED, list_running

log = logging.getLogger(__name__)

WORKER = "worker"
ATTEMPT = "attempt"
DEATHS = "deaths"
# Epoch and values of a running trial.
LATEST = "latest"
# In a worker's environment: who launched it.
POOL_ID_ENV = "PARETUNE_CREW"
# A process's start is told from a clock that may be set; its number is not given again
# as soon.
CLOCK_STEP_S = 5
DIES_WITHIN_S = 3.0
BOOT = Path("/proc/sys/kernel/random/boot_id")
# Notes that say whose a trial is: only who has read them last may change its state.
OWNER = (WORKER, ATTEMPT)
TAKEN = TrialState.WAITING, TrialState.RUNNING
PUT_BACK = TrialState.RUNNING, TrialState.WAITING
FAILED = TrialState.RUNNING, TrialState.FAIL
AGAIN = TrialState.FAIL, TrialState.WAITING
STOPPED = TrialState.WAITING, TrialState.PRUNED


def ask(
    study: Study, leaves_room: Callable[[int], bool], race: Race | None = None
) -> tuple[Trial, int] | None:
    """A trial to run, and how often it was started before; ``None`` if all that the
    sweep has are in somebody's hands.

    ``leaves_room`` says whether it has more than so many; numbers begin at 0. Trials
    that were cut off come first, then one that waits at a rung of the ``race`` or a new
    one, whichever is worth more. Once nothing is worth training any more, those that
    wait are stopped for good.

    The trial is running from here on, and this process is its worker: both are written
    in one transaction, so that no trial has two workers and none is running without
    one.
    """
    while True:
        now = Standing.read(study)
        trial = _choose(study, leaves_room, race, now)
        if trial is None:
            if now.paused and not now.running and not leaves_room(now.n_begun):
                settle(study)
            return None
        if _take(study, trial):
            return as_trial(study, trial), _read_attempt(trial)


def _choose(
    study: Study,
    leaves_room: Callable[[int], bool],
    race: Race | None,
    now: Standing,
) -> FrozenTrial | None:
    """The trial that is to run next, a new one if need be; ``None`` if there is none."""
    may_begin = leaves_room(now.n_begun)
    if may_begin:
        for trial in now.queued:
            if leaves_room(trial.number):
                return trial
        may_begin = leaves_room(now.n_trials)
    chosen = choose_paused(study, race, now.paused, may_begin=may_begin)
    if chosen is None and may_begin:
        return _add_trial(study, leaves_room)
    return chosen


def _add_trial(study: Study, leaves_room: Callable[[int], bool]) -> FrozenTrial | None:
    """A new trial; ``None`` if other processes have added all that the sweep may have
    since it was looked at.
    """
    added = add_waiting(study)
    return added if leaves_room(added.number) else None


def _take(study: Study, trial: FrozenTrial) -> bool:
    notes = {WORKER: _identify(), ATTEMPT: _read_attempt(trial)}
    return switch(study, trial, TAKEN, notes, OWNER)


def is_still_owned(study: Study, trial: Trial, attempt: int) -> bool:
    """Whether this attempt at the trial still belongs to its worker, and was not taken
    back as an orphan.
    """
    now = read_trial(study, trial)
    return now.state is TrialState.RUNNING and _read_attempt(now) == attempt


def requeue(
    study: Study, trial: FrozenTrial | Trial, deaths: int | None = None
) -> bool:
    """Put a running trial that broke off back in the queue as a further attempt;
    returns whether this call did it.

    It keeps its number and its parameters. Of several processes that find the same
    orphan one wins, as nobody's trial is changed who has read what is no longer so.
    ``deaths``: how often its worker has died by now, if this was a death.
    """
    notes: dict[str, Any] = {
        WORKER: None,
        ATTEMPT: _read_attempt(trial) + 1,
        LATEST: None,
    }
    if deaths is not None:
        notes[DEATHS] = deaths
    return switch(study, trial, PUT_BACK, notes, OWNER)


def pause(study: Study, trial: Trial, where: Pause) -> bool:
    """Have a running trial wait at a rung; what goes on later is a further attempt.
    ``False`` if it is over or in other hands.
    """
    notes = {
        WORKER: None,
        ATTEMPT: _read_attempt(trial) + 1,
        LATEST: None,
        PAUSED: asdict(where),
    }
    return switch(study, trial, PUT_BACK, notes, OWNER)


def settle(study: Study) -> None:
    """Stop the trials that wait at a rung, for good."""
    for trial in list_paused(study):
        switch(study, trial, STOPPED, {ENDED: time.time()}, OWNER)


def needs_worker(
    study: Study, leaves_room: Callable[[int], bool], race: Race | None
) -> bool:
    """Whether there is something to do that no worker has in hand."""
    now = Standing.read(study)
    n_orphans = len(now.running) - len(find_in_hand(study, now.running))
    if leaves_room(now.n_begun - n_orphans):
        return True
    if not now.paused:
        return False
    # The last one to end stops those that wait.
    return not now.running or may_go_on(study, race, now.paused)


def reclaim(study: Study, retry: int) -> int:
    """Requeue the running trials whose worker is gone, or fail those that broke off
    ``retry`` times; returns how many.

    Whether a worker on this machine lives is asked of the operating system; one
    elsewhere counts as gone when its heartbeat stops.
    """
    trials = list_running(study)
    numbers = find_in_hand(study, trials)
    orphans = [trial for trial in trials if trial.number not in numbers]
    for trial in orphans:
        cut_off(study, trial, retry)
    return len(orphans)


def find_in_hand(study: Study, trials: Sequence[FrozenTrial]) -> set[int]:
    """The numbers of the running ``trials`` whose worker lives."""
    stale = find_silent(study, trials)
    return {trial.number for trial in trials if _is_alive(trial, trial.number in stale)}


def cut_off(study: Study, trial: FrozenTrial | Trial, retry: int) -> None:
    """Requeue a running trial whose worker died, or fail it if that has happened more
    than ``retry`` times.
    """
    # An interrupt is no death.
    deaths = int(read_note(trial, DEATHS) or 0) + 1
    if deaths > retry:
        number = trial.number
        log.warning("trial %d broke off %d times and counts as failed", number, deaths)
        reason = f"its worker died {deaths} times (killed, or out of memory or time)"
        fail(study, trial, reason)
    elif requeue(study, trial, deaths):
        log.info("trial %d was cut off and is in the queue again", trial.number)


def fail(study: Study, trial: FrozenTrial | Trial, reason: str) -> bool:
    """Close a running trial as failed, and say why; ``False`` if it is over or in other
    hands.
    """
    try:
        set_user_attr(study, trial, "reason", reason[:2000])
    except UpdateFinishedTrialError:
        # Another process was quicker.
        return False
    return switch(study, trial, FAILED, {ENDED: time.time()}, OWNER)


def retry_failed(study: Study) -> list[int]:
    """Put all failed trials back in the queue, each under its number and with its draw;
    returns their numbers. Their deaths so far do not count.

    For before any worker starts: those that have read a trial as failed do not look
    again.
    """
    failed = study.get_trials(deepcopy=False, states=[TrialState.FAIL])
    numbers = [trial.number for trial in failed if _queue_again(study, trial)]
    forget_trials(study)
    return numbers


def _queue_again(study: Study, trial: FrozenTrial) -> bool:
    notes = {
        WORKER: None,
        ATTEMPT: _read_attempt(trial) + 1,
        DEATHS: None,
        LATEST: None,
        PAUSED: None,
        ENDED: None,
    }
    if not switch(study, trial, AGAIN, notes, OWNER):
        return False
    set_user_attr(study, trial, "reason", "")
    return True


def kill_workers(study: Study) -> None:
    """Kill the workers of this machine that are running a trial now."""
    for trial in list_running(study):
        _kill_worker(trial)


def kill_overdue(study: Study, trial_timeout_s: float | None) -> None:
    """Fail trials of this machine that ran for too long and whose worker did not
    notice, and kill the worker.
    """
    if trial_timeout_s is None:
        return
    for trial in list_running(study):
        now_s = time.time()
        ran_s = now_s - read_worker(trial).get("since", now_s)
        is_overdue = ran_s > trial_timeout_s + 2 * GRACE_S
        if not is_overdue or not _lives_here(trial):
            continue
        if fail(study, trial, explain_timeout(trial_timeout_s)):
            _kill_worker(trial)


def explain_timeout(trial_timeout_s: float | None) -> str:
    """The reason of a trial that ran for too long."""
    return f"ran for longer than trial_timeout_s = {trial_timeout_s:g}"


def list_live_crews(study: Study) -> list[str]:
    """The crews of workers that are running a trial now; one of another machine counts
    as long as its heart beats.

    A worker's crew is the parent that launched it (:func:`name_this_process`); that of
    one that joined by hand is empty.
    """
    trials = list_running(study)
    stale = find_silent(study, trials)
    return [
        str(read_worker(trial).get("crew", ""))
        for trial in trials
        if _is_alive(trial, trial.number in stale)
    ]


def name_this_process() -> str:
    """A name of this process that no other one has had."""
    identity = _identify()
    return f"{identity['host']}:{identity['pid']}:{identity['started']}"


def is_process_alive(name: str) -> bool:
    """Whether the process of this name (:func:`name_this_process`) runs on this
    machine; of one elsewhere nothing is known: it does.
    """
    host, pid, started = name.rsplit(":", 2)
    if host != socket.gethostname():
        return True
    return _runs(int(pid), float(started))


def count_starts(study: Study) -> int:
    """How often any trial of the study was started."""
    total = 0
    for trial in study.get_trials(deepcopy=False):
        attempt = read_note(trial, ATTEMPT)
        if attempt is not None:
            total += attempt + 1
    return total


def _read_attempt(trial: FrozenTrial | Trial) -> int:
    return int(read_note(trial, ATTEMPT) or 0)


def _identify() -> dict[str, str | int | float]:
    """Facts that tell this process apart from all others; from a later one with the
    same number by its start.
    """
    return {
        "host": socket.gethostname(),
        "processes": _name_process_list(),
        "pid": os.getpid(),
        "started": psutil.Process().create_time(),
        "since": time.time(),
        "crew": os.environ.get(POOL_ID_ENV, ""),
    }


@cache
def _name_process_list() -> str:
    """Which list of processes this one is in: machines and containers may share a name,
    and number theirs alike.
    """
    # Other systems than Linux have no such files.
    with suppress(OSError):
        return f"{BOOT.read_text().strip()} {os.readlink('/proc/self/ns/pid')}"
    return ""


def _is_here(worker: Mapping[str, Any]) -> bool:
    """Whether the worker's process would be among those that this process sees."""
    if worker["host"] != socket.gethostname():
        return False
    here = _name_process_list()
    return bool(worker.get("processes", here) == here)


def read_worker(trial: FrozenTrial) -> dict[str, Any]:
    """The identity of the process that claimed the trial (``host``, ``pid``, ...);
    empty before anybody did.
    """
    worker = read_note(trial, WORKER) or {}
    # Earlier versions noted text.
    if isinstance(worker, str):
        worker = json.loads(worker)
    return dict(worker)


def _is_alive(trial: FrozenTrial, is_silent: bool) -> bool:
    """Whether the process that claimed the trial lives; one of another machine does
    unless it ``is_silent``.
    """
    worker = read_worker(trial)
    if not worker:
        return False
    if not _is_here(worker):
        return not is_silent
    return _runs(worker["pid"], worker["started"])


def _runs(pid: int, started_s: float) -> bool:
    """Whether the process of this number that began at that time (seconds since 1970)
    runs.
    """
    try:
        process = psutil.Process(pid)
        is_same = abs(process.create_time() - started_s) < CLOCK_STEP_S
        return is_same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _lives_here(trial: FrozenTrial) -> bool:
    return _is_alive(trial, is_silent=True)


def _kill_worker(trial: FrozenTrial) -> None:
    with suppress(ProcessLookupError):
        if _lives_here(trial):
            os.kill(read_worker(trial)["pid"], signal.SIGKILL)
            gone_by_s = time.monotonic() + DIES_WITHIN_S
            # The kernel takes its time.
            while _lives_here(trial) and time.monotonic() < gone_by_s:
                time.sleep(0.02)
