"""Writing the parent run of a sweep, and keeping its front up to date while trials come in."""

import time
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from math import nan
from pathlib import Path
from typing import Any

from mlflow.entities import Metric, Run, RunTag

from paretune.front import costs_of, front, front_volume
from paretune.tracking.circumstances import circumstances
from paretune.tracking.store import Store, quoted

__all__ = ["SweepRecorder", "keep_front", "parent_of"]


class SweepRecorder:
    """The parent run of a sweep. Made by the sweeper, which calls ``start`` and ``finish``."""

    def __init__(self, tracking: Mapping[str, Any]) -> None:
        self.store = Store(**tracking) if tracking.get("uri") else None
        self.run_id = self.sweep = ""

    def start(self, sweep: str, facts: Mapping[str, Any]) -> None:
        """Make the store and the sweep's parent run, or reopen it; ``facts`` (space, cap, command) are kept in it."""
        if self.store is None:
            return
        self.store.create()
        client = self.store.client
        parent = parent_of(self.store, sweep)
        if parent is None:
            tags = {"mlflow.runName": sweep, "kind": "sweep", "sweep": sweep, **circumstances()}
            parent = client.create_run(self.store.experiment_id, tags=tags)
        self.run_id, self.sweep = parent.info.run_id, sweep
        client.log_dict(self.run_id, dict(facts), "sweep.yaml")
        told = {"cap": str(facts.get("cap")), "command": str(facts.get("command", ""))}
        client.log_batch(self.run_id, tags=[RunTag(name, value) for name, value in told.items()])
        client.update_run(self.run_id, status="RUNNING")

    def finish(self, status: str, reasons: Mapping[int, str], running: Collection[int]) -> None:
        """Close the parent run as ``FINISHED``, ``FAILED`` or ``KILLED``, and the runs of workers that died.

        ``reasons`` says by trial number why trials failed; ``running`` trials are still in somebody's hands.
        """
        if self.store is None or not self.run_id:
            return
        for run in self.store.runs(f"tags.sweep = {quoted(self.sweep)} and tags.kind = 'trial'"):
            number = int(run.data.tags["trial"])
            superseded = run.data.tags.get("state") == "superseded"
            was_killed = run.info.status == "KILLED" and number in reasons and not superseded
            if was_killed or (run.info.status == "RUNNING" and number not in running):
                self._close(run, reasons.get(number))
        self.store.client.set_terminated(self.run_id, status)

    def attach(self, files: Sequence[Path]) -> None:
        """Add files to the parent run."""
        assert self.store
        for path in files:
            self.store.client.log_artifact(self.run_id, str(path))

    def _close(self, run: Run, reason: str | None) -> None:
        assert self.store
        tags = [RunTag("state", "failed"), RunTag("error", reason[:500])] if reason else [RunTag("state", "killed")]
        self.store.client.log_batch(run.info.run_id, tags=tags)
        self.store.client.set_terminated(run.info.run_id, "FAILED" if reason else "KILLED")


def keep_front(store: Store, sweep: str, trial: int) -> None:
    """Take the tag ``front`` from members that others dominate; log the front's size and volume to the parent.

    Whoever ends a trial first tags it as a member and then calls this. Of two that end together, the later writer sees
    both, so that the tags are right once nobody is writing.
    """
    runs = store.runs(f"tags.sweep = {quoted(sweep)} and tags.front = 'true'")
    params, f1 = ([run.data.metrics.get(name, nan) for run in runs] for name in ("n_params", "val_f1"))
    members = set(front(costs_of(params, f1)).tolist())
    for index in set(range(len(runs))) - members:
        store.client.set_tag(runs[index].info.run_id, "front", "false")
    parent_id, cap = _parent_and_cap(store, sweep)
    figures = {"front_size": float(len(members)), "hypervolume": front_volume(params, f1, cap)}
    now_ms = int(time.time() * 1000)
    store.client.log_batch(parent_id, metrics=[Metric(name, value, now_ms, trial) for name, value in figures.items()])


@lru_cache(maxsize=8)
def _parent_and_cap(store: Store, sweep: str) -> tuple[str, float | None]:
    parent = parent_of(store, sweep)
    assert parent
    cap = parent.data.tags.get("cap", "None")
    return parent.info.run_id, None if cap == "None" else float(cap)


def parent_of(store: Store, sweep: str) -> Run | None:
    """The parent run of a sweep, if the store has it."""
    found = store.runs(f"tags.kind = 'sweep' and tags.sweep = {quoted(sweep)}")
    return found[0] if found else None
