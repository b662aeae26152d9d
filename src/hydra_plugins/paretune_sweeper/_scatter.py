"""A plot of costs and scores in characters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from paretune.front import LEAST_ERROR, Floats

LABEL_WIDTH = 6  # characters of a score
AXIS_WIDTH = 2  # a space, and the axis itself
LEAST_COST = 1e-9  # a cost of 0 has no logarithm
LEAST_RANGE = 1e-9  # where all points are one


@dataclass(frozen=True)
class Marks:
    """Points ``(N, 2)`` of (cost, error) that are drawn with one mark."""

    mark: str
    costs: Floats


def plot_scatter(groups: Sequence[Marks], columns: int, height: int) -> list[str]:
    """Lines of a plot of (cost, error) points on logarithmic axes.

    They are ``height`` rows of ``columns`` characters, the axis, its labels. A later
    group of points lies over earlier ones. A score, 1 - error, is written left of its
    row.
    """
    width = columns - LABEL_WIDTH - AXIS_WIDTH
    logs = [_take_logs(group.costs) for group in groups]
    all_points = np.concatenate(logs)
    low = all_points.min(axis=0)
    high = all_points.max(axis=0)
    length = np.maximum(high - low, LEAST_RANGE)

    cells = [[" "] * width for _ in range(height)]
    for group, points in zip(groups, logs, strict=True):
        shares = (points - low) / length
        _draw(cells, group.mark, shares)

    lowest_cost, lowest_error = low
    highest_cost, highest_error = high
    scores = _label_rows(lowest_error, highest_error, height)
    lines = _frame_rows(cells, scores)
    margin = " " * LABEL_WIDTH
    lines.append(f"{margin} └{'─' * width}")
    lines.append(f"{margin}  {_label_columns(lowest_cost, highest_cost, width)}")
    return lines


def _frame_rows(cells: Sequence[Sequence[str]], scores: Mapping[int, str]) -> list[str]:
    """The rows behind their axis, with the scores of those that have one."""
    lines: list[str] = []
    for number, row in enumerate(cells):
        score = scores.get(number, "")
        tick = "│"
        if score:
            tick = "┤"
        lines.append(f"{score:>{LABEL_WIDTH}} {tick}{''.join(row)}")
    return lines


def _take_logs(costs: Floats) -> Floats:
    positive = np.maximum(costs, [LEAST_COST, LEAST_ERROR])
    return np.asarray(np.log10(positive))


def _draw(cells: list[list[str]], mark: str, shares: Floats) -> None:
    """Set the mark at points ``(N, 2)`` of shares of the columns, from the left, and of
    the rows, from above.
    """
    last = (len(cells[0]) - 1, len(cells) - 1)
    for column, row in np.rint(shares * last).astype(int):
        cells[row][column] = mark


def _label_rows(low: float, high: float, height: int) -> dict[int, str]:
    """Scores for the first, the middle and the last row, whose errors have logarithms
    from ``low`` to ``high``.
    """
    levels = np.linspace(low, high, height)
    labels: dict[int, str] = {}
    for row in (0, height // 2, height - 1):
        labels[row] = f"{1 - 10 ** levels[row]:.4f}"
    return labels


def _label_columns(low: float, high: float, width: int) -> str:
    """Costs for the left end, the middle and the right end."""
    left = f"{10**low:,.0f}"
    halfway = (low + high) / 2
    middle = f"{10**halfway:,.0f}"
    right = f"{10**high:,.0f}"
    between = max(0, width - len(left) - len(right))
    return f"{left}{middle:^{between}}{right}"
