"""Rows of trials as points."""

from collections.abc import Mapping
from math import isnan, nan
from typing import TYPE_CHECKING, Any

from paretune.costs import COSTS
from paretune.front import Point
from paretune.tracking.schema import BEST_EPOCH, N_PARAMS, SECONDS, Split
from paretune.tracking.trial_table import records

if TYPE_CHECKING:
    from pandas import DataFrame


def points_of(table: "DataFrame", split: Split = Split.VALIDATION) -> list[Point]:
    """The rows as points, with the scores of ``split`` (no loss on the test set is
    kept); a trial whose parameters were not counted has 0.
    """
    whole = table.fillna({N_PARAMS: 0, BEST_EPOCH: -1})
    whole = whole.astype({N_PARAMS: int, BEST_EPOCH: int})
    return [_point_of(row, split) for row in records(whole)]


def _point_of(row: Mapping[str, Any], split: Split) -> Point:
    loss = nan
    if split is Split.VALIDATION:
        loss = row[split.loss]
    return Point(
        costs=_costs_of(row),
        seed=row["seed"],
        family=row["family"],
        data=row["data"],
        config=row["config"],
        f1=row[split.f1],
        accuracy=row[split.accuracy],
        loss=loss,
        seconds=row[SECONDS],
        best_epoch=row[BEST_EPOCH],
        run_id=row["run_id"],
    )


def _costs_of(row: Mapping[str, Any]) -> dict[str, float]:
    """The costs that were counted, by name."""
    costs: dict[str, float] = {}
    for name, cost in COSTS.items():
        if not isnan(row[cost.metric]):
            costs[name] = row[cost.metric]
    return costs
