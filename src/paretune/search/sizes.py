"""The whole numbers of configurations that are alike in all else, as rows of an array:
moved together, or raised one after another, until each costs as much as it should.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import IntDistribution

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]  # of configurations, with a column for each whole number
Weigh = Callable[[Rows], Floats]  # the costs (N,) of rows (N, sizes)

BISECTIONS = 12


@dataclass(frozen=True)
class Sizes:
    """The ranges of whole numbers, in the order of the columns of rows."""

    distributions: Mapping[str, IntDistribution]

    @cached_property
    def names(self) -> list[str]:
        """Their names."""
        return list(self.distributions)

    @cached_property
    def lows(self) -> Rows:
        """The lower ends ``(sizes,)``."""
        return self._gather("low")

    @cached_property
    def highs(self) -> Rows:
        """The upper ends ``(sizes,)``."""
        return self._gather("high")

    @cached_property
    def steps(self) -> Rows:
        """The steps from value to value ``(sizes,)``."""
        return self._gather("step")

    @cached_property
    def are_logs(self) -> NDArray[np.bool_]:
        """Which are searched by their logarithms ``(sizes,)``."""
        return self._gather("log").astype(bool)

    def _gather(self, field: str) -> Rows:
        values = [getattr(dist, field) for dist in self.distributions.values()]
        return np.array(values, dtype=np.int64)

    def snap(self, numbers: Floats) -> Rows:
        """The nearest values ``(N, sizes)`` that the ranges hold."""
        counts = np.rint((numbers - self.lows) / self.steps)
        values = self.lows + counts * self.steps
        return np.clip(values, self.lows, self.highs).astype(np.int64)

    def scale(self, values: NDArray[np.generic]) -> Floats:
        """Values ``(..., sizes)`` as they are searched: logarithms where the range
        is.
        """
        numbers = np.asarray(values, dtype=np.float64)
        logs = np.log(np.maximum(numbers, 1.0))
        return np.where(self.are_logs, logs, numbers)

    def unscale(self, numbers: Floats) -> Rows:
        """Values ``(N, sizes)`` of numbers as they are searched."""
        powers = np.exp(np.where(self.are_logs, numbers, 0.0))
        return self.snap(np.where(self.are_logs, powers, numbers))

    def move(self, rows: Rows, positions: Floats) -> Rows:
        """Rows ``(N, sizes)`` moved to ``positions`` ``(N,)``: from the lower ends (0)
        over where they are (1) to the upper ends (2).
        """
        here = self.scale(rows)
        low = self.scale(self.lows)
        high = self.scale(self.highs)
        below = np.minimum(positions, 1.0)
        above = np.maximum(positions - 1.0, 0.0)
        numbers = low + _times_each(here - low, below)
        numbers += _times_each(high - here, above)
        return self.unscale(numbers)


def _times_each(rows: Floats, factors: Floats) -> Floats:
    """Each row times its factor."""
    return rows * factors[:, None]


def _are_equal(rows: Rows, others: Rows) -> NDArray[np.bool_]:
    """Whether each row is that of the others."""
    return np.asarray((rows == others).all(axis=1))


def _choose(is_first: NDArray[np.bool_], first: Rows, second: Rows) -> Rows:
    """Rows of the first where that is so, else of the second."""
    return np.where(is_first[:, None], first, second)


def move_within(sizes: Sizes, rows: Rows, targets: Floats, weigh: Weigh) -> Rows:
    """Rows moved together, each to the largest cost within its target on its way, by
    bisection; to the lower ends, where even these exceed it.
    """
    low = np.zeros(len(rows))
    high = np.full(len(rows), 2.0)
    below = sizes.move(rows, low)
    above = sizes.move(rows, high)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        moved = sizes.move(rows, middle)
        is_within = weigh(moved) <= targets
        is_within &= ~_are_equal(moved, above)  # the upper ends are weighed last
        is_within |= _are_equal(moved, below)
        low = np.where(is_within, middle, low)
        high = np.where(is_within, high, middle)
        below = _choose(is_within, moved, below)
        above = _choose(is_within, above, moved)
    is_within = weigh(above) <= targets
    return _choose(is_within, above, below)


def fill_evenly(
    sizes: Sizes,
    rows: Rows,
    targets: Floats,
    weigh: Weigh,
    rng: np.random.Generator,
) -> Rows:
    """Rows, which are within their targets, raised number after number, each row in a
    random order of its own.

    At first each number goes part of the way to its limit, so that those behind it have
    room, too; then as far as it can.
    """
    filled = rows.copy()
    each = np.arange(len(rows))
    for columns in _order_columns(rows, rng):
        ends = filled.copy()
        ends[each, columns] = find_limits(sizes, filled, columns, targets, weigh)
        parts = rng.random(len(rows))
        low = sizes.scale(filled)
        high = sizes.scale(ends)
        between = sizes.unscale(low + _times_each(high - low, parts))
        between = np.minimum(between, ends)
        filled = np.maximum(filled, between)
    return fill_in_turn(sizes, filled, targets, weigh, rng)


def fill_in_turn(
    sizes: Sizes,
    rows: Rows,
    targets: Floats,
    weigh: Weigh,
    rng: np.random.Generator,
) -> Rows:
    """Rows, which are within their targets, raised number after number as far as it
    goes, each row in a random order of its own: the first has all the room.
    """
    filled = rows.copy()
    each = np.arange(len(rows))
    for columns in _order_columns(rows, rng):
        filled[each, columns] = find_limits(sizes, filled, columns, targets, weigh)
    return filled


def _order_columns(rows: Rows, rng: np.random.Generator) -> Rows:
    """A random order of the columns for each row: its first columns, its second ones,
    ... ``(sizes, N)``.
    """
    orders = np.tile(np.arange(rows.shape[1]), (len(rows), 1))
    return rng.permuted(orders, axis=1).T


def find_limits(
    sizes: Sizes, rows: Rows, columns: Rows, targets: Floats, weigh: Weigh
) -> Rows:
    """The largest value ``(N,)`` in one column of each row with which the row, which is
    within its target, still is, found by bisection.
    """
    each = np.arange(len(rows))
    lows = sizes.lows[columns]
    steps = sizes.steps[columns]

    def fit_at(counts: Rows) -> NDArray[np.bool_]:
        changed = rows.copy()
        changed[each, columns] = lows + counts * steps
        return np.asarray(weigh(changed) <= targets)

    below = (rows[each, columns] - lows) // steps
    above = (sizes.highs[columns] - lows) // steps + 1
    is_top = fit_at(above - 1)
    below = np.where(is_top, above - 1, below)
    while (above - below > 1).any():
        middle = (below + above) // 2
        fits = fit_at(middle)
        below = np.where(fits, middle, below)
        above = np.where(fits, above, middle)
    return np.asarray(lows + below * steps)
