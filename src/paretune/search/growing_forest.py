"""A forest of all that was measured so far, which is seldom grown anew."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from paretune.search.forest import Forest
from paretune.search.observations import Observation

Floats = NDArray[np.float64]
Learn = Callable[[Sequence[Observation]], Forest]
ALL_NEW = 20  # observations up to which the trees are grown at each ask
MORE = 0.05  # as a share of those that the trees were grown from, till they are again


def count_grown(n_observations: int) -> int:
    """From how many of so many observations, the first ones, the trees are grown."""
    if n_observations <= ALL_NEW:
        return n_observations
    grown = ALL_NEW
    while True:
        following = max(grown + 1, int(grown * (1 + MORE)))
        if following > n_observations:
            return grown
        grown = following


@dataclass
class GrowingForest:
    """The trees that were grown last, and the observations that they were grown from.

    What comes of it depends on the observations alone, not on what was asked before.
    """

    forest: Forest | None = None
    learnt: Sequence[Observation] = ()

    def grow(self, seen: Sequence[Observation], learn: Learn) -> tuple[Forest, int]:
        """The trees that ``learn`` grows from the first of those ``seen``, and how many
        these are.
        """
        n_grown = count_grown(len(seen))
        first = seen[:n_grown]
        if self.forest is None or not _are_same(first, self.learnt):
            self.forest = learn(first)
            self.learnt = first
        return self.forest, n_grown


def _are_same(some: Sequence[Observation], others: Sequence[Observation]) -> bool:
    """Whether these are the very same observations."""
    if len(some) != len(others):
        return False
    return all(one is other for one, other in zip(some, others, strict=True))
