"""Whether the study of a sweep and its runs belong together: one of both may have been
emptied, restored or replaced.
"""

import logging
from collections.abc import Collection
from dataclasses import dataclass

from paretune.errors import StoreError
from paretune.tracking.store import Store, Tag

log = logging.getLogger(__name__)

COMPLETE = "complete"


@dataclass(frozen=True)
class StudySide:
    """What the study knows: where it is, its id, how many trials it has, and the
    numbers of those that are complete.
    """

    storage: str
    study_id: str
    n_trials: int
    complete: Collection[int]


@dataclass(frozen=True)
class RunsSide:
    """What the tracking store knows: the study its runs are of, and numbers of trials.

    ``active`` are those of runs that are not deleted, ``complete`` of those that ended
    well, deleted ones too.
    """

    study_id: str | None
    active: frozenset[int]
    complete: frozenset[int]


def runs_side(store: Store, sweep: str) -> RunsSide:
    """What the store knows of a sweep."""
    trials = {Tag.SWEEP: sweep, Tag.KIND: "trial"}
    numbers = store.tag_of_all(trials, Tag.TRIAL)
    ended = store.tag_of_all({**trials, Tag.STATE: COMPLETE}, Tag.TRIAL)
    parent = store.parent_of(sweep)
    return RunsSide(
        parent.data.tags.get(Tag.STUDY) if parent else None,
        frozenset(int(number) for number, is_active in numbers.values() if is_active),
        frozenset(int(number) for number, _ in ended.values()),
    )


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
        raise StoreError(_study_lost(store, sweep, study, runs, unknown))
    missing = [number for number in study.complete if number not in runs.complete]
    if not missing:
        return
    if not runs.complete or (not may_come and max(missing) > max(runs.complete)):
        raise StoreError(_runs_lost(store, sweep, study, missing))
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
) -> str:
    differs = (
        (
            f"{len(unknown)} of them, trial {min(unknown)} to {max(unknown)}, the "
            "study has not got"
        )
        if unknown
        else f"those are of study {runs.study_id}, this one is {study.study_id}"
    )
    return (
        f"sweep `{sweep}` is out of step: its study in `{study.storage}` has "
        f"{_count(study.n_trials, 'trial')}, tracking "
        f"store `{store.uri}` has runs of {_count(len(runs.active), 'trial')} "
        f"({differs}). The study was emptied, restored or "
        "replaced; put back the one that belongs to these runs, or start anew under "
        "another name (name=...)"
    )


def _runs_lost(
    store: Store, sweep: str, study: StudySide, missing: Collection[int]
) -> str:
    return (
        f"sweep `{sweep}` is out of step: its study in `{study.storage}` has "
        f"{_count(len(study.complete), 'complete trial')}, "
        f"and {len(missing)} of them (trial {min(missing)} to {max(missing)}) have no "
        f"run in tracking store `{store.uri}`. The "
        "store was emptied, restored or replaced; put back the one that belongs to "
        "this study, or start anew under another "
        f"name (name=...)"
    )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
