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
from paretune.paths import is_cut_off, sqlite_file
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
    note_of_study,
    noted,
    open_database,
    study_notes,
)
from paretune.secrets import refuse_passwords

Direction = Literal["minimize", "maximize"]
HEARTBEAT_S = 30
# SQLite has one writer at a time; the others wait so long in C, where no signal is
# heard, and try again.
BUSY_S = 2
DONE = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
STOP = "stop"
ID = "id"
ENDED = "ended"  # when a trial did

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
    """The study ``name``, made if it is new (unless it is to ``join``). Call it in one
    process before any worker starts.

    A ``pruner`` sees what a task reports of one objective; without one nothing is
    pruned.

    Raises :class:`~paretune.errors.StoreError` if the stored study optimises in other
    directions.
    """
    database = _storage(storage)
    if join and (database is None or name not in optuna.get_all_study_names(database)):
        raise StoreError(
            f"study `{name}` is not in `{storage}`; expected a sweep that was "
            "started; start it with "
            "paretune sweep or paretune train -m, or check hydra.sweeper.storage and "
            "the name"
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
            f"study `{name}` optimises {stored}, not {list(directions)}; expected the "
            "same directions; give the sweep "
            f"another name"
        )
    return study


def _storage(url: str | None) -> RDBStorage | None:
    refuse_passwords(url)
    if url is None:
        return None
    try:
        if file := sqlite_file(url):
            file.parent.mkdir(parents=True, exist_ok=True)
            _check_file(file)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            local = url.startswith("sqlite")
            waits = (
                {"connect_args": {"timeout": BUSY_S}}
                if local
                else {"pool_pre_ping": True}
            )
            return open_database(url, waits, HEARTBEAT_S)
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


OF_DISKS = (DISK_FULL, FILE_TOO_LARGE, READ_ONLY, DISK_FAILS)
BACKUP = "put a backup back, or move the file away and start anew under another name"


def _check_file(file: Path) -> None:
    """Raise :class:`~paretune.errors.StoreError` if the study's file is damaged, or a
    file of something else.
    """
    if not file.exists() or not (size := file.stat().st_size):
        return
    with file.open("rb") as stream:
        starts_well = stream.read(16) == b"SQLite format 3\0"
    if not starts_well:
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
    """What to do about a database that cannot be opened."""
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


def finished(study: Study) -> list[FrozenTrial]:
    """The trials that count towards the total: complete, pruned and failed ones."""
    return study.get_trials(deepcopy=False, states=DONE)


def ended_s(trial: FrozenTrial) -> float:
    """When a finished trial ended, in seconds since 1970: the same in every time zone.
    Optuna's own time is a local one.
    """
    noted_s: float | None = noted(trial, ENDED)
    if noted_s is None and trial.datetime_complete:  # earlier versions noted none
        noted_s = trial.datetime_complete.timestamp()
    return noted_s or 0.0


def reason_of(trial: FrozenTrial) -> str:
    """Why a trial failed (type and message of its exception), in a line; empty if it
    did not.
    """
    return " ".join(trial.user_attrs.get("reason", "").split())[:300]


def running(study: Study) -> list[FrozenTrial]:
    """The trials in the hands of a worker, or of one that died."""
    return study.get_trials(deepcopy=False, states=[TrialState.RUNNING])


def ask_to_stop(study: Study, stop: bool = True) -> None:
    """Have all workers of the study, on any machine, put their trial back and stop (or,
    with ``False``, go on).
    """
    note_of_study(study, STOP, stop)


def stopping(study: Study) -> bool:
    """Whether somebody asked the sweep to stop."""
    return bool(study_notes(study).get(STOP, False))


def shared(
    study: Study, name: str, choose: Callable[[], Mapping[str, Any]]
) -> dict[str, Any]:
    """The value ``name`` that all trials of the study share; where there is none, what
    ``choose`` returns is kept.

    Of two processes that choose at the same time, both get the value that was stored
    first.
    """
    key = f"shared:{name}"
    if key in study.user_attrs:  # where earlier versions kept it
        return dict(study.user_attrs[key])
    if key not in study_notes(study):
        add_study_note(study, key, dict(choose()))
    return dict(study_notes(study)[key])


def study_id(study: Study) -> str:
    """What tells the study apart from every other, also from one of the same name; made
    at the first call.
    """
    if ID not in study_notes(study):
        add_study_note(study, ID, uuid.uuid4().hex)
    return str(study_notes(study)[ID])


QUESTION, SETTINGS = "question", "settings"
GROUP = "config group "
MOST_SHOWN = 3  # differences to a question


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
    known = {*attrs.get(SETTINGS, settings), *named}
    settings = {name: value for name, value in settings.items() if name in known}
    asked = {**settings, **question}
    stored = {**attrs.get(SETTINGS, settings), **attrs.get(QUESTION, question)}
    searched = [name.rpartition("/")[2].lstrip("+") for name in question]
    compared = [name for name in {**stored, **asked} if name not in left_out]
    names = [
        name
        for name in compared
        if not _same(name, stored.get(name), asked.get(name), searched)
    ]
    groups = tuple(
        f"{name.removeprefix(GROUP)}." for name in names if name.startswith(GROUP)
    )
    # Another option of a group says it all.
    names = [name for name in names if not name.startswith(groups)]
    if names:
        shown = [
            f"{name}: {stored.get(name, 'nothing')} -> {asked.get(name, 'nothing')}"
            for name in names[:MOST_SHOWN]
        ]
        more = (
            [f"and {len(names) - MOST_SHOWN} more"] if len(names) > MOST_SHOWN else []
        )
        changes = "; ".join([*shown, *more])
        raise StoreError(
            f"study `{study.study_name}` was started with a different configuration "
            f"({changes}); expected the same space, cap and settings; "
            f"give the sweep another name, or take the change back"
        )
    for part, value in ((QUESTION, question), (SETTINGS, settings)):
        if part not in attrs:
            study.set_user_attr(part, dict(value))


def _same(
    name: str, before: str | None, now: str | None, searched: Iterable[str]
) -> bool:
    """Whether two values of a setting differ at most in those entries of a list that
    are ``searched``.
    """
    entries = {
        key.removeprefix(f"{name}.") for key in searched if key.startswith(f"{name}.")
    }
    if before is None or now is None or not entries:
        return before == now
    lists = [_list_of(value) for value in (before, now)]
    # It is searched in another family, where it is one.
    if lists[0] is None or lists[1] is None:
        return before == now
    fixed = [
        [part for i, part in enumerate(whole or []) if str(i) not in entries]
        for whole in lists
    ]
    return fixed[0] == fixed[1]


def _list_of(text: str) -> list[Any] | None:
    """The list that was written as this text; ``None`` if it was no list of plain
    values.
    """
    with suppress(ValueError, SyntaxError):
        value = literal_eval(text)
        return value if isinstance(value, list) else None
    return None
