"""The recorder of a sweep of anybody's app: a parent run, and below it the runs that the
app makes of its trials, or those that are made for an app that makes none.
"""

import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import mlflow

from paretune.search.trial_end import Ending, TrialEnd
from paretune.tracking import SweepRecorder as ParentRecorder
from paretune.tracking.entities import Part, Run
from paretune.tracking.front_tags import keep_front, supersede
from paretune.tracking.runs import find_parent, find_runs, find_trials
from paretune.tracking.schema import (
    LONGEST_ERROR,
    VAL_F1,
    RunKind,
    State,
    Status,
    Tag,
    find_cost_metric,
    name_trial,
    tag_trial,
)
from paretune.tracking.store import Store
from paretune.tracking.store_errors import translate_errors
from paretune.tracking.sweep import is_there, write_patiently

if TYPE_CHECKING:
    from paretune.search.study import Direction

ENDED_PART = Part((Tag.TRIAL, Tag.ATTEMPT, Tag.STATE))
WRITTEN_STATES = (State.COMPLETE, State.RACED, State.FAILED)
EXPERIMENT_ENV = "MLFLOW_EXPERIMENT_NAME"
EXPERIMENT = "Default"  # MLflow's own, where an app names none
STATES = {
    Ending.COMPLETE: State.COMPLETE,
    Ending.RACED: State.RACED,
    Ending.FAILED: State.FAILED,
    Ending.WAITING: State.RACED,
}


class SweepRecorder(ParentRecorder):
    """Records the sweep of an app in MLflow: ``hydra.sweeper.recorder={_target_:
    paretune.mlflow.SweepRecorder}``.

    The sweep has a parent run. A run that the app makes while a trial runs is nested
    below it, with the number, the overrides and the state of the trial, and whether it
    is on the front. This holds for ``mlflow.start_run()`` and for the MLFlowLogger of
    Lightning. A trial of which the app makes no run has one made at its end.

    ``tracking_uri`` and ``experiment`` are those of the app (default: as MLflow has
    them, MLFLOW_TRACKING_URI and MLFLOW_EXPERIMENT_NAME).
    """

    def __init__(
        self, tracking_uri: str | None = None, experiment: str | None = None
    ) -> None:
        uri = tracking_uri or mlflow.get_tracking_uri()
        name = experiment or os.environ.get(EXPERIMENT_ENV, EXPERIMENT)
        super().__init__({"uri": uri, "experiment": name})

    def end_trial(self, end: TrialEnd, cost: str) -> None:
        """Write how a trial ended into its run. ``cost`` is the name of the one that the
        sweep weighs.

        Called by the worker that ran it. Raises
        :class:`~paretune.errors.StoreError`.
        """
        if self.store is None:
            return
        # One that the app left open would be taken for that of the next trial, too.
        if mlflow.active_run():
            mlflow.end_run()
        write_patiently(partial(self._write_end, self.store, end, cost))

    def catch_up(self, sweep: str, ends: Sequence[TrialEnd], cost: str) -> None:
        """Write the ends of trials that have not been written: a worker died before it
        could, or the store was away.
        """
        if self.store is None or not is_there(self.store):
            return
        runs = find_trials(self.store, sweep, only=ENDED_PART)
        written = {
            (run.tags.get(Tag.TRIAL), run.tags.get(Tag.ATTEMPT))
            for run in runs
            if run.tags.get(Tag.STATE) in WRITTEN_STATES
        }
        for end in ends:
            if (str(end.number), str(end.attempt)) not in written:
                self.end_trial(end, cost)

    def _write_end(self, store: Store, end: TrialEnd, cost: str) -> None:
        with translate_errors(store.uri):
            run = self._find_run(store, end)
            self._write_searched(store, run, end.searched)
            values = _name_values(end, cost)
            for name, value in values.items():
                store.client.log_metric(run.run_id, name, value)
            status = Status.FAILED if end.ending is Ending.FAILED else Status.FINISHED
            if run.info.status != status:
                store.client.set_terminated(run.run_id, status)
            # The state is what tells that all before was written: see catch_up.
            store.set_tags(run.run_id, _make_tags(end, has_score=VAL_F1 in values))
            if VAL_F1 in values:
                keep_front(store, end.sweep, end.number)

    def _find_run(self, store: Store, end: TrialEnd) -> Run:
        """The run of the attempt: the first that the app made, or a new one. Runs of
        earlier attempts are superseded; further ones are no trials.
        """
        tags = tag_trial(end.sweep, end.number, end.attempt)
        del tags[Tag.ATTEMPT]
        this: list[Run] = []
        for run in find_runs(store, tags):
            if run.tags.get(Tag.ATTEMPT) == str(end.attempt):
                this.append(run)
            else:
                supersede(store, run)
        if not this:
            return self._make_run(store, end)
        for further in this[1:]:
            store.set_tags(further.run_id, {Tag.KIND: RunKind.RUN})
        return this[0]

    def _make_run(self, store: Store, end: TrialEnd) -> Run:
        tags = tag_trial(end.sweep, end.number, end.attempt)
        tags[Tag.RUN_NAME] = name_trial(end.sweep, end.number)
        parent = find_parent(store, end.sweep)
        if parent:
            tags[Tag.PARENT_RUN] = parent.run_id
        return Run.of(store.client.create_run(store.experiment_id, tags=tags))

    def _write_searched(
        self, store: Store, run: Run, searched: Mapping[str, str]
    ) -> None:
        """Log what was searched as parameters; those that the app has logged stay."""
        for name, value in searched.items():
            key = name.lstrip("+")
            if key not in run.data.params:
                store.client.log_param(run.run_id, key, value)


def _name_values(end: TrialEnd, cost: str) -> dict[str, float]:
    """The values by the metrics that reports read: a cost that is minimised and a score
    that is maximised, or such a score alone. Others are ``value_0`` and so on.
    """
    metrics: dict[Direction, str] = {
        "minimize": find_cost_metric(cost),
        "maximize": VAL_F1,
    }
    is_read = "maximize" in end.directions
    is_read = is_read and len(set(end.directions)) == len(end.directions)
    named: dict[str, float] = {}
    for place, value in enumerate(end.values):
        direction = end.directions[place]
        name = metrics[direction] if is_read else f"value_{place}"
        named[name] = value
    return named


def _make_tags(end: TrialEnd, *, has_score: bool) -> dict[str, str]:
    tags = {Tag.STATE: STATES[end.ending].value}
    if has_score:
        # Whether it is on the front is looked at once it is tagged as a member.
        tags[Tag.FRONT] = "true"
    if end.reason:
        tags[Tag.ERROR] = end.reason[:LONGEST_ERROR]
    if model := end.searched.get("model"):
        tags[Tag.FAMILY] = model
        tags[Tag.MODEL] = model
    if added := [name for name in end.searched if name.startswith("+")]:
        tags[Tag.ADDED] = " ".join(added)
    return tags
