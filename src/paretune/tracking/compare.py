"""Whether the study of a sweep and its runs belong together: one of both may have been
emptied, restored or replaced.
"""

import logging
from collections.abc import Collection
from dataclasses import dataclass

from paretune.errors import StoreError
from paretune.tracking.runs import find_parent, find_tag_of_all
from paretune.tracking.schema import RunKind, State, Tag
from paretune.tracking.store import Store

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StudySide:
    """The study as it knows itself: where it is, its id, how many trials it has, and
    the numbers of those that are complete.
    """

    storage: str
    study_id: str
    n_trials: int
    complete: Collection[int]


@dataclass(frozen=True)
class RunsSide:
    """The runs as the tracking store knows them: their study, and numbers of trials.

    ``active`` are those of runs that are not deleted, ``complete`` of those that ended
    well, deleted ones too.
    """

    study_id: str | None = None
    active: Collection[int] = ()
    complete: Collection[int] = ()


def read_runs_side(store: Store, sweep: str) -> RunsSide:
    """The runs of a sweep, as the store knows them."""
    parent = find_parent(store, sweep)
    study_id = parent.tags.get(Tag.STUDY) if parent else None
    trials: dict[str, str] = {Tag.SWEEP: sweep, Tag.KIND: RunKind.TRIAL}
    active: set[int] = set()
    for number in find_tag_of_all(store, trials, Tag.TRIAL).values():
        if number.is_active:
            active.add(int(number.value))
    ended = find_tag_of_all(store, {**trials, Tag.STATE: State.COMPLETE}, Tag.TRIAL)
    complete = {int(number.value) for number in ended.values()}
    return RunsSide(study_id, active, complete)


def check_in_step(
    store: Store,
    sweep: str,
    study: StudySide,
    runs: RunsSide,
    *,
    may_come: bool = False,
) -> None:
    """Raise :class:`~paretune.errors.StoreError` unless the study and the runs of a
    sweep are of the same trials.

    ``may_come``: runs may wait elsewhere for a server that was away, so that some may
    be missing.
    """
    unknown = [number for number in runs.active if number >= study.n_trials]
    is_other = bool(runs.active) and runs.study_id not in (None, study.study_id)
    if unknown or is_other:
        raise _study_lost(store, sweep, study, runs, unknown)
    missing = [number for number in study.complete if number not in runs.complete]
    if not missing:
        return
    if not runs.complete or (not may_come and max(missing) > max(runs.complete)):
        raise _runs_lost(store, sweep, study, missing)
    log.warning(
        (
            "sweep %s: %d of %d complete trials have no run in %s any more, such as "
            "trial %d; reports leave them out"
        ),
        sweep,
        len(missing),
        len(study.complete),
        store.uri,
        min(missing),
    )


def _study_lost(
    store: Store, sweep: str, study: StudySide, runs: RunsSide, unknown: Collection[int]
) -> StoreError:
    differs = f"those are of study {runs.study_id}, this one is {study.study_id}"
    if unknown:
        differs = (
            f"{len(unknown)} of them, trial {min(unknown)} to {max(unknown)}, the "
            "study has not got"
        )
    return StoreError(
        f"sweep `{sweep}` is out of step: its study in `{study.storage}` has "
        f"{_count(study.n_trials, 'trial')}, tracking "
        f"store `{store.uri}` has runs of {_count(len(runs.active), 'trial')} "
        f"({differs}). The study was emptied, restored or "
        "replaced; put back the one that belongs to these runs, or start anew under "
        "another name (name=...)"
    )


def _runs_lost(
    store: Store, sweep: str, study: StudySide, missing: Collection[int]
) -> StoreError:
    return StoreError(
        f"sweep `{sweep}` is out of step: its study in `{study.storage}` has "
        f"{_count(len(study.complete), 'complete trial')}, "
        f"and {len(missing)} of them (trial {min(missing)} to {max(missing)}) have no "
        f"run in tracking store `{store.uri}`. The "
        "store was emptied, restored or replaced; put back the one that belongs to "
        "this study, or start anew under another name (name=...)"
    )


def _count(number: int, noun: str) -> str:
    plural = "" if number == 1 else "s"
    return f"{number:,} {noun}{plural}"
