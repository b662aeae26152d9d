"""Between which costs the configurations lie that fit, so that a person sees before the
first trial what the caps leave.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from paretune.search.costs import Configuration
from paretune.search.feasible_space import FeasibleSpace

SHARES = np.linspace(0.0, 1.0, 8)  # of the way over a branch's costs: a draw at each


@dataclass(frozen=True)
class CostRange:
    """The least and the largest of a cost that was found."""

    unit: str
    least: int
    most: int

    def __str__(self) -> str:
        if self.least == self.most:
            return f"{self.most:,} {self.unit}"
        return f"{self.least:,} to {self.most:,} {self.unit}"


def find_ranges(feasible: FeasibleSpace) -> list[CostRange]:
    """The range of each cost that is counted, over some draws of every branch that fit:
    the objective first.
    """
    if feasible.costs is None:
        return []
    counts: dict[str, list[int]] = {}
    for params in _draw_fitting(feasible):
        counted = feasible.costs.count(params)
        if not isinstance(counted, Mapping):
            counted = {feasible.caps.axis: counted}
        for name, cost in counted.items():
            largest = max(cost) if isinstance(cost, Sequence) else cost
            counts.setdefault(name, []).append(largest)

    axis = feasible.caps.axis
    names = sorted(counts, key=lambda name: name != axis)
    return [
        CostRange(feasible.caps.unit(name), min(counts[name]), max(counts[name]))
        for name in names
    ]


def _draw_fitting(feasible: FeasibleSpace) -> Iterator[Configuration]:
    """The smallest configuration of each branch, and draws at all shares of its
    costs.
    """
    rng = np.random.default_rng(0)
    for choice in feasible.branches:
        yield feasible.smallest_of(choice)
        for share in SHARES:
            params = feasible.draw_at_share(rng, float(share), choice)
            if feasible.verify_fits(params):
                yield params
