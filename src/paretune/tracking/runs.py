"""Finding runs in a store: in the tables of a SQLite one, else by MLflow's client."""

import logging
import re
import sqlite3
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from paretune.errors import StoreError
from paretune.tracking import tables
from paretune.tracking.entities import Part, Run, TagOfRun
from paretune.tracking.schema import RunKind, State, Tag
from paretune.tracking.store import Store, restore_experiment
from paretune.tracking.store_errors import translate_errors

log = logging.getLogger(__name__)

RUNS_PER_QUERY = 20_000  # a third less time than with 1,000
# MLflow's filter language has no escape for quotes, nor for the backslash that its
# parser takes for one.
FILTERABLE = re.compile(r"[^'\"\\]*")
Answer = TypeVar("Answer")


def find_runs(
    store: Store,
    tags: Mapping[str, str],
    *,
    deleted: bool = False,
    only: Part | None = None,
) -> list[Run]:
    """All runs of every experiment that have these tags (at least one), oldest first;
    or those that were ``deleted``.

    Of those in a SQLite store ``only`` a part is read, if asked for, which takes a
    fraction of the time.
    """
    return _ask(
        store,
        lambda file: tables.runs_with(file, tags, deleted=deleted, only=only),
        lambda: find_runs_by_client(store, tags, deleted=deleted),
    )


def find_run(store: Store, run_id: str) -> Run:
    """The run of this id. Raises :class:`~paretune.errors.StoreError` if the store has
    not got it.
    """
    run = _ask(
        store,
        lambda file: tables.run_of(file, run_id),
        lambda: _find_run_by_client(store, run_id),
    )
    if run is None:
        raise StoreError(
            f"run `{run_id}` is not in tracking store `{store.uri}`, or was deleted; "
            "paretune pareto lists the runs of a sweep"
        )
    return run


def find_tag_of_all(
    store: Store, tags: Mapping[str, str], name: str
) -> dict[str, TagOfRun]:
    """The tag ``name``, by the ids of the runs that have it and these ``tags``; of
    deleted runs, too.
    """
    return _ask(
        store,
        lambda file: tables.tag_of_all(file, tags, name),
        lambda: _find_tag_of_all_by_client(store, tags, name),
    )


def read_metric(store: Store, run_id: str, name: str) -> list[tuple[int, float]]:
    """(step, value) of all values of a metric of a run, by step."""
    return _ask(
        store,
        lambda file: tables.curve_of(file, run_id, name),
        lambda: _read_metric_by_client(store, run_id, name),
    )


def _ask(
    store: Store, of_tables: Callable[[Path], Answer], of_client: Callable[[], Answer]
) -> Answer:
    """The answer of the tables of a SQLite store; of MLflow's client for any other, and
    where the tables cannot be read: it knows what is wrong with them.
    """
    if store.file:
        try:
            return of_tables(store.file)
        except sqlite3.Error as error:
            _tell_fall_back(store.file, str(error))
    return of_client()


@lru_cache
def _tell_fall_back(file: Path, reason: str) -> None:
    """Say once why reading takes longer."""
    log.warning(
        "the tables of %s are not read directly (%s), but by MLflow, which takes longer",
        file,
        reason,
    )


def find_runs_by_client(
    store: Store, tags: Mapping[str, str], *, deleted: bool = False
) -> list[Run]:
    """The same as :func:`find_runs`, asked of MLflow's client, whatever the store
    is.
    """
    runs = _search(store, _filter_by(tags), deleted=deleted)
    return [run for run in runs if tags.items() <= run.tags.items()]


def _filter_by(tags: Mapping[str, str]) -> str:
    """MLflow's filter for runs that have these tags, as far as it has words for their
    values: it may let others through.
    """
    conditions: list[str] = []
    for name, value in tags.items():
        if FILTERABLE.fullmatch(value):
            conditions.append(f"tags.{name} = '{value}'")
    return " and ".join(conditions)


def _search(store: Store, query: str, *, deleted: bool) -> list[Run]:
    """All runs of every experiment that match MLflow's filter ``query``, oldest first;
    those that were ``deleted`` may be of any experiment.
    """
    from mlflow.entities import ViewType

    within = ViewType.ALL if deleted else ViewType.ACTIVE_ONLY
    view = ViewType.DELETED_ONLY if deleted else ViewType.ACTIVE_ONLY
    runs: list[Run] = []
    token: str | None = None
    with translate_errors(store.uri):
        experiments = store.client.search_experiments(within)
        ids = [experiment.experiment_id for experiment in experiments]
        while True:
            page = store.client.search_runs(
                ids,
                query,
                view,
                RUNS_PER_QUERY,
                ["attributes.start_time ASC"],
                token,
            )
            runs += map(Run.of, page)
            token = page.token
            if not token:
                return runs


def _find_run_by_client(store: Store, run_id: str) -> Run | None:
    with translate_errors(store.uri):
        return Run.of(store.client.get_run(run_id))


def _find_tag_of_all_by_client(
    store: Store, tags: Mapping[str, str], name: str
) -> dict[str, TagOfRun]:
    found: dict[str, TagOfRun] = {}
    for deleted in (False, True):
        for run in find_runs_by_client(store, tags, deleted=deleted):
            if name in run.tags:
                found[run.run_id] = TagOfRun(run.tags[name], not deleted)
    return found


def _read_metric_by_client(
    store: Store, run_id: str, name: str
) -> list[tuple[int, float]]:
    with translate_errors(store.uri):
        history = store.client.get_metric_history(run_id, name)
    return sorted((value.step, value.value) for value in history)


def find_sweeps(store: Store) -> list[Run]:
    """The parent runs of all sweeps, oldest first."""
    return find_runs(store, {Tag.KIND: RunKind.SWEEP})


def find_parent(store: Store, sweep: str) -> Run | None:
    """The parent run of a sweep, if the store has it."""
    parents = find_runs(store, {Tag.KIND: RunKind.SWEEP, Tag.SWEEP: sweep})
    return next(iter(parents), None)


def find_deleted_parent(store: Store, sweep: str) -> Run | None:
    """The newest of a sweep's parent runs that somebody deleted."""
    tags = {Tag.KIND: RunKind.SWEEP, Tag.SWEEP: sweep}
    deleted = find_runs(store, tags, deleted=True)
    if not deleted:
        return None
    return deleted[-1]


def find_trials(
    store: Store, sweep: str, *, state: State | None = None, only: Part | None = None
) -> list[Run]:
    """The runs of a sweep's trials, oldest first, superseded attempts too; or those in
    a ``state``.

    ``only``: as in :func:`find_runs`.
    """
    tags = {Tag.SWEEP: sweep, Tag.KIND: RunKind.TRIAL}
    if state:
        tags[Tag.STATE] = state
    return find_runs(store, tags, only=only)


def find_front(store: Store, sweep: str, *, only: Part | None = None) -> list[Run]:
    """The runs of a sweep that are tagged as members of its front. ``only``: as in
    :func:`find_runs`.
    """
    return find_runs(store, {Tag.SWEEP: sweep, Tag.FRONT: "true"}, only=only)


def find_retrainings(store: Store, sweep: str, kind: RunKind) -> list[Run]:
    """The runs of a ``kind`` that train trials of a sweep again, whatever became of
    them, oldest first.
    """
    return find_runs(store, {Tag.SWEEP: sweep, Tag.KIND: kind})


def find_confirmations_of(store: Store, model_id: str) -> list[Run]:
    """The runs of ``paretune confirm`` that train one model again, whatever became of
    them, oldest first.

    ``model_id`` is the id of a trial's run, or the digest of a recipe.
    """
    return find_runs(store, {Tag.CONFIRMS: model_id, Tag.KIND: RunKind.CONFIRM})


def how_to_restore(store: Store, run: Run) -> str:
    """Advice for having a deleted run again, alone or with its experiment."""
    with translate_errors(store.uri):
        experiment = store.client.get_experiment(run.info.experiment_id)
    if experiment.lifecycle_stage == "deleted":
        return restore_experiment(store.uri, run.info.experiment_id)
    return "bring its runs back in MLflow's UI (State: Deleted, Restore)"
