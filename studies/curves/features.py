"""Configurations as rows of numbers, for the trees that predict their curves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from studies.curves.duration import guess_epoch_s

Floats = NDArray[np.float64]
ABSENT = -1.0  # of a setting that a configuration does not have


@dataclass(frozen=True)
class Configured:
    """The searched settings of a configuration, and what it costs."""

    settings: Mapping[str, Any]
    costs: Mapping[str, int]


@dataclass(frozen=True)
class Features:
    """The columns that some configurations need: the ``numbers`` among their settings,
    and a column for each value of a setting that is no number (``choices``).
    """

    numbers: Sequence[str]
    choices: Sequence[tuple[str, str]]

    @classmethod
    def of(cls, configured: Sequence[Configured]) -> "Features":
        """Those of these configurations."""
        numbers: set[str] = set()
        choices: set[tuple[str, str]] = set()
        for one in configured:
            for name, value in one.settings.items():
                if _is_number(value):
                    numbers.add(name)
                else:
                    choices.add((name, str(value)))
        return cls(sorted(numbers), sorted(choices))

    def make_rows(self, configured: Sequence[Configured]) -> Floats:
        """The rows ``(N, columns)`` of configurations."""
        return np.array([self._make_row(one) for one in configured], dtype=float)

    def _make_row(self, one: Configured) -> list[float]:
        row: list[float] = []
        for name in self.numbers:
            value = one.settings.get(name)
            row.append(float(value) if _is_number(value) else ABSENT)
        for name, choice in self.choices:
            row.append(float(str(one.settings.get(name, ABSENT)) == choice))
        return row + _weigh(one)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _weigh(one: Configured) -> list[float]:
    """The logarithms of what it costs, of how often a parameter is used, and of how
    long it may take.
    """
    costs = one.costs
    params = log(costs["params"])
    macs = log(max(costs["macs"], 1))
    ram = log(max(costs["ram_bytes"], 1))
    epoch = log(guess_epoch_s(one.settings, costs))
    return [params, macs, ram, macs - params, ram - params, epoch]
