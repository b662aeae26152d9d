"""The study of a sweep: opening it, what is finished, and whether somebody asked it to stop."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import optuna
from optuna.pruners import BasePruner, NopPruner
from optuna.samplers import BaseSampler
from optuna.storages import RDBStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from paretune.errors import StoreError, first_line
from paretune.search.storage import PatientStorage
from paretune.secret import refuse_passwords

__all__ = ["Direction", "ask_to_stop", "finished", "open_study", "running", "stopping"]

Direction = Literal["minimize", "maximize"]
HEARTBEAT_S = 30
BUSY_S = 60  # SQLite has one writer at a time; the others wait
DONE = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
STOP = "stop"

optuna.logging.disable_default_handler()  # a sweep's own log says what a person needs
optuna.logging.enable_propagation()
optuna.logging.set_verbosity(optuna.logging.WARNING)


def open_study(
    name: str,
    storage: str | None,
    directions: Sequence[Direction],
    sampler: BaseSampler,
    pruner: BasePruner | None = None,
    *,
    join: bool = False,
) -> Study:
    """The study ``name``, made if it is new (unless it is to ``join``). Call it in one process before any worker starts.

    A ``pruner`` sees what a task reports of one objective; without one nothing is pruned.

    Raises :class:`~paretune.errors.StoreError` if the stored study optimises in other directions.
    """
    database = _storage(storage)
    if join and (database is None or name not in optuna.get_all_study_names(database)):
        message = (
            f"study `{name}` is not in `{storage}`; expected a sweep that was started; start it with "
            f"paretune-train, or check hydra.sweeper.storage and the name"
        )
        raise StoreError(message)
    study = optuna.create_study(
        study_name=name,
        storage=database,
        sampler=sampler,
        pruner=pruner or NopPruner(),
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
    refuse_passwords(url)
    if url is None:
        return None
    try:
        if url.startswith("sqlite:///"):
            Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            local = url.startswith("sqlite")
            waits = {"connect_args": {"timeout": BUSY_S}} if local else {"pool_pre_ping": True}
            return PatientStorage(url, engine_kwargs=waits, heartbeat_interval=HEARTBEAT_S)
    except Exception as error:
        reason = first_line(error)
        message = (
            f"study storage `{url}` cannot be used ({reason}); expected an SQLAlchemy URL; check hydra.sweeper.storage"
        )
        raise StoreError(message) from error


def finished(study: Study) -> list[FrozenTrial]:
    """The trials that count towards the total: complete, pruned and failed ones."""
    return study.get_trials(deepcopy=False, states=DONE)


def running(study: Study) -> list[FrozenTrial]:
    """The trials in the hands of a worker, or of one that died."""
    return study.get_trials(deepcopy=False, states=[TrialState.RUNNING])


def ask_to_stop(study: Study, stop: bool = True) -> None:
    """Have all workers of the study, on any machine, put their trial back and stop (or, with ``False``, go on)."""
    study.set_user_attr(STOP, stop)


def stopping(study: Study) -> bool:
    """Whether somebody asked the sweep to stop."""
    return bool(study.user_attrs.get(STOP, False))
