"""Configurations of all branches of a space as numbers that a surrogate learns from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution

from paretune.search.distributions import NumberDistribution, as_number
from paretune.search.space import Space, hydra_key

Floats = NDArray[np.float64]
MIDDLE = 0.5  # of what a condition or another branch leaves out
LEFT_OUT = -1  # the number of a choice that a configuration does not have
OUTSIDE = -2  # that of one of a plain study, which the space does not know


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
        # Of parameters, by their names.
        self._keys_of_numbers: dict[str, str] = {}
        self._keys_of_choices: dict[str, str] = {}
        for name, dist in space.all_distributions().items():
            self._add(name, hydra_key(name), dist)

    def __len__(self) -> int:
        return len(self.ranges) + sum(map(len, self.choices.values()))

    def _add(self, name: str, key: str, dist: BaseDistribution) -> None:
        if isinstance(dist, CategoricalDistribution):
            self._keys_of_choices[name] = key
            known = self.choices.setdefault(key, [])
            known.extend(choice for choice in dist.choices if choice not in known)
            return
        number = as_number(dist)
        self._keys_of_numbers[name] = key
        if key not in self.ranges:
            self.ranges[key] = _Range(number)
        self.ranges[key].widen(number)

    def make_row(self, params: Mapping[str, Any]) -> list[float]:
        """The columns of a configuration."""
        row: list[float] = self.make_rows([params])[0].tolist()
        return row

    def make_rows(self, configurations: Sequence[Mapping[str, Any]]) -> Floats:
        """Those ``(N, columns)`` of several, in much less time than one by one."""
        numbers = np.full((len(configurations), len(self.ranges)), np.nan)
        codes = np.full((len(configurations), len(self.choices)), LEFT_OUT)
        ranges = self._places_of_ranges
        choices = self._places_of_choices
        for index, params in enumerate(configurations):
            for name, value in params.items():
                if name in ranges:
                    numbers[index, ranges[name]] = value
                elif name in choices:
                    place = choices[name]
                    codes[index, place.column] = place.codes.get(value, OUTSIDE)
        return np.hstack([self._find_positions(numbers), self._tell_choices(codes)])

    @cached_property
    def _places_of_ranges(self) -> dict[str, int]:
        """Which column of numbers a parameter has, by its name."""
        places = {key: place for place, key in enumerate(self.ranges)}
        return {name: places[key] for name, key in self._keys_of_numbers.items()}

    @cached_property
    def _places_of_choices(self) -> "dict[str, _Place]":
        """Where a parameter is among the choices, by its name."""
        places: dict[str, _Place] = {}
        for column, (key, values) in enumerate(self.choices.items()):
            codes = {value: code for code, value in enumerate(values)}
            places[key] = _Place(column, codes)
        return {name: places[key] for name, key in self._keys_of_choices.items()}

    def _find_positions(self, numbers: Floats) -> Floats:
        """Where numbers ``(N, ranges)`` are, 0 at the lower end and 1 at the upper."""
        positions = np.empty_like(numbers)
        for column, span in enumerate(self.ranges.values()):
            positions[:, column] = span.find_positions(numbers[:, column])
        return np.where(np.isnan(numbers), MIDDLE, positions)

    def _tell_choices(self, codes: NDArray[np.int64]) -> Floats:
        """A column for each value of each choice, of their numbers ``(N, choices)``."""
        places = [
            place for place, values in enumerate(self.choices.values()) for _ in values
        ]
        own_codes = [
            code for values in self.choices.values() for code in range(len(values))
        ]
        of_columns = codes[:, np.array(places, dtype=np.int64)]
        is_chosen = of_columns == np.array(own_codes, dtype=np.int64)
        return np.where(of_columns == LEFT_OUT, MIDDLE, is_chosen)


@dataclass(frozen=True)
class _Place:
    """The column of a choice, and the numbers of its values."""

    column: int
    codes: Mapping[Any, int]


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

    def find_positions(self, numbers: Floats) -> Floats:
        """Where numbers ``(N,)`` are, from 0 to 1; those of one value at 0."""
        if self.low == self.high:
            return np.zeros(len(numbers))
        # In a plain study a task may have asked for another range.
        inside = np.clip(numbers, self.low, self.high)
        if self.is_log:
            return np.asarray(np.log(inside / self.low) / np.log(self.high / self.low))
        return (inside - self.low) / (self.high - self.low)
