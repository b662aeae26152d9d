"""Keeping the front of a sweep up to date while its trials come in."""

import time
from functools import lru_cache
from math import nan

from mlflow.entities import Metric, Run, RunTag

from paretune.front import Costs, costs_of, front, front_volume
from paretune.tracking.store import Store, quoted


def keep_front(store: Store, sweep: str, trial: int) -> None:
    """Take the tag ``front`` from members that others dominate; log the front's size and volume to the parent.

    Whoever ends a trial first tags it as a member and then calls this. Of two that end together, the later writer sees
    both, so that the tags are right once nobody is writing.
    """
    runs = store.runs(f"tags.sweep = {quoted(sweep)} and tags.front = 'true'")
    costs = _costs(runs)
    members = front(costs)
    for index in set(range(len(runs))) - set(members.tolist()):
        store.client.set_tag(runs[index].info.run_id, "front", "false")
    _log_figures(store, sweep, costs[members], trial)


def set_front(store: Store, sweep: str) -> None:
    """Tag every complete trial anew: a member may have been superseded since it took the tag from others.

    The figures of the parent are logged once more, as those that are latest may be of a trial that did not end last.
    """
    runs = store.runs(f"tags.sweep = {quoted(sweep)} and tags.state = 'complete' and tags.kind = 'trial'")
    costs = _costs(runs)
    members = front(costs)
    on_front = set(members.tolist())
    for index, run in enumerate(runs):
        tag = "true" if index in on_front else "false"
        if run.data.tags.get("front") != tag:
            store.client.set_tag(run.info.run_id, "front", tag)
    if runs:
        _log_figures(store, sweep, costs[members], max(int(run.data.tags["trial"]) for run in runs))


def _log_figures(store: Store, sweep: str, members: Costs, trial: int) -> None:
    """Size and volume of the front to the parent run; ``trial`` is the step."""
    try:
        parent_id, cap = _parent_and_cap(store, sweep)
    except LookupError:  # somebody deleted it, or the sweep has no recorder
        return
    figures = {
        "front_size": float(len(members)),
        "hypervolume": front_volume(members[:, 0], 1 - members[:, 1], cap),
    }
    now_ms = int(time.time() * 1000)
    store.client.log_batch(parent_id, metrics=[Metric(name, value, now_ms, trial) for name, value in figures.items()])


def supersede(store: Store, run: Run, at_ms: int | None = None) -> None:
    """Close what an earlier attempt left: its worker died, perhaps before it could tell the study."""
    store.client.log_batch(run.info.run_id, tags=[RunTag("state", "superseded"), RunTag("front", "false")])
    if run.info.status == "RUNNING":
        store.client.set_terminated(run.info.run_id, "KILLED", at_ms)


def _costs(runs: list[Run]) -> Costs:
    return costs_of(*([run.data.metrics.get(name, nan) for run in runs] for name in ("n_params", "val_f1")))


@lru_cache(maxsize=8)
def _parent_and_cap(store: Store, sweep: str) -> tuple[str, float | None]:
    parent = parent_of(store, sweep)
    if parent is None:
        raise LookupError(sweep)
    cap = parent.data.tags.get("cap", "None")
    return parent.info.run_id, None if cap == "None" else float(cap)


def parent_of(store: Store, sweep: str) -> Run | None:
    """The parent run of a sweep, if the store has it."""
    found = store.runs(f"tags.kind = 'sweep' and tags.sweep = {quoted(sweep)}")
    return found[0] if found else None
