"""Writing the parent run of a sweep."""

import logging
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

from mlflow.entities import Run, RunTag
from mlflow.exceptions import MlflowException

from paretune.errors import StoreError
from paretune.tracking.front_tags import parent_of, set_front, supersede
from paretune.tracking.run import write_leftovers
from paretune.tracking.store import Store, one_line, provenance, quoted

__all__ = ["SweepRecorder"]

log = logging.getLogger(__name__)

PATIENCE_S = 120  # for a server that is away when a sweep ends
PAUSE_S = 3


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
        with one_line(self.store.uri):
            self._start(sweep, facts)

    def _start(self, sweep: str, facts: Mapping[str, Any]) -> None:
        assert self.store
        client = self.store.client
        parent = parent_of(self.store, sweep)
        if parent is None:
            tags = {"mlflow.runName": sweep, "kind": "sweep", "sweep": sweep, **provenance()}
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
        give_up_s = time.monotonic() + (PATIENCE_S if self.store.spool_folder else 0)
        while True:
            left = 1
            with suppress(MlflowException, StoreError) if time.monotonic() < give_up_s else nullcontext():
                left = write_leftovers(self.store)
                if not left or time.monotonic() >= give_up_s:
                    with one_line(self.store.uri):
                        self._finish(status, reasons, running)
                    break
            time.sleep(PAUSE_S)
        if left:
            log.warning(
                "%d runs wait in %s for the tracking server; the next command writes them",
                left,
                self.store.spool_folder,
            )

    def _finish(self, status: str, reasons: Mapping[int, str], running: Collection[int]) -> None:
        assert self.store
        runs = self.store.runs(f"tags.sweep = {quoted(self.sweep)} and tags.kind = 'trial'")
        attempts: dict[int, int] = {}
        for run in runs:
            number, attempt = int(run.data.tags["trial"]), int(run.data.tags.get("attempt", 0))
            attempts[number] = max(attempt, attempts.get(number, 0))
        for run in runs:
            number, state = int(run.data.tags["trial"]), run.data.tags.get("state")
            if int(run.data.tags.get("attempt", 0)) < attempts[number] and state != "superseded":
                supersede(self.store, run)  # written late, after a server was away
            elif run.info.status == "KILLED" and number in reasons and state != "superseded":
                self._close(run, reasons[number])
            elif run.info.status == "RUNNING" and number not in running:
                self._close(run, reasons.get(number))
        set_front(self.store, self.sweep)
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
