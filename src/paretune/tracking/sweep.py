"""Writing the parent run of a sweep."""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from paretune.costs import PARAMS
from paretune.errors import StoreError
from paretune.importing import many_imports
from paretune.retry import (
    LONGEST_OUTAGE_S,
    FaultError,
    Outage,
    is_busy,
    patience,
)
from paretune.secrets import masked
from paretune.tracking.compare import (
    RunsSide,
    StudySide,
    check_in_step,
    read_runs_side,
)
from paretune.tracking.entities import Part, Run
from paretune.tracking.front_tags import set_front, supersede
from paretune.tracking.leftovers import has_waiting, write_leftovers
from paretune.tracking.provenance import provenance
from paretune.tracking.run_files import keep_file, keep_text
from paretune.tracking.runs import (
    find_deleted_parent,
    find_parent,
    find_tag_of_all,
    find_trials,
)
from paretune.tracking.schema import (
    LONGEST_ERROR,
    LONGEST_VALUE,
    SWEEP_FILE,
    RunKind,
    State,
    Status,
    Tag,
    find_cost_metric,
)
from paretune.tracking.store import Store
from paretune.tracking.store_errors import translate_errors
from paretune.tracking.views import write_views

log = logging.getLogger(__name__)

PAUSE_S = 3.0
CLOSED_PART = Part((Tag.TRIAL, Tag.ATTEMPT, Tag.STATE))


@dataclass(frozen=True)
class SweepEnd:
    """The end of a sweep: MLflow's ``status`` of its parent run, why trials failed, by
    their numbers, and the numbers of those that a worker still has.
    """

    status: str
    reasons: Mapping[int, str]
    running: Collection[int]


class SweepRecorder:
    """The parent run of a sweep. Made by the sweeper, which calls ``start`` and
    ``finish``.
    """

    def __init__(self, tracking: Mapping[str, Any]) -> None:
        self.store = Store(**tracking) if tracking.get("uri") else None
        self.run_id = ""
        self.sweep = ""

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
        runs = RunsSide()
        if is_there(self.store):
            runs = read_runs_side(self.store, sweep)
        check_in_step(
            self.store,
            sweep,
            StudySide(masked(storage), study_id, n_trials, complete),
            runs,
            may_come=self.store.is_server or has_waiting(self.store),
        )

    def start(self, sweep: str, facts: Mapping[str, Any]) -> None:
        """Make the store and the sweep's parent run, or reopen it; ``facts`` (space,
        cap, command) are kept in it.
        """
        if self.store is None:
            return
        with many_imports():  # of MLflow and torch
            write_patiently(partial(self._open_parent, self.store, sweep, facts))

    def _open_parent(self, store: Store, sweep: str, facts: Mapping[str, Any]) -> None:
        store.create()
        with translate_errors(store.uri):
            parent = (
                find_parent(store, sweep)
                or _restore_parent(store, sweep)
                or _make_parent(store, sweep)
            )
            self.run_id = parent.run_id
            self.sweep = sweep
            text = yaml.safe_dump(dict(facts), sort_keys=False)
            keep_text(store, self.run_id, text, SWEEP_FILE)
            store.set_tags(self.run_id, _tags_of(facts))
            store.client.update_run(self.run_id, status=Status.RUNNING)

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
        end = SweepEnd(status, reasons, running)
        left = self._close_patiently(self.store, end)
        if left:
            log.warning(
                (
                    "%d runs wait in %s for the tracking store; the next command "
                    "writes them"
                ),
                left,
                self.store.spool_folder,
            )

    def _close_patiently(self, store: Store, end: SweepEnd) -> int:
        """Close all, and wait for a store that is busy or away; returns how many runs
        still wait in the spool.
        """
        waiting = Outage("the tracking store", (PAUSE_S,))
        waited_s = 0.0
        while True:
            is_last = waited_s >= LONGEST_OUTAGE_S or patience.is_ended()
            try:
                left = self._close(store, end, is_last=is_last)
            except FaultError:
                raise
            except StoreError as error:
                if is_last or not (store.spool_folder or is_busy(error)):
                    raise
                waited_s = waiting.noticed(error)
                waiting.wait()
            else:
                waiting.ended()
                return left

    def _close(self, store: Store, end: SweepEnd, *, is_last: bool) -> int:
        """Close all; returns how many runs still wait in the spool. Raises
        :class:`~paretune.errors.StoreError` if it is to be tried again.
        """
        store.refuse_broken()
        if is_last:
            store.refuse_locked()
        left = write_leftovers(store)
        if left and not is_last:
            raise StoreError(f"{left} runs wait in {store.spool_folder}")
        with translate_errors(store.uri):
            _close_trials(store, self.sweep, end)
            set_front(store, self.sweep)
            store.client.set_terminated(self.run_id, end.status)
        self._describe(store)
        return left

    def _describe(self, store: Store) -> None:
        """Keep views of the sweep, and say in the parent run what it is, unless somebody
        did. Of a store that cannot take them the sweep ends all the same.
        """
        try:
            with translate_errors(store.uri):
                self._write_description(store)
        except FaultError:
            raise
        except StoreError as error:
            log.warning("sweep %s has no views in MLflow's UI (%s)", self.sweep, error)

    def _write_description(self, store: Store) -> None:
        tags = store.client.get_run(self.run_id).data.tags
        cost = tags.get(Tag.COST, PARAMS.name)
        views = write_views(store, self.sweep, find_cost_metric(cost))
        if tags.get(Tag.DESCRIPTION):
            return
        names = ", ".join(f"*{view.title}*" for view in views)
        command = tags.get(Tag.COMMAND, "")
        note = (
            f"A sweep of Paretune. In the menu *Views* of the experiment: {names}.\n\n"
            "The command, which goes on where it was stopped:\n\n"
            f"```\n{command}\n```"
        )
        store.set_tags(self.run_id, {Tag.DESCRIPTION: note[:LONGEST_VALUE]})

    def attach(self, files: Sequence[Path]) -> None:
        """Add files to the parent run."""
        assert self.store
        for path in files:
            keep_file(self.store, self.run_id, path)


def write_patiently(write: Callable[[], None]) -> None:
    """Call ``write``, again and again while the store is busy. Raises
    :class:`~paretune.errors.StoreError` of another cause, or at last.
    """
    waiting = Outage("the tracking store", (PAUSE_S,))
    while True:
        try:
            write()
        except StoreError as error:
            if not is_busy(error) or waiting.noticed(error) >= LONGEST_OUTAGE_S:
                raise
            waiting.wait()
        else:
            waiting.ended()
            return


def is_there(store: Store) -> bool:
    """Whether a SQLite store was made; of another kind nothing is known."""
    if store.file is None:
        return True
    return store.file.is_file() and store.file.stat().st_size > 0


def _tags_of(facts: Mapping[str, Any]) -> dict[str, str]:
    tags = {
        Tag.CAP: str(facts.get("cap")),
        Tag.COST: str(facts.get("cost", "params")),
        Tag.COMMAND: str(facts.get("command", "")),
    }
    if study_id := facts.get("study"):
        tags[Tag.STUDY] = str(study_id)
    return tags


def _make_parent(store: Store, sweep: str) -> Run:
    tags = {
        Tag.RUN_NAME: sweep,
        Tag.KIND: RunKind.SWEEP,
        Tag.SWEEP: sweep,
        **provenance(),
    }
    return Run.of(store.client.create_run(store.experiment_id, tags=tags))


def _restore_parent(store: Store, sweep: str) -> Run | None:
    """The parent run that somebody deleted in MLflow's UI, while its trials stayed,
    brought back.
    """
    deleted = find_deleted_parent(store, sweep)
    if deleted is None:
        return None
    trials = {Tag.SWEEP: sweep, Tag.KIND: RunKind.TRIAL}
    numbers = find_tag_of_all(store, trials, Tag.TRIAL)
    if not any(number.is_active for number in numbers.values()):
        return None
    store.client.restore_run(deleted.run_id)
    log.warning(
        (
            "the parent run of sweep %s was deleted, and its trials were not; it is "
            "brought back"
        ),
        sweep,
    )
    return deleted


def _close_trials(store: Store, sweep: str, end: SweepEnd) -> None:
    """Close what died workers left, and earlier attempts that were written late, after
    a server was away.
    """
    runs = find_trials(store, sweep, only=CLOSED_PART)
    latest: dict[int, int] = {}
    for run in runs:
        number = _number_of(run)
        latest[number] = max(latest.get(number, 0), _attempt_of(run))
    for run in runs:
        if _is_superseded(run):
            _close_running(store, run, end)
        elif _attempt_of(run) < latest[_number_of(run)]:
            supersede(store, run)
        elif run.info.status == Status.KILLED and _number_of(run) in end.reasons:
            _close_as(store, run, end.reasons[_number_of(run)])
        else:
            _close_running(store, run, end)


def _number_of(run: Run) -> int:
    return int(run.tags[Tag.TRIAL])


def _attempt_of(run: Run) -> int:
    return int(run.tags.get(Tag.ATTEMPT, 0))


def _is_superseded(run: Run) -> bool:
    return run.tags.get(Tag.STATE) == State.SUPERSEDED


def _close_running(store: Store, run: Run, end: SweepEnd) -> None:
    """Close a run that is still running, unless a worker has it."""
    number = _number_of(run)
    if run.info.status == Status.RUNNING and number not in end.running:
        _close_as(store, run, end.reasons.get(number))


def _close_as(store: Store, run: Run, reason: str | None) -> None:
    """Close a run as failed for a ``reason``, or as killed without one."""
    if not reason:
        store.set_tags(run.run_id, {Tag.STATE: State.KILLED})
        store.client.set_terminated(run.run_id, Status.KILLED)
    else:
        tags = {Tag.STATE: State.FAILED, Tag.ERROR: reason[:LONGEST_ERROR]}
        store.set_tags(run.run_id, tags)
        store.client.set_terminated(run.run_id, Status.FAILED)
