"""Writing the parent run of a sweep."""

import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from paretune.errors import StoreError
from paretune.retry import FaultError, Outage, is_busy, patience
from paretune.secrets import masked
from paretune.tracking.compare import RunsSide, StudySide, check_in_step, runs_side
from paretune.tracking.front_tags import set_front, supersede
from paretune.tracking.run import has_waiting, write_leftovers
from paretune.tracking.store import Store, Tag, one_line, provenance
from paretune.tracking.tables import Part, Run

log = logging.getLogger(__name__)

PATIENCE_S = 300.0  # for a store that is busy or away when a sweep begins or ends
PAUSE_S = 3.0


class SweepRecorder:
    """The parent run of a sweep. Made by the sweeper, which calls ``start`` and
    ``finish``.
    """

    def __init__(self, tracking: Mapping[str, Any]) -> None:
        self.store = Store(**tracking) if tracking.get("uri") else None
        self.run_id = self.sweep = ""

    def compare(
        self,
        sweep: str,
        storage: str,
        study_id: str,
        n_trials: int,
        complete: Collection[int],
    ) -> None:
        """Raise :class:`~paretune.errors.StoreError` if the sweep's study and its runs
        are not of the same trials.

        The study in ``storage`` has ``n_trials``, and those with the numbers
        ``complete`` ended with a result. Nothing is written.
        """
        if self.store is None:
            return
        study = StudySide(masked(storage), study_id, n_trials, complete)
        has_file = self.store.file is None or (
            self.store.file.is_file() and self.store.file.stat().st_size > 0
        )
        runs = (
            runs_side(self.store, sweep)
            if has_file
            else RunsSide(None, frozenset(), frozenset())
        )
        check_in_step(
            self.store,
            sweep,
            study,
            runs,
            may_come=self.store.is_server or has_waiting(self.store),
        )

    def start(self, sweep: str, facts: Mapping[str, Any]) -> None:
        """Make the store and the sweep's parent run, or reopen it; ``facts`` (space,
        cap, command) are kept in it.
        """
        if self.store is None:
            return
        waiting = Outage("the tracking store", (PAUSE_S,))
        while True:
            try:
                self._open_parent(self.store, sweep, facts)
                break
            except StoreError as error:
                if not is_busy(error) or waiting.noticed(error) >= PATIENCE_S:
                    raise
                waiting.wait()
        waiting.ended()

    def _open_parent(self, store: Store, sweep: str, facts: Mapping[str, Any]) -> None:
        store.create()
        client = store.client
        with one_line(store.uri):
            parent = store.parent_of(sweep) or self._restored(store, sweep)
            if parent is None:
                tags = {
                    "mlflow.runName": sweep,
                    Tag.KIND: "sweep",
                    Tag.SWEEP: sweep,
                    **provenance(),
                }
                parent = Run.of(client.create_run(store.experiment_id, tags=tags))
            self.run_id, self.sweep = parent.info.run_id, sweep
            store.keep_text(
                self.run_id, yaml.safe_dump(dict(facts), sort_keys=False), "sweep.yaml"
            )
            tags = {
                Tag.CAP: str(facts.get("cap")),
                Tag.COST: str(facts.get("cost", "params")),
            }
            if study_id := facts.get("study"):
                tags[Tag.STUDY] = str(study_id)
            store.set_tags(
                self.run_id, {**tags, "command": str(facts.get("command", ""))}
            )
            client.update_run(self.run_id, status="RUNNING")

    def _restored(self, store: Store, sweep: str) -> Run | None:
        """The parent run that somebody deleted in MLflow's UI, while its trials stayed,
        brought back.
        """
        deleted = store.runs({Tag.KIND: "sweep", Tag.SWEEP: sweep}, deleted=True)
        numbers = store.tag_of_all({Tag.SWEEP: sweep, Tag.KIND: "trial"}, Tag.TRIAL)
        if not deleted or not any(is_active for _, is_active in numbers.values()):
            return None
        store.client.restore_run(deleted[-1].info.run_id)
        log.warning(
            (
                "the parent run of sweep %s was deleted, and its trials were not; it "
                "is brought back"
            ),
            sweep,
        )
        return deleted[-1]

    def finish(
        self, status: str, reasons: Mapping[int, str], running: Collection[int]
    ) -> None:
        """Close the parent run as ``FINISHED``, ``FAILED`` or ``KILLED``, and the runs
        of workers that died.

        ``reasons`` says by trial number why trials failed; ``running`` are the numbers
        of trials that a worker still has.
        """
        if self.store is None or not self.run_id:
            return
        waiting = Outage("the tracking store", (PAUSE_S,))
        waited_s = 0.0
        while True:
            is_last = waited_s >= PATIENCE_S or patience.is_ended()
            try:
                left = self._close_as_far_as_it_goes(
                    self.store, status, reasons, running, is_last=is_last
                )
                break
            except FaultError:
                raise
            except StoreError as error:
                if is_last or not (self.store.spool_folder or is_busy(error)):
                    raise
                waited_s = waiting.noticed(error)
                waiting.wait()
        waiting.ended()
        if left:
            spool = self.store.spool_folder
            log.warning(
                (
                    "%d runs wait in %s for the tracking store; the next command "
                    "writes them"
                ),
                left,
                spool,
            )

    def _close_as_far_as_it_goes(
        self,
        store: Store,
        status: str,
        reasons: Mapping[int, str],
        running: Collection[int],
        *,
        is_last: bool,
    ) -> int:
        """Close all; returns how many runs still wait in the spool. Raises
        :class:`~paretune.errors.StoreError` if it is to be tried again.
        """
        store.refuse_broken()
        if is_last:
            store.refuse_locked()
        left = write_leftovers(store)
        if left and not is_last:
            raise StoreError(f"{left} runs wait in {store.spool_folder}")
        with one_line(store.uri):
            self._close_all(store, status, reasons, running)
        return left

    def _close_all(
        self,
        store: Store,
        status: str,
        reasons: Mapping[int, str],
        running: Collection[int],
    ) -> None:
        runs = [
            (int(run.data.tags[Tag.TRIAL]), int(run.data.tags.get(Tag.ATTEMPT, 0)), run)
            for run in store.trials(
                self.sweep, only=Part((Tag.TRIAL, Tag.ATTEMPT, Tag.STATE))
            )
        ]
        latest = dict(sorted((number, attempt) for number, attempt, _ in runs))
        for number, attempt, run in runs:
            is_superseded = run.data.tags.get(Tag.STATE) == "superseded"
            if attempt < latest[number] and not is_superseded:
                supersede(store, run)  # written late, after a server was away
            elif (
                run.info.status == "KILLED" and number in reasons and not is_superseded
            ):
                _close(store, run, reasons[number])
            elif run.info.status == "RUNNING" and number not in running:
                _close(store, run, reasons.get(number))
        set_front(store, self.sweep)
        store.client.set_terminated(self.run_id, status)

    def attach(self, files: Sequence[Path]) -> None:
        """Add files to the parent run."""
        assert self.store
        for path in files:
            self.store.keep_file(self.run_id, path)


def _close(store: Store, run: Run, reason: str | None) -> None:
    tags = (
        {Tag.STATE: "failed", Tag.ERROR: reason[:500]}
        if reason
        else {Tag.STATE: "killed"}
    )
    store.set_tags(run.info.run_id, tags)
    store.client.set_terminated(run.info.run_id, "FAILED" if reason else "KILLED")
