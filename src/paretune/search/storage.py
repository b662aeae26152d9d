"""A study's database: waiting while it is away, and all that is used of Optuna beyond its public interface."""

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from functools import wraps
from traceback import clear_frames
from typing import Any, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray
from optuna._hypervolume import compute_hypervolume
from optuna.distributions import BaseDistribution
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.storages._heartbeat import get_heartbeat_thread
from optuna.storages._rdb.models import StudySystemAttributeModel, TrialSystemAttributeModel
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy import Insert, Update, insert, update
from sqlalchemy.exc import IntegrityError, OperationalError

from paretune.errors import Absence

NOTE = "paretune:"  # before the names of system attributes, which are no business of those who look at a study
ENQUEUED = "fixed_params"  # the system attribute with what enqueue_trial was given
AWAY_S = 300.0  # a restart takes seconds, a failover a minute or two
PAUSES_S = (0.5, 1.0, 2.0, 5.0)

P = ParamSpec("P")
R = TypeVar("R")
AnyTrial = Trial | FrozenTrial


def patiently(call: Callable[P, R]) -> Callable[P, R]:
    """``call``, tried again for up to five minutes while the database does not answer."""

    @wraps(call)
    def waiting(*arguments: P.args, **named: P.kwargs) -> R:
        absence = Absence("the study's database", PAUSES_S)
        while True:
            try:
                answer = call(*arguments, **named)
            except UpdateFinishedTrialError:
                if not absence.tries:
                    raise
                answer = True  # type: ignore[assignment]  # an earlier try came through, its answer did not
            except (StorageInternalError, OperationalError) as error:
                if absence.noticed(error) > AWAY_S:
                    raise
                absence.wait()
                continue
            except (KeyboardInterrupt, SystemExit) as error:  # the cursor in its traceback would lock SQLite
                clear_frames(error.__traceback__)
                raise
            absence.ended()
            return answer

    return waiting


class PatientStorage(RDBStorage):
    """Optuna's database storage, whose every call waits for a database that restarts instead of ending the worker."""


# What Optuna's cache asks of the database behind it.
CALLS = (
    "create_new_study", "delete_study", "get_all_studies", "get_study_directions", "get_study_id_from_name",
    "get_study_name_from_id", "get_study_system_attrs", "get_study_user_attrs", "get_trial",
    "get_trial_id_from_study_id_trial_number", "record_heartbeat", "set_study_system_attr", "set_study_user_attr",
    "set_trial_intermediate_value", "set_trial_state_values", "set_trial_system_attr", "set_trial_user_attr",
    "_create_new_trial", "_get_best_trial_id", "_get_stale_trial_ids", "_get_trials", "_set_trial_param",
)  # fmt: skip

for _name in CALLS:
    setattr(PatientStorage, _name, patiently(getattr(RDBStorage, _name)))


def suggest(trial: Trial, name: str, distribution: BaseDistribution) -> Any:
    """The trial's value of the parameter ``name``, of any distribution."""
    return trial._suggest(name, distribution)


def stored(study: Study, trial: AnyTrial) -> FrozenTrial:
    """The trial as the study has it now."""
    return study._storage.get_trial(trial._trial_id)


def set_user_attr(study: Study, trial: AnyTrial, name: str, value: Any) -> None:
    """Set an attribute of a trial that is not finished, in whosever hands it is."""
    study._storage.set_trial_user_attr(trial._trial_id, name, value)


def note(study: Study, trial: AnyTrial, name: str, value: Any) -> None:
    """Keep a value with a trial that is not finished, out of the way of those who look at the study."""
    study._storage.set_trial_system_attr(trial._trial_id, f"{NOTE}{name}", value)
    if isinstance(trial, Trial):
        _as_read(trial).system_attrs[f"{NOTE}{name}"] = value


def noted(trial: AnyTrial, name: str) -> Any:
    """What was noted when ``trial`` was read; ``None`` if nothing was. Earlier versions noted it as an attribute of the user's."""
    attrs = _as_read(trial)
    return attrs.system_attrs.get(f"{NOTE}{name}", attrs.user_attrs.get(name))


def _as_read(trial: AnyTrial) -> FrozenTrial:
    return trial._cached_frozen_trial if isinstance(trial, Trial) else trial


def set_state(study: Study, trial: AnyTrial, state: TrialState) -> None:
    """Put a trial into a state without values. A waiting one is run again, under its own number.

    Raises ``UpdateFinishedTrialError`` if it is finished. Optuna's public interface can only finish a trial.
    """
    study._storage.set_trial_state_values(trial._trial_id, state)


def beat(study: Study, trial: AnyTrial) -> None:
    """Record a heartbeat of the trial now, where the study is in a database."""
    if database := _database(study):
        database.record_heartbeat(trial._trial_id)


def beating(study: Study, trial: AnyTrial) -> AbstractContextManager[None]:
    """A context in which the trial's heart beats, where the study is in a database."""
    return get_heartbeat_thread(trial._trial_id, study._storage)  # type: ignore[return-value]


def silent(study: Study, trials: Sequence[FrozenTrial]) -> set[int]:
    """The numbers of those running ``trials`` whose heartbeat has stopped."""
    database = _database(study)
    stale = database._get_stale_trial_ids(study._study_id) if database and trials else ()
    return {trial.number for trial in trials if trial._trial_id in stale}


@patiently
def swap_note(study: Study, trial: AnyTrial, name: str, value: Any) -> bool:
    """Note a value if it still is what it was when ``trial`` was read; ``False`` if another process was quicker.

    A compare-and-swap, in one statement of the database; an in-memory study has one process only.
    """
    database, row, text = _database(study), TrialSystemAttributeModel, json.dumps(value)
    if database is None:
        note(study, trial, name, value)
        return True
    key, attrs = f"{NOTE}{name}", _as_read(trial).system_attrs
    statement: Insert | Update = insert(row).values(trial_id=trial._trial_id, key=key, value_json=text)
    if key in attrs:
        was_read = row.value_json == json.dumps(attrs[key])
        statement = update(row).where(row.trial_id == trial._trial_id, row.key == key, was_read)
        statement = statement.values(value_json=text)
    return _changes(database, statement)


def note_of_study(study: Study, name: str, value: Any) -> None:
    """Keep a value with the study, out of the way of those who look at it."""
    study._storage.set_study_system_attr(study._study_id, f"{NOTE}{name}", value)


def study_notes(study: Study) -> dict[str, Any]:
    """All that is noted of the study itself, by its names."""
    attrs = study._storage.get_study_system_attrs(study._study_id)
    return {name.removeprefix(NOTE): value for name, value in attrs.items() if name.startswith(NOTE)}


@patiently
def add_study_note(study: Study, name: str, value: Any) -> bool:
    """Note a value of the study if it has none of this name; ``False`` if another process was quicker."""
    database = _database(study)
    if database is None:
        note_of_study(study, name, value)
        return True
    row = {"study_id": study._study_id, "key": f"{NOTE}{name}", "value_json": json.dumps(value)}
    return _changes(database, insert(StudySystemAttributeModel).values(row))


def dominated_volume(points: NDArray[np.float64], reference: NDArray[np.float64]) -> float:
    """The hypervolume that ``points`` ``(N, objectives)``, all to be minimised, dominate below ``reference``."""
    return float(compute_hypervolume(points, reference))


def _changes(database: RDBStorage, statement: Insert | Update) -> bool:
    """Whether ``statement`` changed a row; not if a row of that name is there already."""
    with suppress(IntegrityError), database.engine.begin() as connection:
        return bool(connection.execute(statement).rowcount)
    return False


def _database(study: Study) -> RDBStorage | None:
    """The database behind the study's cache."""
    storage = getattr(study._storage, "_backend", study._storage)
    return storage if isinstance(storage, RDBStorage) else None
