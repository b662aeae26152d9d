"""The study of a sweep: opening it, and taking back the trials of workers that are gone."""

import json
import logging
import os
import socket
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import optuna
import psutil
from optuna.samplers import BaseSampler
from optuna.storages import RDBStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from paretune.errors import StoreError

__all__ = ["Direction", "claim", "finished", "open_study", "reclaim", "requeue"]

log = logging.getLogger(__name__)

Direction = Literal["minimize", "maximize"]
HEARTBEAT_S = 30
DONE = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
WORKER = "worker"
ATTEMPT = "attempt"

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
    trial.set_user_attr(WORKER, json.dumps(_identity(os.getpid())))
    return int(trial.user_attrs.get(ATTEMPT, 0))


def requeue(study: Study, trial: FrozenTrial | Trial) -> None:
    """Put a running trial back in the queue under its own number and with its own parameters."""
    storage = study._storage  # Optuna's public interface can only fail a trial, which would cost it its number
    storage.set_trial_user_attr(trial._trial_id, ATTEMPT, int(trial.user_attrs.get(ATTEMPT, 0)) + 1)
    storage.set_trial_state_values(trial._trial_id, TrialState.WAITING)


def reclaim(study: Study) -> int:
    """Requeue the running trials whose worker on this machine is gone; returns how many there were."""
    running = study.get_trials(deepcopy=False, states=[TrialState.RUNNING])
    orphans = [trial for trial in running if not _alive(trial.user_attrs.get(WORKER))]
    for trial in orphans:
        requeue(study, trial)
    return len(orphans)


def _identity(pid: int) -> dict[str, str | int | float]:
    """A process, told apart from a later one with the same number by its start."""
    return {"host": socket.gethostname(), "pid": pid, "started": psutil.Process(pid).create_time()}


def _alive(worker: str | None) -> bool:
    if worker is None:
        return False  # it was killed between asking and claiming
    identity = json.loads(worker)
    if identity["host"] != socket.gethostname():
        return True  # only its own machine can tell
    try:
        return bool(_identity(identity["pid"]) == identity)
    except psutil.NoSuchProcess:
        return False
