"""A study's database: waiting while it is away, and all that is used of Optuna beyond
its public interface.
"""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Collection, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cache, wraps
from pathlib import Path
from threading import Event, Thread
from traceback import clear_frames
from typing import Any, ParamSpec, TypeVar
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray
from optuna._hypervolume import compute_hypervolume
from optuna.distributions import (
    BaseDistribution,
    check_distribution_compatibility,
    distribution_to_json,
    json_to_distribution,
)
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.storages._rdb.models import (
    StudyModel,
    StudySystemAttributeModel,
    TrialHeartbeatModel,
    TrialIntermediateValueModel,
    TrialModel,
    TrialParamModel,
    TrialSystemAttributeModel,
    TrialUserAttributeModel,
    TrialValueModel,
)
from optuna.study import Study
from optuna.study._multi_objective import _get_pareto_front_trials_by_trials
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial
from sqlalchemy import Connection, Insert, delete, insert, or_, select, update
from sqlalchemy.exc import (
    DBAPIError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session

from paretune.retry import (
    LONGEST_OUTAGE_S,
    TOLD_AFTER_S,
    FaultError,
    FileId,
    Outage,
    error_of,
    fault_of,
    fault_of_file,
    file_id,
    is_busy,
    patience,
)

# Before the names of system attributes, which are no business of those who look at a
# study.
NOTE = "paretune:"
# A name for the last change of a trial's state, which nothing else has.
MOVE = "move"
# The system attribute with what enqueue_trial was given.
ENQUEUED = "fixed_params"
PAUSES_S = (0.1, 0.2, 0.5, 1.0, 2.0)
DATABASE_NAME = "the study's database"
# Of a PostgreSQL that a failover has not made the primary yet.
STANDBY = "25006"
LAST_BEAT_S = 1.0
# In one query; SQLite takes 32,766.
IDS_AT_ONCE = 5_000

P = ParamSpec("P")
R = TypeVar("R")
NoteName = TypeVar("NoteName")
NoteValue = TypeVar("NoteValue")
ByTrial = defaultdict[int, dict[NoteName, NoteValue]]
AnyTrial = Trial | FrozenTrial
# From a state to another.
Move = tuple[TrialState, TrialState]


def patiently(call: Callable[P, R]) -> Callable[P, R]:
    """``call``, whose first argument is the storage or the study, tried again for up to
    five minutes while the database is busy or away.

    Raises :class:`~paretune.retry.FaultError` at once for what does not come back by
    itself, or when the time is over.
    """

    @wraps(call)
    def waiting(*arguments: P.args, **named: P.kwargs) -> R:
        outage = Outage(DATABASE_NAME, PAUSES_S, TOLD_AFTER_S)
        while True:
            try:
                answer = call(*arguments, **named)
            except UpdateFinishedTrialError:
                if not outage.tries:
                    raise
                # An earlier try came through, its answer did not.
                answer = True  # type: ignore[assignment]
            except (StorageInternalError, SQLAlchemyError) as error:
                _refuse_fault(error, arguments[0])
                if not _is_outage(error):
                    raise
                away_s = outage.noticed(error)
                if away_s > LONGEST_OUTAGE_S or patience.is_over():
                    raise FaultError(_no_answer(arguments[0], away_s)) from error
                outage.wait()
                continue
            except (KeyboardInterrupt, SystemExit) as error:
                # The cursor in its traceback would lock SQLite.
                clear_frames(error.__traceback__)
                raise
            outage.ended()
            return answer

    return waiting


def _refuse_fault(error: Exception, owner: object) -> None:
    """Raise :class:`~paretune.retry.FaultError` if a person has to mend what made a
    call of ``owner`` (storage or study) fail.
    """
    path = _file_of(owner)
    if fault := fault_of(error, path):
        raise error_of(fault, _name(owner)) from error


def _is_outage(error: BaseException) -> bool:
    """Whether the database is busy, restarts or cannot be reached, rather than that the
    call is wrong.
    """
    cause: BaseException | None = error
    if isinstance(error, StorageInternalError):
        cause = error.__cause__
    if isinstance(cause, OperationalError) and isinstance(cause.orig, sqlite3.Error):
        return is_busy(cause)
    if isinstance(cause, OperationalError | InterfaceError | PoolTimeoutError):
        return True
    if isinstance(cause, DBAPIError) and cause.connection_invalidated:
        return True
    driver_error = getattr(cause, "orig", None)
    return getattr(driver_error, "sqlstate", None) == STANDBY


def _no_answer(owner: object, away_s: float) -> str:
    return (
        f"{_name(owner)} has not answered for {away_s:.0f} s; see what holds or "
        "stopped it; the same command then goes on from here"
    )


def _name(owner: object) -> str:
    path = _file_of(owner)
    if path is None:
        return DATABASE_NAME
    return f"{DATABASE_NAME} `{path}`"


def _file_of(owner: object) -> Path | None:
    """The file of the SQLite database behind a storage or a study."""
    if isinstance(owner, Study):
        owner = _database(owner)
    if not isinstance(owner, RDBStorage):
        return None
    engine = owner.engine
    if engine.dialect.name != "sqlite" or not engine.url.database:
        return None
    return Path(engine.url.database)


def refuse_broken(study: Study) -> None:
    """Raise :class:`~paretune.retry.FaultError` if the file of the study's database is
    gone or read-only, or its disk full.

    SQLite goes on writing to a file that was deleted while it was open.
    """
    path = _file_of(study)
    if path is None:
        return
    fault = fault_of_file(path, getattr(_database(study), "opened", None))
    if fault:
        raise error_of(fault, _name(study))


class PatientStorage(RDBStorage):
    """Optuna's database storage, whose every call waits for a database that restarts
    instead of ending the worker.
    """

    # The file of a SQLite one.
    opened: FileId | None = None


# What Optuna's cache asks of the database behind it.
CALLS = (
    "create_new_study",
    "delete_study",
    "get_all_studies",
    "get_study_directions",
    "get_study_id_from_name",
    "get_study_name_from_id",
    "get_study_system_attrs",
    "get_study_user_attrs",
    "get_trial",
    "get_trial_id_from_study_id_trial_number",
    "record_heartbeat",
    "set_study_system_attr",
    "set_study_user_attr",
    "set_trial_intermediate_value",
    "set_trial_state_values",
    "set_trial_system_attr",
    "set_trial_user_attr",
    "_create_new_trial",
    "_get_best_trial_id",
    "_get_stale_trial_ids",
    "_get_trials",
    "_set_trial_param",
)

for _call in CALLS:
    setattr(PatientStorage, _call, patiently(getattr(RDBStorage, _call)))


def _read_trials(
    database: RDBStorage,
    study_id: int,
    states: Container[TrialState] | None,
    included_trial_ids: set[int],
    trial_id_greater_than: int,
) -> list[FrozenTrial]:
    """The trials of the study whose id is above ``trial_id_greater_than`` or among
    ``included_trial_ids``, by their ids.

    The same as Optuna's ``_get_trials`` in a tenth of its time: from rows, without an
    object for each of them.
    """
    trial = TrialModel
    known = trial.trial_id.in_(sorted(included_trial_ids))
    is_new = trial.trial_id > trial_id_greater_than
    query = (
        select(
            trial.trial_id,
            trial.number,
            trial.state,
            trial._datetime_start_utc,
            trial._datetime_complete_utc,
        )
        .where(trial.study_id == study_id, or_(is_new, known))
        .order_by(trial.trial_id)
    )
    if states is not None:
        wanted = [state for state in TrialState if state in states]
        query = query.where(trial.state.in_(wanted))
    with database.engine.connect() as connection:
        StudyModel.find_or_raise_by_id(study_id, Session(connection))
        rows = connection.execute(query).all()
        parts = _PartsOfTrials(connection, [row.trial_id for row in rows])
    return [parts.make_trial(*row) for row in rows]


class _PartsOfTrials:
    """Rows of other tables about some trials, by the trials' ids."""

    def __init__(self, connection: Connection, trial_ids: Sequence[int]) -> None:
        self._connection = connection
        self._ids = trial_ids
        self.params: ByTrial[str, Any] = defaultdict(dict)
        self.distributions: ByTrial[str, BaseDistribution] = defaultdict(dict)
        self._read_params()
        self.user_attrs = self._read_attributes(TrialUserAttributeModel)
        self.system_attrs = self._read_attributes(TrialSystemAttributeModel)
        self._values: ByTrial[int, float] = defaultdict(dict)
        self._read_values()
        self.reported: ByTrial[int, float] = defaultdict(dict)
        self._read_reported()

    def make_trial(
        self,
        trial_id: int,
        number: int,
        state: TrialState,
        start: datetime | None,
        complete: datetime | None,
    ) -> FrozenTrial:
        """The trial with this id, number, state and times (in UTC)."""
        values = self._values[trial_id]
        return FrozenTrial(
            number=number,
            state=state,
            value=None,
            values=[values[objective] for objective in sorted(values)] or None,
            datetime_start=_local(start),
            datetime_complete=_local(complete),
            params=self.params[trial_id],
            distributions=self.distributions[trial_id],
            user_attrs=self.user_attrs[trial_id],
            system_attrs=self.system_attrs[trial_id],
            intermediate_values=self.reported[trial_id],
            trial_id=trial_id,
        )

    def _read_params(self) -> None:
        row = TrialParamModel
        columns = (row.trial_id, row.param_name, row.param_value, row.distribution_json)
        # A sweep has few distributions, and reading one takes longer than all else.
        read = cache(json_to_distribution)
        for trial_id, name, value, text in self._rows(row, columns, row.param_id):
            distribution = read(text)
            self.params[trial_id][name] = distribution.to_external_repr(value)
            self.distributions[trial_id][name] = distribution

    def _read_attributes(self, row: Any) -> ByTrial[str, Any]:
        attributes: ByTrial[str, Any] = defaultdict(dict)
        columns = (row.trial_id, row.key, row.value_json)
        for trial_id, key, text in self._rows(row, columns, row.trial_id):
            attributes[trial_id][key] = json.loads(text)
        return attributes

    def _read_values(self) -> None:
        row = TrialValueModel
        columns = (row.trial_id, row.objective, row.value, row.value_type)
        for trial_id, objective, value, kind in self._rows(row, columns, row.trial_id):
            self._values[trial_id][objective] = row.stored_repr_to_value(value, kind)

    def _read_reported(self) -> None:
        row = TrialIntermediateValueModel
        columns = (
            row.trial_id,
            row.step,
            row.intermediate_value,
            row.intermediate_value_type,
        )
        for trial_id, step, value, kind in self._rows(row, columns, row.trial_id):
            self.reported[trial_id][step] = row.stored_repr_to_intermediate_value(
                value, kind
            )

    def _rows(self, row: Any, columns: Sequence[Any], order: Any) -> Iterator[Any]:
        for start in range(0, len(self._ids), IDS_AT_ONCE):
            ids = self._ids[start : start + IDS_AT_ONCE]
            yield from self._connection.execute(
                select(*columns).where(row.trial_id.in_(ids)).order_by(order)
            )


def _local(time_utc: datetime | None) -> datetime | None:
    if time_utc is None:
        return None
    return time_utc.replace(tzinfo=UTC).astimezone().replace(tzinfo=None)


PatientStorage._get_trials = patiently(_read_trials)  # type: ignore[method-assign, arg-type]


def find_best_trials(study: Study) -> list[FrozenTrial]:
    """The complete trials that no other one dominates; Optuna's own copies all trials
    of the study first.
    """
    complete = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
    return _get_pareto_front_trials_by_trials(
        complete, study.directions, consider_constraint=False
    )


def open_database(
    url: str, engine_options: dict[str, Any], heartbeat_s: int
) -> PatientStorage:
    """A study's database; one that another process holds is waited for, one that does
    not answer at the start is not.
    """
    outage = Outage(DATABASE_NAME, PAUSES_S, TOLD_AFTER_S)
    while True:
        try:
            database = PatientStorage(
                url, engine_kwargs=engine_options, heartbeat_interval=heartbeat_s
            )
        except (StorageInternalError, SQLAlchemyError) as error:
            if not is_busy(error) or outage.noticed(error) > LONGEST_OUTAGE_S:
                raise
            outage.wait()
            continue
        if path := _file_of(database):
            database.opened = file_id(path)
        return database


def suggest(trial: Trial, name: str, distribution: BaseDistribution) -> Any:
    """The trial's value of the parameter ``name``, of any distribution."""
    return trial._suggest(name, distribution)


def read_trials_once(study: Study) -> list[FrozenTrial]:
    """All trials of the study, as they were when the trial that is asked for now looked
    at them first.
    """
    return study._get_trials(deepcopy=False, use_cache=True)


@contextmanager
def written_together(trial: Trial) -> Iterator[None]:
    """A context in which the values that are suggested to a trial go to its database in
    one transaction, at the end: one for each takes most of an ask.
    """
    storage = trial.storage
    database = getattr(storage, "_backend", None)
    if not isinstance(database, RDBStorage):
        yield
        return
    gathering = _GatheringStorage(storage)
    trial.storage = gathering  # type: ignore[assignment]
    try:
        yield
        gathering.write(database, trial._trial_id)
    finally:
        trial.storage = storage


class _GatheringStorage:
    """Optuna's cache of a database, but for parameters that are set: those it keeps
    until they are written.
    """

    def __init__(self, storage: Any) -> None:
        self._storage = storage
        self._params: dict[str, tuple[float, BaseDistribution]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def set_trial_param(
        self, trial_id: int, name: str, value: float, distribution: BaseDistribution
    ) -> None:
        """Keep a value as Optuna stores it."""
        self._params[name] = (value, distribution)

    def write(self, database: RDBStorage, trial_id: int) -> None:
        """Write what was kept.

        Optuna itself writes a parameter that is new to this process: it compares its
        distribution with that of other trials, and raises ``ValueError`` for another.
        """
        study_id, _ = self._storage._trial_id_to_study_id_and_number[trial_id]
        known = self._storage._studies[study_id].param_distribution
        rows: list[dict[str, Any]] = []
        for name, (value, distribution) in self._params.items():
            if name not in known:
                self._storage.set_trial_param(trial_id, name, value, distribution)
                continue
            check_distribution_compatibility(known[name], distribution)
            row = {"trial_id": trial_id, "param_name": name, "param_value": value}
            rows.append(row | {"distribution_json": distribution_to_json(distribution)})
        _insert_params(database, trial_id, rows)


@patiently
def _insert_params(
    database: RDBStorage, trial_id: int, rows: Sequence[Mapping[str, Any]]
) -> None:
    """Write parameters of a trial. Raises Optuna's ``UpdateFinishedTrialError`` if it
    is finished.
    """
    if not rows:
        return
    state = select(TrialModel.state).where(TrialModel.trial_id == trial_id)
    # Unless an earlier try came through, and its answer did not.
    with suppress(IntegrityError), database.engine.begin() as connection:
        database.check_trial_is_updatable(
            trial_id, connection.execute(state).scalar_one()
        )
        connection.execute(insert(TrialParamModel), rows)


def read_trial(study: Study, trial: AnyTrial) -> FrozenTrial:
    """The trial as the study has it now."""
    return study._storage.get_trial(trial._trial_id)


def set_user_attr(study: Study, trial: AnyTrial, name: str, value: Any) -> None:
    """Set an attribute of a trial that is not finished, in whosever hands it is."""
    study._storage.set_trial_user_attr(trial._trial_id, name, value)


def note(study: Study, trial: AnyTrial, name: str, value: Any) -> None:
    """Keep a value with a trial that is not finished, out of the way of those who look
    at the study.
    """
    study._storage.set_trial_system_attr(trial._trial_id, f"{NOTE}{name}", value)
    if isinstance(trial, Trial):
        _as_read(trial).system_attrs[f"{NOTE}{name}"] = value


def read_note(trial: AnyTrial, name: str) -> Any:
    """The value of a note when ``trial`` was read; ``None`` without one. Earlier
    versions noted it as an attribute of the user's.
    """
    attrs = _as_read(trial)
    return attrs.system_attrs.get(f"{NOTE}{name}", attrs.user_attrs.get(name))


def _as_read(trial: AnyTrial) -> FrozenTrial:
    if isinstance(trial, Trial):
        return trial._cached_frozen_trial
    return trial


def add_waiting(study: Study) -> FrozenTrial:
    """A new trial that waits for a worker."""
    trial_id = study._storage.create_new_trial(
        study._study_id, create_trial(state=TrialState.WAITING)
    )
    return study._storage.get_trial(trial_id)


def as_trial(study: Study, trial: FrozenTrial) -> Trial:
    """A running trial for the sampler to draw for and the task to run, as ``study.ask``
    hands it out.
    """
    # What the sampler learns from is read anew, once a trial.
    study._thread_local.cached_all_trials = None
    return Trial(study, trial._trial_id)


def forget_trials(study: Study) -> None:
    """Have this process read all trials anew: finished ones are not, as they change no
    more.
    """
    if _database(study) is None:
        return
    cached = getattr(study._storage, "_studies", {}).get(study._study_id)
    if cached is None:
        return
    cached.trials = {}
    cached.unfinished_trial_ids = set()
    cached.last_finished_trial_id = -1


@contextmanager
def beating(study: Study, trial: AnyTrial) -> Iterator[None]:
    """A context in which the trial's heart beats, where the study is in a database. It
    ends at once, whatever a beat waits for.
    """
    database = _database(study)
    if database is None:
        yield
        return
    is_over = Event()
    thread = Thread(
        target=_beat_until, args=(is_over, database, trial._trial_id), daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join(LAST_BEAT_S)


def _beat_until(is_over: Event, database: RDBStorage, trial_id: int) -> None:
    while not is_over.is_set():
        # A beat may be missed; the trial's own calls tell what is wrong.
        with suppress(Exception):
            database.record_heartbeat(trial_id)
        is_over.wait(database.get_heartbeat_interval())


def find_silent(study: Study, trials: Sequence[FrozenTrial]) -> set[int]:
    """The numbers of those running ``trials`` whose heartbeat has stopped."""
    database = _database(study)
    if database is None or not trials:
        return set()
    stale = database._get_stale_trial_ids(study._study_id)
    return {trial.number for trial in trials if trial._trial_id in stale}


def switch(
    study: Study,
    trial: AnyTrial,
    states: Move,
    notes: Mapping[str, Any],
    same: Collection[str],
) -> bool:
    """Move a trial from the first of two ``states`` to the second, with ``notes``;
    ``False`` if another process was quicker.

    A compare-and-swap, in one transaction of the database: all of it happens, or
    nothing if the trial is in another state or one of the notes called ``same`` is not
    what it was when ``trial`` was read. An in-memory study has one process only.
    """
    notes = {**notes, MOVE: uuid4().hex}
    if database := _database(study):
        done = _switch_in_database(database, trial, states, notes, same)
    else:
        done = _switch_in_memory(study, trial, states, notes, same)
    if done and isinstance(trial, Trial):
        _as_read(trial).system_attrs.update(_name_notes(notes))
    return done


def _name_notes(notes: Mapping[str, Any]) -> dict[str, Any]:
    """The notes by the names of their attributes."""
    return {f"{NOTE}{name}": value for name, value in notes.items()}


@patiently
def _switch_in_database(
    database: RDBStorage,
    trial: AnyTrial,
    states: Move,
    notes: Mapping[str, Any],
    same: Collection[str],
) -> bool:
    trial_id = trial._trial_id
    was_read = _to_texts(_list_notes(_as_read(trial)))
    values = _to_texts(_name_notes(notes))
    before, after = states
    move = (
        update(TrialModel)
        .where(TrialModel.trial_id == trial_id, TrialModel.state == before)
        .values(_make_columns(after))
    )
    # Unless its worker notes something after all.
    with suppress(IntegrityError), database.engine.connect() as connection:
        # First, as it locks the trial until the end of the transaction.
        has_moved = connection.execute(move).rowcount
        now = _read_notes(connection, trial_id)
        # Or it has, by an earlier try whose answer did not come through.
        if not has_moved:
            return now.get(f"{NOTE}{MOVE}") == values[f"{NOTE}{MOVE}"]
        if not _are_equal(now, was_read, same):
            return False
        _replace_notes(connection, trial_id, values)
        if after is TrialState.RUNNING:
            _beat(connection, trial_id)
        connection.commit()
        return True
    return False


def _switch_in_memory(
    study: Study,
    trial: AnyTrial,
    states: Move,
    notes: Mapping[str, Any],
    same: Collection[str],
) -> bool:
    now = read_trial(study, trial)
    before, after = states
    if now.state is not before:
        return False
    if not _are_equal(_list_notes(now), _list_notes(_as_read(trial)), same):
        return False
    for name, value in _name_notes(notes).items():
        study._storage.set_trial_system_attr(trial._trial_id, name, value)
    return study._storage.set_trial_state_values(trial._trial_id, after)


def _are_equal(
    first: Mapping[str, Any], second: Mapping[str, Any], names: Collection[str]
) -> bool:
    """Whether two sets of notes, by the names of their attributes, agree in those
    called ``names``.
    """
    for name in names:
        if first.get(f"{NOTE}{name}") != second.get(f"{NOTE}{name}"):
            return False
    return True


def _make_columns(state: TrialState) -> dict[str, Any]:
    """The columns that Optuna writes with a state; it stores times in UTC, and shows
    local ones.
    """
    now = datetime.now(UTC).replace(tzinfo=None)
    if state is TrialState.RUNNING:
        return {"state": state, "datetime_start": now}
    if state.is_finished():
        return {"state": state, "datetime_complete": now}
    # Of one that had failed, and runs again.
    return {"state": state, "datetime_complete": None}


def _list_notes(trial: FrozenTrial) -> dict[str, Any]:
    return {
        key: value for key, value in trial.system_attrs.items() if key.startswith(NOTE)
    }


def _to_texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {key: json.dumps(value) for key, value in values.items()}


def _read_notes(connection: Connection, trial_id: int) -> dict[str, str]:
    row = TrialSystemAttributeModel
    query = select(row.key, row.value_json).where(row.trial_id == trial_id)
    rows = connection.execute(query).all()
    return {key: text for key, text in rows if key.startswith(NOTE)}


def _replace_notes(
    connection: Connection, trial_id: int, values: Mapping[str, str]
) -> None:
    row = TrialSystemAttributeModel
    connection.execute(
        delete(row).where(row.trial_id == trial_id, row.key.in_(list(values)))
    )
    rows = [
        {"trial_id": trial_id, "key": key, "value_json": text}
        for key, text in values.items()
    ]
    connection.execute(insert(row), rows)


def _beat(connection: Connection, trial_id: int) -> None:
    """Record a heartbeat now: an old one, of another machine's worker, must not
    count.
    """
    connection.execute(
        delete(TrialHeartbeatModel).where(TrialHeartbeatModel.trial_id == trial_id)
    )
    connection.execute(insert(TrialHeartbeatModel).values(trial_id=trial_id))


def note_on_study(study: Study, name: str, value: Any) -> None:
    """Keep a value with the study, out of the way of those who look at it."""
    study._storage.set_study_system_attr(study._study_id, f"{NOTE}{name}", value)


def read_study_notes(study: Study) -> dict[str, Any]:
    """All that is noted of the study itself, by its names."""
    attrs = study._storage.get_study_system_attrs(study._study_id)
    return {
        name.removeprefix(NOTE): value
        for name, value in attrs.items()
        if name.startswith(NOTE)
    }


@patiently
def add_study_note(study: Study, name: str, value: Any) -> bool:
    """Note a value of the study if it has none of this name; ``False`` if another
    process was quicker.
    """
    database = _database(study)
    if database is None:
        note_on_study(study, name, value)
        return True
    row = {
        "study_id": study._study_id,
        "key": f"{NOTE}{name}",
        "value_json": json.dumps(value),
    }
    return _changes(database, insert(StudySystemAttributeModel).values(row))


def compute_dominated_volume(
    points: NDArray[np.float64], reference: NDArray[np.float64]
) -> float:
    """The hypervolume that ``points`` ``(N, objectives)``, all to be minimised,
    dominate below ``reference``.
    """
    return float(compute_hypervolume(points, reference))


def _changes(database: RDBStorage, statement: Insert) -> bool:
    """Whether ``statement`` changed a row; not if a row of that name is there
    already.
    """
    with suppress(IntegrityError), database.engine.begin() as connection:
        return bool(connection.execute(statement).rowcount)
    return False


def _database(study: Study) -> RDBStorage | None:
    """The database behind the study's cache."""
    storage = getattr(study._storage, "_backend", study._storage)
    if isinstance(storage, RDBStorage):
        return storage
    return None
