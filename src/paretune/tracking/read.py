"""Reading trials back from the store."""

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from math import inf, isnan, nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paretune.costs import COSTS
from paretune.errors import StoreError
from paretune.front import Point, costs_of, front
from paretune.paths import temporary_folder
from paretune.tracking.store import (
    COST_METRICS,
    IMAGES_PER_S,
    N_PARAMS,
    SCORES,
    VAL_F1,
    Store,
    Tag,
    configs_of,
)
from paretune.tracking.tables import Part, Run

if TYPE_CHECKING:
    from pandas import DataFrame

log = logging.getLogger(__name__)

WEIGHTS = "weights.pt"
STATES = {"FINISHED": "complete", "FAILED": "failed", "RUNNING": "running"}


TAGS_READ = (
    Tag.MODEL,
    Tag.SWEEP,
    Tag.TRIAL,
    Tag.ATTEMPT,
    Tag.STATE,
    Tag.FAMILY,
    Tag.LAYERS,
    Tag.DATA,
    Tag.ERROR,
    Tag.ADDED,
)
READ = Part(
    (*TAGS_READ, *COST_METRICS.values(), *SCORES, IMAGES_PER_S),
    config=True,
    searched=True,
)


def read_trials(store: Store, *sweeps: str) -> "DataFrame":
    """The table of the sweeps' trials, each sweep's oldest first; attempts that were
    run again are left out.

    The columns are those of :func:`paretune.pareto.trials`, ``searched`` and ``config``
    (dicts), ``layers`` and ``experiment_id``. Raises
    :class:`~paretune.errors.StoreError` if the store has no such sweep.
    """
    costs = {
        run.data.tags[Tag.SWEEP]: run.data.tags.get(Tag.COST, "params")
        for run in store.sweeps()
    }
    for sweep in sweeps:
        if sweep not in costs:
            costs[sweep] = _cost_without_parent(store, sweep, costs)
    runs = [run for sweep in sweeps for run in store.trials(sweep, only=READ)]
    table = _table_of(
        [run for run in runs if _state(run) in {*STATES.values(), "raced"}]
    )
    table["cost"] = common_cost([costs[sweep] for sweep in sweeps])
    table.loc[front_rows(complete_rows(table), column_of(table)).index, "front"] = True
    return table


def _cost_without_parent(store: Store, sweep: str, others: Collection[str]) -> str:
    """The cost of a sweep whose parent run somebody deleted in MLflow's UI.

    Raises :class:`~paretune.errors.StoreError` if its trials are not there either.
    """
    deleted = store.runs({Tag.KIND: "sweep", Tag.SWEEP: sweep}, deleted=True)
    if store.trials(sweep):
        log.warning(
            (
                "the parent run of sweep %s was deleted; the sweep's own command "
                "brings it back"
            ),
            sweep,
        )
        return deleted[-1].data.tags.get(Tag.COST, "params") if deleted else "params"
    if deleted:
        raise StoreError(
            f"sweep `{sweep}` was deleted from the tracking store `{store.uri}`; "
            "expected one that is there; "
            f"{store.how_to_restore(deleted[-1])}"
        )
    near = get_close_matches(sweep, others, n=1)
    hint = (
        f"did you mean `{near[0]}`?"
        if near
        else f"the store has {', '.join(others) or 'no sweep yet'}"
    )
    raise StoreError(
        f"sweep `{sweep}` is not in the tracking store `{store.uri}`; expected the "
        f"name of a sweep; {hint}"
    )


def common_cost(costs: Iterable[str]) -> str:
    """The cost that all sweeps weigh against F1; parameters if they differ."""
    distinct = set(costs)
    return distinct.pop() if len(distinct) == 1 else "params"


def column_of(table: "DataFrame") -> str:
    """The column of the cost that a table's sweeps weigh against F1."""
    return COST_METRICS.get(next(iter(table["cost"]), "params"), N_PARAMS)


def _table_of(runs: Sequence[Run]) -> "DataFrame":
    from pandas import DataFrame, Series, to_datetime

    def times(name: str) -> "Series[Any]":
        return to_datetime(
            Series([getattr(run.info, name) for run in runs], dtype=float),
            unit="ms",
            utc=True,
        )

    tags, metrics, drawn = (
        [getattr(run.data, name) for run in runs]
        for name in ("tags", "metrics", "params")
    )
    configs = configs_of(tags)
    figures = (*COST_METRICS.values(), *SCORES, IMAGES_PER_S)
    names = dict.fromkeys(name for values in drawn for name in values)
    return DataFrame(
        {
            "sweep": [tag[Tag.SWEEP] for tag in tags],
            "trial": [int(tag[Tag.TRIAL]) for tag in tags],
            "attempt": [int(tag.get(Tag.ATTEMPT, 0)) for tag in tags],
            "state": [_state(run) for run in runs],
            "front": False,
            "family": [tag.get(Tag.FAMILY, "") for tag in tags],
            "model": [_option(run) for run in runs],
            **{
                name: Series([values.get(name, nan) for values in metrics], dtype=float)
                for name in figures
            },
            "seed": [int(config.get("seed", 0)) for config in configs],
            "layers": [tag.get(Tag.LAYERS, "") for tag in tags],
            "data": [tag.get(Tag.DATA, "") for tag in tags],
            "started": times("start_time"),
            "ended": times("end_time"),
            "error": [tag.get(Tag.ERROR, "") for tag in tags],
            "run_id": [run.info.run_id for run in runs],
            **{
                f"param.{name}": [values.get(name, nan) for values in drawn]
                for name in names
            },
            "searched": [_searched(run) for run in runs],
            "config": configs,
            "experiment_id": [run.info.experiment_id for run in runs],
        }
    )


def _searched(run: Run) -> dict[str, str]:
    """What was searched, by the names that the command line takes: MLflow's have no
    plus.
    """
    added = {
        name.lstrip("+"): name for name in run.data.tags.get(Tag.ADDED, "").split()
    }
    return {added.get(name, name): value for name, value in run.data.params.items()}


def _option(run: Run) -> str:
    """The option of the config group ``model`` that a run was made with; of earlier
    versions known only where it was searched.
    """
    return run.data.tags.get(Tag.MODEL) or run.data.params.get("model", "")


def _state(run: Run) -> str:
    return run.data.tags.get(Tag.STATE) or STATES.get(run.info.status, "killed")


def complete_rows(table: "DataFrame") -> "DataFrame":
    """The rows of trials that ended with a score: those that are compared with each
    other.
    """
    return table[(table["state"] == "complete") & (table[VAL_F1].abs() < inf)]


def front_rows(
    table: "DataFrame", cost: str = N_PARAMS, f1: str = VAL_F1
) -> "DataFrame":
    """The rows on the front of these two columns, by rising ``cost``."""
    return table.iloc[front(costs_of(table[cost], table[f1]))]


def records(table: "DataFrame") -> list[dict[str, Any]]:
    """The rows, each by the names of the columns."""
    rows: Any = table.to_dict("records")
    return list(rows)


def points_of(table: "DataFrame", split: str = "val") -> list[Point]:
    """The rows as points, with the scores of ``split`` (no loss of ``test`` is kept); a
    count that a trial has not got is 0.
    """
    whole = table.fillna({N_PARAMS: 0, "best_epoch": -1}).astype(
        {N_PARAMS: int, "best_epoch": int}
    )
    return [_point_of(row, split) for row in records(whole)]


def _point_of(row: Mapping[str, Any], split: str) -> Point:
    return Point(
        costs=_costs_of(row),
        seed=row["seed"],
        family=row["family"],
        data=row["data"],
        config=row["config"],
        f1=row[f"{split}_f1"],
        accuracy=row[f"{split}_accuracy"],
        loss=row["val_loss"] if split == "val" else nan,
        seconds=row["seconds"],
        best_epoch=row["best_epoch"],
        run_id=row["run_id"],
    )


def _costs_of(row: Mapping[str, Any]) -> dict[str, float]:
    """The costs that were counted, by name."""
    costs: dict[str, float] = {}
    for name, cost in COSTS.items():
        if not isnan(row[cost.metric]):
            costs[name] = row[cost.metric]
    return costs


def read_points(store: Store, *sweeps: str) -> list[Point]:
    """The points that the complete trials of these sweeps are."""
    table = read_trials(store, *sweeps)
    return points_of(table[table["state"] == "complete"])


def read_run(store: Store, run_id: str) -> tuple[Point, str]:
    """The point that a trial's run is, and the name of its sweep."""
    table = _table_of([store.run(run_id)])
    return points_of(table)[0], table["sweep"][0]


def read_confirmations(store: Store, *sweeps: str) -> "DataFrame":
    """A row for each finished training of ``paretune confirm`` of trials of these
    sweeps, oldest first.

    Columns: ``confirms`` (the id of the trial's run), ``how`` its training differed in
    words, ``seed``, ``val_f1``, ``test_f1``, ``test_accuracy``, ``seconds`` and
    ``run_id``.
    """
    from pandas import DataFrame

    runs = [
        run
        for sweep in sweeps
        for run in store.confirmations(sweep)
        if run.data.tags.get(Tag.STATE) == "complete"
    ]
    columns: dict[str, list[Any]] = {
        name: [run.data.tags[name] for run in runs] for name in (Tag.CONFIRMS, Tag.HOW)
    }
    columns["seed"] = [int(run.data.tags[Tag.SEED]) for run in runs]
    columns |= {
        name: [run.data.metrics[name] for run in runs]
        for name in (VAL_F1, "test_f1", "test_accuracy", "seconds")
    }
    return DataFrame({**columns, "run_id": [run.info.run_id for run in runs]})


def read_curve(
    store: Store, run_id: str, name: str = VAL_F1
) -> list[tuple[int, float]]:
    """(epoch, value) of a run's curve, by epoch."""
    return store.curve(run_id, f"epoch/{name}")


@contextmanager
def weights_of(store: Store, run_id: str) -> Iterator[Path]:
    """A run's ``weights.pt``, there while the block lasts.

    Raises :class:`~paretune.errors.StoreError` if it is not there. What the block says
    of a copy of the file is said of the run, as the copy is gone by then.
    """
    run = store.run(run_id)
    if path := store.local_file(run, WEIGHTS):
        yield path
        return
    with temporary_folder() as folder:
        path = store.downloaded(run, WEIGHTS, folder)
        try:
            yield path
        except StoreError as error:
            name = f"{WEIGHTS} of run {run_id} in {store.uri}"
            raise StoreError(str(error).replace(str(path), name)) from error
