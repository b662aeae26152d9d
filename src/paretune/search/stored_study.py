"""A study as whoever made it left it: read, and never changed."""

import logging
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any
from warnings import catch_warnings, simplefilter

import optuna
from optuna.storages import RDBStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Engine, create_engine, inspect
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from paretune.errors import StoreError, first_line
from paretune.paths import (
    is_cut_off,
    is_sqlite,
    sqlite_file,
    sqlite_url,
    temporary_folder,
)
from paretune.search.storage import PatientStorage
from paretune.search.study import Direction, read_reason
from paretune.secrets import masked
from paretune.settings import advise

TABLES = {"studies", "trials"}
READ_ONLY = "-c default_transaction_read_only=on"  # to PostgreSQL
READ_ONLY_IN_MYSQL = "SET SESSION TRANSACTION READ ONLY"


class TrialEnd(StrEnum):
    """How a stored trial ended, and what it was before."""

    COMPLETE = "complete"
    INFEASIBLE = "infeasible"  # complete, and beyond one of its constraints
    PRUNED = "pruned"
    FAILED = "failed"
    RUNNING = "running"
    WAITING = "waiting"


ENDS = {
    TrialState.COMPLETE: TrialEnd.COMPLETE,
    TrialState.PRUNED: TrialEnd.PRUNED,
    TrialState.FAIL: TrialEnd.FAILED,
    TrialState.RUNNING: TrialEnd.RUNNING,
    TrialState.WAITING: TrialEnd.WAITING,
}


@dataclass(frozen=True, slots=True)
class StoredTrial:
    """A trial of any study. ``error`` says why it failed, where somebody noted it."""

    number: int
    end: TrialEnd
    values: Sequence[float] = ()
    params: Mapping[str, Any] = field(default_factory=dict)
    started: datetime | None = None
    ended: datetime | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class StoredStudy:
    """A study of any number of objectives; ``metric_names`` is empty where its maker
    gave none.
    """

    name: str
    directions: Sequence[Direction]
    metric_names: Sequence[str]
    trials: Sequence[StoredTrial]


def read_study(storage: str, name: str | None = None) -> StoredStudy:
    """The study ``name`` in a storage; without a name the only one there is.

    ``storage`` is an SQLAlchemy URL, or the path of a SQLite file. Nothing is created,
    changed or upgraded. Raises :class:`~paretune.errors.StoreError` for a storage or a
    study that is not there, and for several studies without a name.
    """
    url = _to_url(storage)
    try:
        with _open(url) as database:
            return _read(database, url, name)
    except (ArgumentError, NoSuchModuleError):
        raise _unreadable(url, "it is no SQLAlchemy URL") from None
    except ModuleNotFoundError as error:
        raise _missing_driver(url, error) from error
    except (SQLAlchemyError, sqlite3.Error, optuna.exceptions.OptunaError) as error:
        raise _unreadable(url, first_line(error)) from error


def _to_url(storage: str) -> str:
    if "://" in storage:
        return storage
    return sqlite_url(storage)


def _unreadable(url: str, reason: str) -> StoreError:
    return StoreError(
        f"study storage `{masked(url)}` cannot be read ({masked(reason)}); expected "
        "such as sqlite:///optuna.db or postgresql+psycopg://user@host/database; "
        "check --study"
    )


def _missing_driver(url: str, error: ModuleNotFoundError) -> StoreError:
    scheme = url.partition("://")[0]
    remedy = f"install {error.name}"
    if scheme.startswith("postgresql"):
        remedy = (
            "write postgresql+psycopg:// and install it with: "
            "pip install 'paretune[cluster]'"
        )
    return StoreError(
        f"study storage `{masked(url)}` needs the Python package {error.name}; {remedy}"
    )


@contextmanager
def _open(url: str) -> Iterator[RDBStorage]:
    """The database behind a URL; of a SQLite file that an older Optuna made an upgraded
    copy.
    """
    file = sqlite_file(url)
    if file:
        _check_there(file)
    options = _choose_options(url, file)
    _check_tables(url, options)
    try:
        database = _connect(url, options)
    except RuntimeError as error:  # of another version of Optuna
        if file is None or "upgrade" not in str(error):
            raise _other_version(url, error) from error
        with _upgraded(file) as copy:
            yield copy
        return
    try:
        yield database
    finally:
        database.engine.dispose()


def _check_there(file: Path) -> None:
    if not file.is_file():
        raise StoreError(
            f"study storage `{file}` does not exist; expected the SQLite file of a "
            "study; check --study"
        )
    if not is_sqlite(file):
        raise StoreError(
            f"study storage `{file}` is no SQLite database; expected the file of an "
            "Optuna study, or its SQLAlchemy URL; check --study"
        )
    if is_cut_off(file):
        raise StoreError(
            f"study storage `{file}` is cut off after {file.stat().st_size:,} bytes, as "
            "a copy is that broke off; copy it again"
        )


def _choose_options(url: str, file: Path | None) -> dict[str, Any]:
    """What keeps connections from writing, where the database knows a word for it."""
    if file:
        address = f"{file.resolve().as_uri()}?mode=ro"

        def connect() -> sqlite3.Connection:
            return sqlite3.connect(address, uri=True, check_same_thread=False)

        return {"creator": connect}
    options: dict[str, Any] = {"pool_pre_ping": True}
    if url.startswith("postgresql"):
        options["connect_args"] = {"options": READ_ONLY}
    if url.startswith(("mysql", "mariadb")):
        options["connect_args"] = {"init_command": READ_ONLY_IN_MYSQL}
    return options


def _check_tables(url: str, options: Mapping[str, Any]) -> None:
    """Raise :class:`~paretune.errors.StoreError` for a database of something else, in
    which Optuna would make its tables.
    """
    engine = create_engine(url, **options)
    try:
        names = _list_tables(engine)
    finally:
        engine.dispose()
    if not names >= TABLES:
        raise StoreError(
            f"study storage `{masked(url)}` holds no Optuna study (it has no tables "
            "of studies and trials); check --study"
        )


def _list_tables(engine: Engine) -> set[str]:
    return set(inspect(engine).get_table_names())


def _connect(url: str, options: dict[str, Any]) -> RDBStorage:
    with catch_warnings():
        simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return PatientStorage(url, engine_kwargs=options)


def _other_version(url: str, error: RuntimeError) -> StoreError:
    return StoreError(
        f"study storage `{masked(url)}` was made by another version of Optuna "
        f"({first_line(error)}); make a backup, then upgrade it: optuna storage upgrade "
        f"--storage {masked(url)}"
    )


@contextmanager
def _upgraded(file: Path) -> Iterator[RDBStorage]:
    """A copy of a SQLite file with the tables of this Optuna."""
    with temporary_folder() as folder:
        copy = folder / "optuna.db"
        _copy_database(file, copy)
        database = PatientStorage(sqlite_url(copy), skip_compatibility_check=True)
        _upgrade_quietly(database)
        try:
            yield database
        finally:
            database.engine.dispose()


def _upgrade_quietly(database: RDBStorage) -> None:
    """Upgrade the tables without the lines and warnings that Alembic has for it."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with catch_warnings():
            simplefilter("ignore")
            database.upgrade()
    finally:
        logging.disable(before)


def _copy_database(file: Path, copy: Path) -> None:
    """Copy a SQLite file that somebody may be writing to."""
    address = f"{file.resolve().as_uri()}?mode=ro"
    with (
        closing(sqlite3.connect(address, uri=True)) as source,
        closing(sqlite3.connect(copy)) as target,
    ):
        source.backup(target)


def _read(database: RDBStorage, url: str, name: str | None) -> StoredStudy:
    names = optuna.get_all_study_names(database)
    chosen = _choose_name(names, url, name)
    study = optuna.load_study(study_name=chosen, storage=database)
    directions: list[Direction] = []
    for direction in study.directions:
        is_minimised = direction is optuna.study.StudyDirection.MINIMIZE
        directions.append("minimize" if is_minimised else "maximize")
    trials = study.get_trials(deepcopy=False)
    return StoredStudy(
        chosen,
        directions,
        _read_metric_names(study),
        [_to_stored_trial(trial) for trial in trials],
    )


def _choose_name(names: Sequence[str], url: str, name: str | None) -> str:
    shown = f"study storage `{masked(url)}`"
    choices = ", ".join(names)
    if not names:
        raise StoreError(f"{shown} holds no study yet; let its maker run first")
    if name is None and len(names) == 1:
        return names[0]
    if name is None:
        raise StoreError(
            f"{shown} holds {len(names)} studies: {choices}; choose one by --name"
        )
    if name not in names:
        hint = advise(name, names, "choose one of these")
        raise StoreError(f"study `{name}` is not in {shown}; it has {choices}; {hint}")
    return name


def _read_metric_names(study: Study) -> list[str]:
    with catch_warnings():
        simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return list(study.metric_names or [])


def _to_stored_trial(trial: FrozenTrial) -> StoredTrial:
    return StoredTrial(
        number=trial.number,
        end=_end_of(trial),
        values=trial.values or (),
        params=trial.params,
        started=_to_utc(trial.datetime_start),
        ended=_to_utc(trial.datetime_complete),
        error=read_reason(trial) or str(trial.system_attrs.get("fail_reason", "")),
    )


def _end_of(trial: FrozenTrial) -> TrialEnd:
    end = ENDS[trial.state]
    is_over = any(violation > 0 for violation in trial.constraints.values())
    if end is TrialEnd.COMPLETE and is_over:
        return TrialEnd.INFEASIBLE
    return end


def _to_utc(time: datetime | None) -> datetime | None:
    """A local time as Optuna tells it, in UTC."""
    if time is None:
        return None
    return time.astimezone(UTC)
