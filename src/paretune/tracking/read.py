"""Reading sweeps back from the store: their trials, points, confirmations and
weights.
"""

import logging
from collections.abc import Collection, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from difflib import get_close_matches
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paretune.answers import AnswersOnTest
from paretune.errors import StoreError, first_line
from paretune.front import Point
from paretune.paths import temporary_folder
from paretune.tracking.entities import Run
from paretune.tracking.points import points_of
from paretune.tracking.run_files import download, find_local_file, has_file
from paretune.tracking.runs import (
    find_confirmations_of,
    find_deleted_parent,
    find_retrainings,
    find_run,
    find_sweeps,
    find_trials,
    how_to_restore,
    read_metric,
)
from paretune.tracking.schema import (
    ANSWERS_FILE,
    SECONDS,
    VAL_F1,
    WEIGHTS_FILE,
    RunKind,
    Split,
    State,
    Tag,
    name_curve,
)
from paretune.tracking.store import Store
from paretune.tracking.trial_table import (
    TRIAL_PART,
    build_table,
    column_of,
    common_cost,
    complete_rows,
    front_rows,
    state_of,
)

if TYPE_CHECKING:
    from pandas import DataFrame

log = logging.getLogger(__name__)

# Not those that were stopped, or were run again.
LISTED_STATES = (State.COMPLETE, State.RACED, State.FAILED, State.RUNNING)
RETRAINED_METRICS = (VAL_F1, Split.TEST.f1, Split.TEST.accuracy, SECONDS)


def read_trials(store: Store, *sweeps: str) -> "DataFrame":
    """The table of the sweeps' trials, each sweep's oldest first; attempts that were
    run again are left out.

    The columns are those of :func:`paretune.pareto.trials`, ``searched`` and ``config``
    (dicts), ``layers``, ``experiment_id`` and ``cost``, that which all sweeps weigh.
    Raises :class:`~paretune.errors.StoreError` if the store has no such sweep.
    """
    costs = _read_costs(store, sweeps)
    runs: list[Run] = []
    for sweep in sweeps:
        for run in find_trials(store, sweep, only=TRIAL_PART):
            if state_of(run) in LISTED_STATES:
                runs.append(run)
    table = build_table(runs)
    table["cost"] = common_cost(costs)
    members = front_rows(complete_rows(table), column_of(table))
    table.loc[members.index, "front"] = True
    return table


def _read_costs(store: Store, sweeps: Collection[str]) -> list[str]:
    """The cost that each of the sweeps weighs against F1."""
    known = {run.tags[Tag.SWEEP]: _cost_of(run) for run in find_sweeps(store)}
    costs: list[str] = []
    for sweep in sweeps:
        if sweep in known:
            costs.append(known[sweep])
        else:
            costs.append(_cost_without_parent(store, sweep, known))
    return costs


def _cost_of(parent: Run) -> str:
    return parent.tags.get(Tag.COST, "params")


def _cost_without_parent(store: Store, sweep: str, others: Collection[str]) -> str:
    """The cost of a sweep whose parent run somebody deleted in MLflow's UI.

    Raises :class:`~paretune.errors.StoreError` if its trials are not there either.
    """
    deleted = find_deleted_parent(store, sweep)
    if find_trials(store, sweep):
        log.warning(
            (
                "the parent run of sweep %s was deleted; the sweep's own command "
                "brings it back"
            ),
            sweep,
        )
        return _cost_of(deleted) if deleted else "params"
    if deleted:
        raise StoreError(
            f"sweep `{sweep}` was deleted from the tracking store `{store.uri}`; "
            f"{how_to_restore(store, deleted)}"
        )
    raise StoreError(
        f"sweep `{sweep}` is not in the tracking store `{store.uri}`; "
        f"{_suggest(sweep, others)}"
    )


def _suggest(sweep: str, others: Collection[str]) -> str:
    near = get_close_matches(sweep, others, n=1)
    if near:
        return f"did you mean `{near[0]}`?"
    return f"the store has {', '.join(others) or 'no sweep yet'}"


def read_points(store: Store, *sweeps: str) -> list[Point]:
    """The points that the complete trials of these sweeps are."""
    table = read_trials(store, *sweeps)
    return points_of(table[table["state"] == State.COMPLETE])


def read_run(store: Store, run_id: str) -> tuple[Point, str]:
    """The point that a trial's run is, and the name of its sweep."""
    run = find_run(store, run_id)
    (point,) = points_of(build_table([run]))
    return point, run.tags[Tag.SWEEP]


def read_confirmations(store: Store, *sweeps: str) -> "DataFrame":
    """A row for each finished training of ``paretune confirm`` of trials of these
    sweeps, oldest first; the columns are those of :func:`read_retrainings`.
    """
    return read_retrainings(store, sweeps, RunKind.CONFIRM)


def read_retrainings(
    store: Store,
    sweeps: Iterable[str],
    kind: RunKind,
    states: Collection[str] = (State.COMPLETE,),
) -> "DataFrame":
    """A row for each training of a ``kind`` of trials of these sweeps that ended in one
    of the ``states``, oldest first.

    Columns: ``confirms`` (the id of the trial's run), ``how`` its training differed in
    words, ``seed``, ``state``, ``val_f1``, ``test_f1``, ``test_accuracy`` (NaN where the
    test set was not read), ``seconds`` and ``run_id``.
    """
    runs: list[Run] = []
    for sweep in sweeps:
        runs += find_retrainings(store, sweep, kind)
    return _build_retrainings(runs, states)


def read_confirmations_of(store: Store, model_id: str) -> "DataFrame":
    """A row for each finished training of ``paretune confirm`` of one model, oldest
    first; the columns are those of :func:`read_retrainings`.

    ``model_id`` is the id of a trial's run, or the digest of a recipe.
    """
    return _build_retrainings(find_confirmations_of(store, model_id), (State.COMPLETE,))


def _build_retrainings(begun: Iterable[Run], states: Collection[str]) -> "DataFrame":
    """The rows of those of the runs that ended in one of the ``states``."""
    from pandas import DataFrame

    runs = [run for run in begun if run.tags.get(Tag.STATE) in states]
    columns: dict[str, list[Any]] = {
        Tag.CONFIRMS: [run.tags[Tag.CONFIRMS] for run in runs],
        Tag.HOW: [run.tags[Tag.HOW] for run in runs],
        Tag.SEED: [int(run.tags[Tag.SEED]) for run in runs],
        Tag.STATE: [run.tags[Tag.STATE] for run in runs],
    }
    for name in RETRAINED_METRICS:
        columns[name] = [run.data.metrics.get(name, nan) for run in runs]
    columns["run_id"] = [run.run_id for run in runs]
    return DataFrame(columns)


def select_way(trainings: "DataFrame", model_id: str, how: str) -> "DataFrame":
    """Those of the ``trainings`` that trained this model again in this way.

    The columns are those of :func:`read_retrainings`.
    """
    is_of_model = trainings[Tag.CONFIRMS] == model_id
    return trainings[is_of_model & (trainings[Tag.HOW] == how)]


def count_retrainings(store: Store, sweep: str, kind: RunKind) -> int:
    """The number of trainings of a ``kind`` that were begun for trials of a sweep,
    whatever became of them.
    """
    return len(find_retrainings(store, sweep, kind))


def count_confirmations_of(store: Store, model_id: str) -> int:
    """The number of trainings of ``paretune confirm`` that were begun for one model,
    whatever became of them. ``model_id``: as for :func:`read_confirmations_of`.
    """
    return len(find_confirmations_of(store, model_id))


def read_curve(
    store: Store, run_id: str, name: str = VAL_F1
) -> list[tuple[int, float]]:
    """(epoch, value) of a run's curve, by epoch."""
    return read_metric(store, run_id, name_curve(name))


def read_answers(store: Store, run_id: str) -> AnswersOnTest | None:
    """What the model of a training said of the test images; ``None`` if that is not in
    the store, as of a training by an earlier version.

    Raises :class:`~paretune.errors.StoreError` if it is there and cannot be read.
    """
    run = find_run(store, run_id)
    if not has_file(store, run, ANSWERS_FILE):
        return None
    with _file_of(store, run, ANSWERS_FILE) as path:
        try:
            return AnswersOnTest.read(path)
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(
                f"{ANSWERS_FILE} of run `{run_id}` is damaged ({first_line(error)}); "
                "delete it, or put it back from a backup"
            ) from error


def weights_of(store: Store, run_id: str) -> AbstractContextManager[Path]:
    """A run's ``weights.pt``, there while the block lasts.

    Raises :class:`~paretune.errors.StoreError` if it is not there. What the block says
    of a copy of the file is said of the run, as the copy is gone by then.
    """
    return _file_of(store, find_run(store, run_id), WEIGHTS_FILE)


@contextmanager
def _file_of(store: Store, run: Run, file: str) -> Iterator[Path]:
    path = find_local_file(store, run, file)
    if path:
        yield path
        return
    with temporary_folder() as folder:
        path = download(store, run, file, folder)
        try:
            yield path
        except StoreError as error:
            name = f"{file} of run {run.run_id} in {store.uri}"
            raise StoreError(str(error).replace(str(path), name)) from error
