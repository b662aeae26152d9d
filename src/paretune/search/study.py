"""The study of a sweep: opening it, and taking back the trials of workers that are gone."""

import json
import logging
import os
import signal
import socket
import warnings
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import optuna
import psutil
from optuna.samplers import BaseSampler
from optuna.storages import RDBStorage
from optuna.storages._rdb.models import TrialUserAttributeModel
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy import update

from paretune.errors import StoreError

__all__ = [
    "Direction",
    "ask_to_stop",
    "claim",
    "finished",
    "open_study",
    "put_back",
    "reclaim",
    "requeue",
    "stopping",
    "terminate_workers",
    "workers_alive",
]

log = logging.getLogger(__name__)

Direction = Literal["minimize", "maximize"]
HEARTBEAT_S = 30
DONE = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
WORKER = "worker"
ATTEMPT = "attempt"
STOP = "stop"
CLAIM_WITHIN = timedelta(seconds=60)  # an ask takes a second at most

optuna.logging.disable_default_handler()  # a sweep's own log says what a person needs
optuna.logging.enable_propagation()
optuna.logging.set_verbosity(optuna.logging.WARNING)


def open_study(name: str, storage: str | None, directions: Sequence[Direction], sampler: BaseSampler) -> Study:
    """The study ``name``, made if it is new. Call it in one process before any worker starts.

    Raises :class:`~paretune.errors.StoreError` if the stored study optimises in other directions.
    """
    study = optuna.create_study(
        study_name=name,
        storage=_storage(storage),
        sampler=sampler,
        directions=directions,
        load_if_exists=True,
    )
    stored = [direction.name.lower() for direction in study.directions]
    if stored != list(directions):
        message = (
            f"study `{name}` optimises {stored}, not {list(directions)}; expected the same directions; give the sweep "
            f"another name"
        )
        raise StoreError(message)
    return study


def _storage(url: str | None) -> RDBStorage | None:
    if url is None:
        return None
    if url.startswith("sqlite:///"):
        Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return RDBStorage(url, heartbeat_interval=HEARTBEAT_S)
    except Exception as error:
        reason = str(error).strip().splitlines()[0]
        message = (
            f"study storage `{url}` cannot be used ({reason}); expected an SQLAlchemy URL; check hydra.sweeper.storage"
        )
        raise StoreError(message) from error


def finished(study: Study) -> list[FrozenTrial]:
    """The trials that count towards the total: complete, pruned and failed ones."""
    return study.get_trials(deepcopy=False, states=DONE)


def claim(trial: Trial) -> int:
    """Mark ``trial`` as run by this process; returns how often it was started before."""
    attempt = int(trial.user_attrs.get(ATTEMPT, 0))
    trial.set_user_attr(ATTEMPT, attempt)
    trial.set_user_attr(WORKER, json.dumps(_identity(os.getpid())))
    return attempt


def put_back(study: Study, trial: FrozenTrial | Trial) -> None:
    """Put a running trial of this process back in the queue, under its own number and with its own parameters."""
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
    running = study.get_trials(deepcopy=False, states=[TrialState.RUNNING])
    stale = set(_stale(study)) if running else set()
    orphans = [t for t in running if not _alive(t.user_attrs.get(WORKER), t.datetime_start, t._trial_id in stale)]
    for trial in orphans:
        attempts = int(trial.user_attrs.get(ATTEMPT, 0)) + 1
        if attempts > retry:
            log.warning("trial %d broke off %d times and counts as failed", trial.number + 1, attempts)
            study._storage.set_trial_user_attr(trial._trial_id, "reason", f"its worker died {attempts} times")
            study._storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
        elif requeue(study, trial):
            log.info("trial %d was cut off and is in the queue again", trial.number + 1)
    return len(orphans)


def ask_to_stop(study: Study, stop: bool = True) -> None:
    """Have all workers of the study, on any machine, stop before their next trial (or, with ``False``, go on)."""
    study.set_user_attr(STOP, stop)


def stopping(study: Study) -> bool:
    """Whether somebody asked the sweep to stop."""
    return bool(study.user_attrs.get(STOP, False))


def terminate_workers(study: Study) -> None:
    """Ask all workers to stop, and those of this machine to stop now (SIGTERM)."""
    ask_to_stop(study)
    for trial in study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
        if _alive(trial.user_attrs.get(WORKER), None, stale=True):
            os.kill(json.loads(trial.user_attrs[WORKER])["pid"], signal.SIGTERM)


def workers_alive(study: Study) -> int:
    """Workers of this machine that are running a trial now."""
    running = study.get_trials(deepcopy=False, states=[TrialState.RUNNING])
    return sum(
        _alive(trial.user_attrs.get(WORKER), None, stale=False) for trial in running if WORKER in trial.user_attrs
    )


def _count_up(study: Study, trial: FrozenTrial | Trial) -> bool:
    """Compare and swap of the attempt, in one statement of the database; an in-memory study has one process only."""
    attempt, storage = int(trial.user_attrs.get(ATTEMPT, 0)), _rdb(study)
    if storage is None or ATTEMPT not in trial.user_attrs:
        study._storage.set_trial_user_attr(trial._trial_id, ATTEMPT, attempt + 1)
        return True
    row = TrialUserAttributeModel
    statement = (
        update(row)
        .where(row.trial_id == trial._trial_id, row.key == ATTEMPT, row.value_json == json.dumps(attempt))
        .values(value_json=json.dumps(attempt + 1))
    )
    with storage.engine.begin() as connection:
        return bool(connection.execute(statement).rowcount)


def _stale(study: Study) -> list[int]:
    storage = _rdb(study)
    return storage._get_stale_trial_ids(study._study_id) if storage else []


def _rdb(study: Study) -> RDBStorage | None:
    """The database behind the study's cache."""
    storage = getattr(study._storage, "_backend", study._storage)
    return storage if isinstance(storage, RDBStorage) else None


def _identity(pid: int) -> dict[str, str | int | float]:
    """A process, told apart from a later one with the same number by its start."""
    return {"host": socket.gethostname(), "pid": pid, "started": psutil.Process(pid).create_time()}


def _alive(worker: str | None, asked: datetime | None, stale: bool) -> bool:
    if worker is None:  # killed between asking and claiming, or about to claim
        return asked is not None and datetime.now() - asked < CLAIM_WITHIN
    identity = json.loads(worker)
    if identity["host"] != socket.gethostname():
        return not stale
    try:
        process = psutil.Process(identity["pid"])
        return process.create_time() == identity["started"] and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
