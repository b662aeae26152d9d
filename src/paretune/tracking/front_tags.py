"""Keeping the tag ``front`` of a sweep's trials true while trials come in."""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from math import nan

from paretune.front import costs_of, front, front_volume
from paretune.tracking.entities import Part, Run
from paretune.tracking.runs import find_front, find_parent, find_trials
from paretune.tracking.schema import (
    COST_METRICS,
    FRONT_SIZE,
    HYPERVOLUME,
    VAL_F1,
    State,
    Status,
    Tag,
    find_cost_metric,
)
from paretune.tracking.store import Store

# All that is looked at here.
FRONT_PART = Part((Tag.TRIAL, Tag.FRONT, VAL_F1, *COST_METRICS.values()))


@dataclass(frozen=True)
class Objective:
    """The cost that a sweep weighs against F1, its cap, and the id of its parent
    run.
    """

    parent_id: str
    cost: str
    cap: float | None


def keep_front(store: Store, sweep: str, trial: int) -> None:
    """Take the tag from members that others dominate; log the front's size and volume
    to the parent run.

    Whoever ends a trial first tags it as a member and then calls this. Of two that end
    together, the later writer sees both, so that the tags are right once all have
    written.
    """
    _tag_front(store, sweep, find_front(store, sweep, only=FRONT_PART), trial)


def set_front(store: Store, sweep: str) -> None:
    """Tag every complete trial anew, as a member may have been superseded since it took
    the tag from others.

    Size and volume are logged once more, as the latest ones may be of a trial that did
    not end last.
    """
    runs = find_trials(store, sweep, state=State.COMPLETE, only=FRONT_PART)
    if runs:
        latest = max(int(run.tags[Tag.TRIAL]) for run in runs)
        _tag_front(store, sweep, runs, latest)


def _tag_front(store: Store, sweep: str, runs: Sequence[Run], trial: int) -> None:
    """Set the tag where it is wrong among ``runs``, and log the front's size and volume
    at the step ``trial``.
    """
    objective = None
    # Somebody deleted the parent run, or the sweep has no recorder.
    with suppress(LookupError):
        objective = _objective_of(store, sweep)
    cost = objective.cost if objective else "params"
    values = _metric_of_all(runs, find_cost_metric(cost))
    f1 = _metric_of_all(runs, VAL_F1)
    members = set(front(costs_of(values, f1)).tolist())
    for place, run in enumerate(runs):
        tag = "true" if place in members else "false"
        if run.tags.get(Tag.FRONT) != tag:
            store.client.set_tag(run.run_id, Tag.FRONT, tag)
    if objective:
        figures = {
            FRONT_SIZE: len(members),
            HYPERVOLUME: front_volume(values, f1, objective.cap, cost),
        }
        at_ms = int(time.time() * 1000)
        store.log_metrics(objective.parent_id, figures, at_ms, trial)


def _metric_of_all(runs: Sequence[Run], name: str) -> list[float]:
    return [run.data.metrics.get(name, nan) for run in runs]


@lru_cache(maxsize=8)
def _objective_of(store: Store, sweep: str) -> Objective:
    """The objective of a sweep. Raises ``LookupError``, which is not cached, if there is
    no parent.
    """
    parent = find_parent(store, sweep)
    if parent is None:
        raise LookupError(sweep)
    words = parent.tags.get(Tag.CAP, "None")
    cap = None if words == "None" else float(words)
    return Objective(parent.run_id, parent.tags.get(Tag.COST, "params"), cap)


def supersede(store: Store, run: Run, at_ms: int | None = None) -> None:
    """Close what an earlier attempt left: its worker died, perhaps before it could tell
    the study.
    """
    store.set_tags(run.run_id, {Tag.STATE: State.SUPERSEDED, Tag.FRONT: "false"})
    if run.info.status == Status.RUNNING:
        store.client.set_terminated(run.run_id, Status.KILLED, at_ms)
