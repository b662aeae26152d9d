"""Trials as a table, a row each."""

from collections.abc import Iterable, Mapping, Sequence
from math import inf, nan
from typing import TYPE_CHECKING, Any

from paretune.front import compute_standard_error, costs_of, front
from paretune.tracking.config_tags import configs_of
from paretune.tracking.entities import Part, Run
from paretune.tracking.schema import (
    COST_METRICS,
    IMAGES_PER_S,
    N_PARAMS,
    SCORES,
    VAL_EFFECTIVE,
    VAL_F1,
    VAL_F1_SE,
    VAL_IMAGES,
    State,
    Status,
    Tag,
    find_cost_metric,
)

if TYPE_CHECKING:
    from pandas import DataFrame, Series

FIGURES = (*COST_METRICS.values(), *SCORES, IMAGES_PER_S, VAL_IMAGES, VAL_EFFECTIVE)
TRIAL_PART = Part(
    (
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
        *FIGURES,
    ),
    config=True,
    searched=True,
)
# Of runs that have no tag of their state.
STATE_OF_STATUS = {
    Status.FINISHED.value: State.COMPLETE.value,
    Status.FAILED.value: State.FAILED.value,
    Status.RUNNING.value: State.RUNNING.value,
}


def state_of(run: Run) -> str:
    """The :class:`~paretune.tracking.schema.State` of a trial."""
    state = run.tags.get(Tag.STATE)
    return state or STATE_OF_STATUS.get(run.info.status, State.KILLED.value)


def build_table(runs: Sequence[Run]) -> "DataFrame":
    """The table of the trials that these runs are.

    Its columns are those of :func:`paretune.pareto.trials`, ``searched`` and ``config``
    (dicts), ``layers`` and ``experiment_id``; nobody is on the ``front``.
    """
    from pandas import DataFrame

    configs = configs_of(run.tags for run in runs)
    return DataFrame(
        {
            "sweep": [run.tags[Tag.SWEEP] for run in runs],
            "trial": [int(run.tags[Tag.TRIAL]) for run in runs],
            "attempt": [int(run.tags.get(Tag.ATTEMPT, 0)) for run in runs],
            "state": [state_of(run) for run in runs],
            "front": False,
            "family": _tag_of_each(runs, Tag.FAMILY),
            "model": [_option_of(run) for run in runs],
            **_with_standard_errors(_figures_of(runs)),
            "seed": [int(config.get("seed", 0)) for config in configs],
            "layers": _tag_of_each(runs, Tag.LAYERS),
            "data": _tag_of_each(runs, Tag.DATA),
            "started": _times_of([run.info.start_time for run in runs]),
            "ended": _times_of([run.info.end_time for run in runs]),
            "error": _tag_of_each(runs, Tag.ERROR),
            "run_id": [run.run_id for run in runs],
            **_params_of(runs),
            "searched": [_searched_in(run) for run in runs],
            "config": configs,
            "experiment_id": [run.info.experiment_id for run in runs],
        }
    )


def _with_standard_errors(
    figures: Mapping[str, "Series[Any]"],
) -> dict[str, "Series[Any] | list[float]"]:
    """The figures, and the standard error of each validation F1."""
    # An earlier version counted the images alone.
    effective = figures[VAL_EFFECTIVE].fillna(figures[VAL_IMAGES])
    scored = zip(figures[VAL_F1], effective, strict=True)
    errors = [compute_standard_error(f1, images) for f1, images in scored]
    return {**figures, VAL_EFFECTIVE: effective, VAL_F1_SE: errors}


def _tag_of_each(runs: Sequence[Run], name: str) -> list[str]:
    return [run.tags.get(name, "") for run in runs]


def _figures_of(runs: Sequence[Run]) -> "dict[str, Series[Any]]":
    from pandas import Series

    columns: dict[str, Series[Any]] = {}
    for name in FIGURES:
        values = [run.data.metrics.get(name, nan) for run in runs]
        columns[name] = Series(values, dtype=float)
    return columns


def _times_of(times_ms: list[int | None]) -> "Series[Any]":
    from pandas import Series, to_datetime

    numbers: Series[Any] = Series(times_ms, dtype=float)
    return to_datetime(numbers, unit="ms", utc=True)


def _params_of(runs: Sequence[Run]) -> dict[str, list[Any]]:
    """A column ``param.NAME`` for each parameter that was searched."""
    columns: dict[str, list[Any]] = {}
    for run in runs:
        for name in run.data.params:
            columns.setdefault(f"param.{name}", [])
    for column, values in columns.items():
        name = column.removeprefix("param.")
        values += [run.data.params.get(name, nan) for run in runs]
    return columns


def _searched_in(run: Run) -> dict[str, str]:
    """The values that were searched, by the names that the command line takes: MLflow's
    have no plus.
    """
    added: dict[str, str] = {}
    for name in run.tags.get(Tag.ADDED, "").split():
        added[name.lstrip("+")] = name
    return {added.get(name, name): value for name, value in run.data.params.items()}


def _option_of(run: Run) -> str:
    """The option of the config group ``model`` that a run was made with; of earlier
    versions known only where it was searched.
    """
    return run.tags.get(Tag.MODEL) or run.data.params.get("model", "")


def common_cost(costs: Iterable[str]) -> str:
    """The cost that all sweeps weigh against F1; parameters if they differ."""
    distinct = set(costs)
    if len(distinct) == 1:
        return distinct.pop()
    return "params"


def column_of(table: "DataFrame") -> str:
    """The column of the cost that a table's sweeps weigh against F1."""
    cost = next(iter(table["cost"]), "params")
    return find_cost_metric(cost)


def complete_rows(table: "DataFrame", score: str = VAL_F1) -> "DataFrame":
    """The rows of trials that ended with a ``score``: those that are compared with each
    other.
    """
    is_complete = table["state"] == State.COMPLETE
    return table[is_complete & (table[score].abs() < inf)]


def front_rows(
    table: "DataFrame", cost: str = N_PARAMS, f1: str = VAL_F1
) -> "DataFrame":
    """The rows on the front of these two columns, by rising ``cost``."""
    return table.iloc[front(costs_of(table[cost], table[f1]))]


def records(table: "DataFrame") -> list[dict[str, Any]]:
    """The rows, each by the names of the columns."""
    rows: Any = table.to_dict("records")
    return list(rows)
