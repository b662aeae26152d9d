"""A study of anybody's as the results that reports show."""

from collections.abc import Mapping, Sequence
from math import isfinite, nan
from typing import TYPE_CHECKING, Any

from pandas import DataFrame, Series, to_datetime

from paretune.errors import StoreError
from paretune.reports.findings import SweepResults
from paretune.reports.objectives import (
    COST_COLUMN,
    SCORE_COLUMN,
    Roles,
    build_objectives,
    choose_roles,
)
from paretune.reports.query import Query
from paretune.tracking.trial_table import complete_rows

if TYPE_CHECKING:
    from paretune.search.stored_study import StoredStudy, StoredTrial

NO_FAMILY = "trials"  # the family of all trials of a study
NOT_FINITE = "not finite"  # the state of a trial with an infinite value


def build_study_results(study: "StoredStudy", cost: str | None = None) -> SweepResults:
    """The results of a study of a cost and a score; ``cost`` names the one of two that
    are minimised which is the cost.

    The table has the columns ``sweep`` (the study's name), ``trial``, ``state``,
    ``front``, ``family`` (the same of all), ``cost_value``, ``score_value``,
    ``started``, ``ended``, ``seconds``, ``error``, ``run_id`` (the trial's number),
    ``params`` (the values drawn), and ``searched``, the same as text. Raises
    :class:`~paretune.errors.ConfigError` for other objectives, and
    :class:`~paretune.errors.StoreError` without a complete trial.
    """
    roles = choose_roles(study.name, study.directions, study.metric_names, cost)
    table = _build_table(study, roles)
    complete = complete_rows(table, SCORE_COLUMN)
    if complete.empty:
        raise StoreError(_describe_missing(study))
    objectives = build_objectives(
        roles,
        complete[COST_COLUMN],
        complete[SCORE_COLUMN],
        study.directions[roles.score],
    )
    results = SweepResults(
        [study.name],
        Query(),
        table,
        DataFrame(columns=["run_id", "seeds"]),
        cost=COST_COLUMN,
        objectives=objectives,
    )
    table.loc[results.members.index, "front"] = True
    return results


def _describe_missing(study: "StoredStudy") -> str:
    ends = Series([str(trial.end) for trial in study.trials], dtype=str)
    counts = [f"{count:,} {end}" for end, count in ends.value_counts().items()]
    return (
        f"study `{study.name}` has no complete trial "
        f"({', '.join(counts) or 'no trial at all'}); let it run on"
    )


def _build_table(study: "StoredStudy", roles: Roles) -> DataFrame:
    trials = study.trials
    table = DataFrame(
        {
            "sweep": study.name,
            "trial": [trial.number for trial in trials],
            "state": [_state_of(trial) for trial in trials],
            "front": False,
            "family": NO_FAMILY,
            COST_COLUMN: _values_of(trials, roles.cost),
            SCORE_COLUMN: _values_of(trials, roles.score),
            "started": _times_of([trial.started for trial in trials]),
            "ended": _times_of([trial.ended for trial in trials]),
            "error": [trial.error for trial in trials],
            "run_id": [str(trial.number) for trial in trials],
            "params": [dict(trial.params) for trial in trials],
            "searched": [_format_params(trial.params) for trial in trials],
        }
    )
    table["seconds"] = (table["ended"] - table["started"]).dt.total_seconds()
    return table


def _state_of(trial: "StoredTrial") -> str:
    if trial.end == "complete" and not _is_finite(trial):
        return NOT_FINITE
    return str(trial.end)


def _is_finite(trial: "StoredTrial") -> bool:
    return all(map(isfinite, trial.values))


def _values_of(trials: "Sequence[StoredTrial]", place: int) -> list[float]:
    """The values of one objective; NaN where a trial has none, or an infinite one."""
    values: list[float] = []
    for trial in trials:
        is_known = bool(trial.values) and _is_finite(trial)
        values.append(trial.values[place] if is_known else nan)
    return values


def _times_of(times: Sequence[Any]) -> "Series[Any]":
    return to_datetime(Series(times, dtype=object), utc=True)


def _format_params(params: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in params.items()}
