"""The study of a sweep: opening it, what is finished, and whether somebody asked it to
stop.
"""

import uuid
import warnings
from ast import literal_eval
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.pruners import BasePruner, NopPruner
from optuna.samplers import BaseSampler
from optuna.storages import RDBStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import DatabaseError, OperationalError

from paretune.errors import StoreError, first_line
from paretune.paths import is_cut_off, is_sqlite, sqlite_file
from paretune.retry import (
    DISK_FAILS,
    DISK_FULL,
    FILE_TOO_LARGE,
    READ_ONLY,
    error_of,
    fault_of,
)
from paretune.search.storage import (
    add_study_note,
    note_on_study,
    open_database,
    read_note,
    read_study_notes,
)
from paretune.secrets import refuse_passwords

Direction = Literal["minimize", "maximize"]
HEARTBEAT_S = 30
# SQLite has one writer at a time; the others wait so long in C, where no signal is
# heard, and try again.
BUSY_S = 2
FINISHED_STATES = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
STOP = "stop"
ID = "id"
# When a trial did.
ENDED = "ended"
# Id of the run in MLflow that a recorder keeps of the sweep.
PARENT_RUN = "parent run"

# A sweep's own log says what a person needs.
optuna.logging.disable_default_handler()
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
    """The study ``name``, made if it is new (unless it is to ``join``). Call it in one
    process before any worker starts.

    A ``pruner`` sees what a task reports of one objective; without one nothing is
    pruned.

    Raises :class:`~paretune.errors.StoreError` if the stored study optimises in other
    directions.
    """
    database = _open_storage(storage)
    if join and (database is None or name not in optuna.get_all_study_names(database)):
        raise StoreError(
            f"study `{name}` is not in `{storage or 'memory'}`; start it with paretune "
            "sweep or "
            "paretune train -m, or check hydra.sweeper.storage and the name"
        )
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
        raise StoreError(
            f"study `{name}` optimises {stored}, not {list(directions)}; set the same "
            "hydra.sweeper.direction, or give the sweep another name"
        )
    return study


def _open_storage(url: str | None) -> RDBStorage | None:
    refuse_passwords(url)
    if url is None:
        return None
    try:
        if file := sqlite_file(url):
            file.parent.mkdir(parents=True, exist_ok=True)
            _check_file(file)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return open_database(url, _choose_engine_options(url), HEARTBEAT_S)
    except StoreError:
        raise
    except Exception as error:
        fault = fault_of(error)
        if fault in OF_DISKS:
            raise error_of(fault, f"study storage `{url}`") from error
        raise StoreError(
            f"study storage `{url}` cannot be used ({first_line(error)}); "
            f"{_mend(error)}"
        ) from error


def _choose_engine_options(url: str) -> dict[str, Any]:
    if url.startswith("sqlite"):
        return {"connect_args": {"timeout": BUSY_S}}
    return {"pool_pre_ping": True}


OF_DISKS = (DISK_FULL, FILE_TOO_LARGE, READ_ONLY, DISK_FAILS)
BACKUP = "put a backup back, or move the file away and start anew under another name"


def _check_file(file: Path) -> None:
    """Raise :class:`~paretune.errors.StoreError` if the study's file is damaged, or a
    file of something else.
    """
    if not file.exists():
        return
    size = file.stat().st_size
    if size == 0:
        return
    if not is_sqlite(file):
        raise StoreError(
            f"study storage `{file}` ({size:,} bytes) is no SQLite database; expected "
            f"the optuna.db of a sweep; {BACKUP}"
        )
    if is_cut_off(file):
        raise StoreError(
            f"study storage `{file}` is cut off after {size:,} bytes, as a copy is "
            f"that broke off; copy it again, {BACKUP}"
        )


def _mend(error: Exception) -> str:
    """A remedy for a database that cannot be opened."""
    if isinstance(error, DatabaseError) and "malformed" in str(error):
        return f"the file is damaged: {BACKUP}"
    if isinstance(error, OSError | OperationalError):
        return (
            "check that its folder or server is there and may be used "
            "(hydra.sweeper.storage)"
        )
    return "expected an SQLAlchemy URL; check hydra.sweeper.storage"


def name_values(study: Study, names: Sequence[str]) -> None:
    """Give the values of the study's trials ``names``, which Optuna's plots and tables
    show.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names(list(names))


def list_finished(study: Study) -> list[FrozenTrial]:
    """The trials that count towards the total: complete, pruned and failed ones."""
    return study.get_trials(deepcopy=False, states=FINISHED_STATES)


def count_failed(study: Study) -> int:
    """How many trials of the study failed."""
    return len(study.get_trials(deepcopy=False, states=[TrialState.FAIL]))


def read_end_s(trial: FrozenTrial) -> float:
    """When a finished trial ended, in seconds since 1970: the same in every time zone.
    Optuna's own time is a local one.
    """
    noted_s: float | None = read_note(trial, ENDED)
    # Earlier versions noted none.
    if noted_s is None and trial.datetime_complete:
        noted_s = trial.datetime_complete.timestamp()
    return noted_s or 0.0


def read_reason(trial: FrozenTrial) -> str:
    """Why a trial failed (type and message of its exception), in a line; empty if it
    did not.
    """
    return " ".join(trial.user_attrs.get("reason", "").split())[:300]


def list_running(study: Study) -> list[FrozenTrial]:
    """The trials in the hands of a worker, or of one that died."""
    return study.get_trials(deepcopy=False, states=[TrialState.RUNNING])


def ask_to_stop(study: Study, stop: bool = True) -> None:
    """Have all workers of the study, on any machine, put their trial back and stop (or,
    with ``False``, go on).
    """
    note_on_study(study, STOP, stop)


def is_stopping(study: Study) -> bool:
    """Whether somebody asked the sweep to stop."""
    return bool(read_study_notes(study).get(STOP, False))


def share_value(
    study: Study, name: str, choose: Callable[[], Mapping[str, Any]]
) -> dict[str, Any]:
    """The value ``name`` that all trials of the study share; where there is none, what
    ``choose`` returns is kept.

    Of two processes that choose at the same time, both get the value that was stored
    first.
    """
    key = f"shared:{name}"
    if key not in read_study_notes(study):
        add_study_note(study, key, dict(choose()))
    return dict(read_study_notes(study)[key])


def find_study_id(study: Study) -> str:
    """A name that no other study has, not even one of the same name; made at the first
    call.
    """
    if ID not in read_study_notes(study):
        add_study_note(study, ID, uuid.uuid4().hex)
    return str(read_study_notes(study)[ID])


# Attributes of a study: what is searched under which caps, and with which settings.
QUESTION_KEY = "question"
SETTINGS_KEY = "settings"
GROUP = "config group "
# Differences, in a message.
MOST_CHANGES = 3


def check_same_setup(
    study: Study,
    question: Mapping[str, str],
    settings: Mapping[str, str],
    named: Collection[str] = (),
    left_out: Collection[str] = (),
) -> None:
    """Note what a new study asks (its cap, space and settings, as text), or check that
    an old one asked the same.

    Raises :class:`~paretune.errors.StoreError` with each difference: results under two
    caps or two spaces do not make one front, and Optuna itself would mix them without a
    word. The value of a setting that is searched is no part of it, nor is a setting
    that there was not yet when the study was started, unless the command line ``named``
    it, nor what is ``left_out``: a value that follows from others.
    """
    attrs = study.user_attrs
    stored_settings = attrs.get(SETTINGS_KEY, settings)
    known = {*stored_settings, *named}
    settings = {name: value for name, value in settings.items() if name in known}
    stored = {**stored_settings, **attrs.get(QUESTION_KEY, question)}
    asked = {**settings, **question}

    searched = [name.rpartition("/")[2].lstrip("+") for name in question]
    changed = _list_changed(stored, asked, searched, left_out)
    if changed:
        raise StoreError(
            f"study `{study.study_name}` was started with a different configuration "
            f"({_describe_changes(stored, asked, changed)}); give the sweep another "
            "name, or take the change back"
        )
    for key, value in ((QUESTION_KEY, question), (SETTINGS_KEY, settings)):
        if key not in attrs:
            study.set_user_attr(key, dict(value))


def _list_changed(
    stored: Mapping[str, str],
    asked: Mapping[str, str],
    searched: Collection[str],
    left_out: Collection[str],
) -> list[str]:
    """The names whose values differ. Another option of a group says all that is below
    it.
    """
    changed: list[str] = []
    for name in {**stored, **asked}:
        if name in left_out:
            continue
        if not _is_same(name, stored.get(name), asked.get(name), searched):
            changed.append(name)
    groups = [
        f"{name.removeprefix(GROUP)}." for name in changed if name.startswith(GROUP)
    ]
    return [name for name in changed if not name.startswith(tuple(groups))]


def _describe_changes(
    stored: Mapping[str, str], asked: Mapping[str, str], names: Sequence[str]
) -> str:
    changes = [
        f"{name}: {stored.get(name, 'nothing')} -> {asked.get(name, 'nothing')}"
        for name in names[:MOST_CHANGES]
    ]
    if len(names) > MOST_CHANGES:
        changes.append(f"and {len(names) - MOST_CHANGES} more")
    return "; ".join(changes)


def _is_same(
    name: str, before: str | None, now: str | None, searched: Iterable[str]
) -> bool:
    """Whether two values of a setting differ at most in those entries of a list that
    are ``searched``.
    """
    prefix = f"{name}."
    entries = {key.removeprefix(prefix) for key in searched if key.startswith(prefix)}
    if before is None or now is None or not entries:
        return before == now
    list_before = _read_list(before)
    list_now = _read_list(now)
    # It is searched in another family, where it is one.
    if list_before is None or list_now is None:
        return before == now
    return _drop_entries(list_before, entries) == _drop_entries(list_now, entries)


def _drop_entries(values: Sequence[Any], entries: Collection[str]) -> list[Any]:
    """The values but those whose numbers, from 0, are among the ``entries``."""
    return [value for i, value in enumerate(values) if str(i) not in entries]


def _read_list(text: str) -> list[Any] | None:
    """The list that was written as this text; ``None`` if it was no list of plain
    values.
    """
    with suppress(ValueError, SyntaxError):
        value = literal_eval(text)
        if isinstance(value, list):
            return value
    return None
