"""Keeping the tag ``front`` of a sweep's trials true while trials come in."""

import time
from contextlib import suppress
from functools import lru_cache
from math import nan

from paretune.front import costs_of, front, front_volume
from paretune.tracking.store import COST_METRICS, N_PARAMS, VAL_F1, Store, Tag
from paretune.tracking.tables import Part, Run

# All that is looked at here.
READ = Part((Tag.TRIAL, Tag.FRONT, VAL_F1, *COST_METRICS.values()))


def keep_front(store: Store, sweep: str, trial: int) -> None:
    """Take the tag from members that others dominate; log the front's size and volume
    to the parent run.

    Whoever ends a trial first tags it as a member and then calls this. Of two that end
    together, the later writer sees both, so that the tags are right once all have
    written.
    """
    _tag_front(store, sweep, store.front_of(sweep, only=READ), trial)


def set_front(store: Store, sweep: str) -> None:
    """Tag every complete trial anew, as a member may have been superseded since it took
    the tag from others.

    Size and volume are logged once more, as the latest ones may be of a trial that did
    not end last.
    """
    runs = store.trials(sweep, state="complete", only=READ)
    if runs:
        _tag_front(
            store, sweep, runs, max(int(run.data.tags[Tag.TRIAL]) for run in runs)
        )


def _tag_front(store: Store, sweep: str, runs: list[Run], trial: int) -> None:
    """Set the tag where it is wrong among ``runs``, and log the front's size and volume
    at the step ``trial``.
    """
    parent_id, cost, cap = "", "params", None
    # Somebody deleted the parent run, or the sweep has no recorder.
    with suppress(LookupError):
        parent_id, cost, cap = _parent_cost_and_cap(store, sweep)
    names = (COST_METRICS.get(cost, N_PARAMS), VAL_F1)
    costs = costs_of(
        *([run.data.metrics.get(name, nan) for run in runs] for name in names)
    )
    members = front(costs)
    on_front = set(members.tolist())
    for index, run in enumerate(runs):
        tag = "true" if index in on_front else "false"
        if run.data.tags.get(Tag.FRONT) != tag:
            store.client.set_tag(run.info.run_id, Tag.FRONT, tag)
    if parent_id:
        volume = front_volume(costs[members, 0], 1 - costs[members, 1], cap, cost)
        figures = {"front_size": len(members), "hypervolume": volume}
        store.log_metrics(parent_id, figures, int(time.time() * 1000), trial)


@lru_cache(maxsize=8)
def _parent_cost_and_cap(store: Store, sweep: str) -> tuple[str, str, float | None]:
    """The parent run's id, the cost that is the objective and its cap. Raises
    ``LookupError``, which is not cached, if there is no parent.
    """
    parent = store.parent_of(sweep)
    if parent is None:
        raise LookupError(sweep)
    cap = parent.data.tags.get(Tag.CAP, "None")
    return (
        parent.info.run_id,
        parent.data.tags.get(Tag.COST, "params"),
        None if cap == "None" else float(cap),
    )


def supersede(store: Store, run: Run, at_ms: int | None = None) -> None:
    """Close what an earlier attempt left: its worker died, perhaps before it could tell
    the study.
    """
    store.set_tags(run.info.run_id, {Tag.STATE: "superseded", Tag.FRONT: "false"})
    if run.info.status == "RUNNING":
        store.client.set_terminated(run.info.run_id, "KILLED", at_ms)
