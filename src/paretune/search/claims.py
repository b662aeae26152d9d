"""Which process runs which trial, and taking back the trials of those that are gone."""

import json
import logging
import os
import signal
import socket
import time
from contextlib import suppress
from datetime import datetime, timedelta

import psutil
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.storages._rdb.models import TrialUserAttributeModel
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy import Insert, Update, insert, update
from sqlalchemy.exc import IntegrityError

from paretune.search.interrupts import GRACE_S
from paretune.search.storage import patiently
from paretune.search.study import running

__all__ = [
    "CREW",
    "claim",
    "fail",
    "held",
    "kill_overdue",
    "kill_workers",
    "put_back",
    "reclaim",
    "requeue",
    "starts",
    "this_process",
    "too_long",
    "workers_alive",
]

log = logging.getLogger(__name__)

WORKER = "worker"
ATTEMPT = "attempt"
CREW = "PARETUNE_CREW"  # in a worker's environment: who launched it
DEATHS = "deaths"
CLOCK_STEP_S = 5  # a process's start is told from a clock that may be set; its number is not given again as soon
DIES_WITHIN_S = 3.0
CLAIM_WITHIN = timedelta(seconds=60)  # an ask takes a second at most


def claim(study: Study, trial: Trial) -> int | None:
    """Mark ``trial`` as run by this process; returns how often it was started before.

    ``None`` if others took it for orphaned and put it back, because this process asked for it and then was away for too long.
    """
    attempt = int(trial.user_attrs.get(ATTEMPT, 0))
    if not held(study, trial, attempt):
        return None
    if storage := _rdb(study):
        storage.record_heartbeat(trial._trial_id)  # an old beat of another machine's worker must not count
    trial.set_user_attr(ATTEMPT, attempt)
    trial.set_user_attr(WORKER, json.dumps(_identity(os.getpid())))
    return attempt


def held(study: Study, trial: Trial, attempt: int) -> bool:
    """Whether this attempt at the trial is still its worker's, and nobody took it for orphaned."""
    now = study._storage.get_trial(trial._trial_id)
    return now.state is TrialState.RUNNING and int(now.user_attrs.get(ATTEMPT, 0)) == attempt


def put_back(study: Study, trial: FrozenTrial | Trial) -> None:
    """Put a running trial of this process back in the queue, under its own number and with its own parameters."""
    study._storage.set_trial_user_attr(trial._trial_id, WORKER, None)  # until somebody claims it
    # Optuna's public interface can only fail a trial, which would cost it its number.
    study._storage.set_trial_state_values(trial._trial_id, TrialState.WAITING)


def requeue(study: Study, trial: FrozenTrial | Trial) -> bool:
    """Put a running trial that broke off back in the queue as a further attempt; returns whether this call did it.

    Of several processes that find the same orphan, one wins: the attempt is counted up only from the number it had.
    """
    if not _count_up(study, trial):
        return False
    put_back(study, trial)
    return True


def reclaim(study: Study, retry: int) -> int:
    """Requeue the running trials whose worker is gone, or fail those that broke off ``retry`` times; returns how many.

    Whether a worker on this machine lives is asked of the operating system; one elsewhere counts as gone when its
    heartbeat stops.
    """
    in_hand = running(study)
    stale = set(_stale(study)) if in_hand else set()
    orphans = [t for t in in_hand if not _alive(t.user_attrs.get(WORKER), t.datetime_start, t._trial_id in stale)]
    for trial in orphans:
        deaths = int(trial.user_attrs.get(DEATHS, 0)) + 1  # an interrupt is no death
        if deaths > retry:
            log.warning("trial %d broke off %d times and counts as failed", trial.number, deaths)
            fail(study, trial, f"its worker died {deaths} times (killed, or out of memory)")
        elif _count_up(study, trial):
            study._storage.set_trial_user_attr(trial._trial_id, DEATHS, deaths)
            put_back(study, trial)
            log.info("trial %d was cut off and is in the queue again", trial.number)
    return len(orphans)


def fail(study: Study, trial: FrozenTrial | Trial, reason: str) -> bool:
    """Close a trial as failed, and say why; ``False`` if it is finished already."""
    try:
        study._storage.set_trial_user_attr(trial._trial_id, "reason", reason[:2000])
        study._storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
    except UpdateFinishedTrialError:  # another process was quicker
        return False
    return True


def kill_workers(study: Study) -> None:
    """Kill the workers of this machine that are running a trial now."""
    for trial in running(study):
        _kill_worker(trial)


def kill_overdue(study: Study, trial_timeout_s: float | None) -> None:
    """Fail trials of this machine that ran for too long and whose worker did not notice, and kill the worker."""
    if trial_timeout_s is None:
        return
    for trial in running(study):
        since_s = json.loads(trial.user_attrs.get(WORKER) or "{}").get("since", time.time())
        overdue = time.time() - since_s > trial_timeout_s + 2 * GRACE_S
        if overdue and _lives_here(trial) and fail(study, trial, too_long(trial_timeout_s)):
            _kill_worker(trial)


def too_long(trial_timeout_s: float | None) -> str:
    """The reason of a trial that ran for too long."""
    return f"ran for longer than trial_timeout_s = {trial_timeout_s:g}"


def workers_alive(study: Study) -> list[str]:
    """The crews of workers that are running a trial now; one of another machine counts as long as its heart beats.

    A worker's crew is the parent that launched it (:func:`this_process`); that of one that joined by hand is empty.
    """
    stale = set(_stale(study))
    claimed = [trial for trial in running(study) if trial.user_attrs.get(WORKER)]
    alive = [trial for trial in claimed if _alive(trial.user_attrs[WORKER], None, trial._trial_id in stale)]
    return [str(json.loads(trial.user_attrs[WORKER]).get("crew", "")) for trial in alive]


def this_process() -> str:
    """A name of this process that no other one has had."""
    identity = _identity(os.getpid())
    return f"{identity['host']}:{identity['pid']}:{identity['started']}"


def starts(study: Study) -> int:
    """How often any trial of the study was started."""
    return sum(int(trial.user_attrs.get(ATTEMPT, -1)) + 1 for trial in study.get_trials(deepcopy=False))


@patiently
def _count_up(study: Study, trial: FrozenTrial | Trial) -> bool:
    """Compare and swap of the attempt, in one statement of the database; an in-memory study has one process only."""
    attempt, storage = int(trial.user_attrs.get(ATTEMPT, 0)), _rdb(study)
    if storage is None:
        study._storage.set_trial_user_attr(trial._trial_id, ATTEMPT, attempt + 1)
        return True
    row, counted = TrialUserAttributeModel, json.dumps(attempt + 1)
    statement: Insert | Update = insert(row).values(trial_id=trial._trial_id, key=ATTEMPT, value_json=counted)
    if ATTEMPT in trial.user_attrs:  # else its worker was killed before it claimed it
        own = (row.trial_id == trial._trial_id, row.key == ATTEMPT, row.value_json == json.dumps(attempt))
        statement = update(row).where(*own).values(value_json=counted)
    with suppress(IntegrityError), storage.engine.begin() as connection:
        return bool(connection.execute(statement).rowcount)
    return False


def _stale(study: Study) -> list[int]:
    storage = _rdb(study)
    return storage._get_stale_trial_ids(study._study_id) if storage else []


def _rdb(study: Study) -> RDBStorage | None:
    """The database behind the study's cache."""
    storage = getattr(study._storage, "_backend", study._storage)
    return storage if isinstance(storage, RDBStorage) else None


def _identity(pid: int) -> dict[str, str | int | float]:
    """A process, told apart from a later one with the same number by its start."""
    started = psutil.Process(pid).create_time()
    crew = os.environ.get(CREW, "")
    return {"host": socket.gethostname(), "pid": pid, "started": started, "since": time.time(), "crew": crew}


def _kill_worker(trial: FrozenTrial) -> None:
    with suppress(ProcessLookupError):
        if _lives_here(trial):
            os.kill(json.loads(trial.user_attrs[WORKER])["pid"], signal.SIGKILL)
            gone_by_s = time.monotonic() + DIES_WITHIN_S
            while _lives_here(trial) and time.monotonic() < gone_by_s:  # the kernel takes its time
                time.sleep(0.02)


def _lives_here(trial: FrozenTrial) -> bool:
    worker = trial.user_attrs.get(WORKER)
    return worker is not None and _alive(worker, None, stale=True)


def _alive(worker: str | None, asked: datetime | None, stale: bool) -> bool:
    if worker is None:  # killed between asking and claiming, or about to claim
        return asked is not None and datetime.now() - asked < CLAIM_WITHIN
    identity = json.loads(worker)
    if identity["host"] != socket.gethostname():
        return not stale
    try:
        process = psutil.Process(identity["pid"])
        return (
            abs(process.create_time() - identity["started"]) < CLOCK_STEP_S and process.status() != psutil.STATUS_ZOMBIE
        )
    except psutil.NoSuchProcess:
        return False
