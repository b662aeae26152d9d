"""Configurations of all branches of a space as numbers that a surrogate learns from."""

from collections.abc import Mapping
from math import log
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution

from paretune.search.distributions import NumberDistribution, as_number
from paretune.search.space import Space, hydra_key

MIDDLE = 0.5  # of what a condition or another branch leaves out


class Columns:
    """Numbers in [0, 1]: positions in (log) ranges, and a column for each value of a
    choice.

    A setting that several branches have, such as the depth, is one column for all of
    them, over all their ranges together. What a configuration leaves out is in the
    middle.
    """

    def __init__(self, space: Space) -> None:
        self.ranges: dict[str, _Range] = {}
        self.choices: dict[str, list[Any]] = {}
        for name, dist in space.all_distributions().items():
            self._add(hydra_key(name), dist)

    def __len__(self) -> int:
        return len(self.ranges) + sum(map(len, self.choices.values()))

    def _add(self, key: str, dist: BaseDistribution) -> None:
        if isinstance(dist, CategoricalDistribution):
            known = self.choices.setdefault(key, [])
            known.extend(choice for choice in dist.choices if choice not in known)
            return
        number = as_number(dist)
        if key not in self.ranges:
            self.ranges[key] = _Range(number)
        self.ranges[key].widen(number)

    def make_row(self, params: Mapping[str, Any]) -> list[float]:
        """The columns of a configuration."""
        values = {hydra_key(name): value for name, value in params.items()}
        row: list[float] = []
        for key, span in self.ranges.items():
            row.append(span.position(values[key]) if key in values else MIDDLE)
        for key, choices in self.choices.items():
            if key in values:
                row.extend(float(choice == values[key]) for choice in choices)
            else:
                row.extend([MIDDLE] * len(choices))
        return row


class _Range:
    """The range of a number over all branches; logarithmic if it is in each."""

    def __init__(self, dist: NumberDistribution) -> None:
        self.low = float(dist.low)
        self.high = float(dist.high)
        self.is_log = dist.log

    def widen(self, dist: NumberDistribution) -> None:
        """Take in the range of a further branch."""
        self.low = min(self.low, dist.low)
        self.high = max(self.high, dist.high)
        self.is_log = self.is_log and dist.log

    def position(self, value: float) -> float:
        """Where a value is, 0 at the lower end and 1 at the upper."""
        if self.high <= self.low:
            return 0.0
        # In a plain study a task may have asked for another range.
        value = min(max(float(value), self.low), self.high)
        if self.is_log:
            return log(value / self.low) / log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)
