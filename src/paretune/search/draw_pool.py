"""Feasible draws that several asks share: they need no measurement, and take longer to
make than all else that an ask does.
"""

from collections.abc import Sequence

import numpy as np

from paretune.search.costs import Configuration
from paretune.search.feasible_space import FeasibleSpace

EVERY = 4  # trials in a row that have the same draws
BATCHES = 4  # that an ask has: its own, and those of the trials before
N_DRAWS = 32  # of a batch, over all branches
ATTEMPTS = 1  # at the cost of a draw; it need not be met
KEPT = 16  # batches that are kept


class DrawPool:
    """Draws spread over all costs and branches.

    They derive from (``seed``, trial number, branch), so that every process has the
    same.
    """

    def __init__(self, feasible: FeasibleSpace, exponent: float, seed: int) -> None:
        self.feasible = feasible
        self.exponent = exponent
        self.seed = seed
        self._batches: dict[int, list[list[Configuration]]] = {}

    def list_draws(
        self, number: int, branches: Sequence[Configuration]
    ) -> list[Configuration]:
        """Those of ``branches`` for the trial of this number."""
        last = number // EVERY
        first = max(0, last - BATCHES + 1)
        draws: list[Configuration] = []
        for batch in range(first, last + 1):
            by_branch = zip(self.feasible.branches, self._batch(batch), strict=True)
            for choice, drawn in by_branch:
                if choice in branches:
                    draws += drawn
        return draws

    def _batch(self, batch: int) -> list[list[Configuration]]:
        """The draws of a batch, for each branch."""
        if batch not in self._batches:
            if len(self._batches) >= KEPT:
                del self._batches[min(self._batches)]
            n_branches = len(self.feasible.branches)
            drawn = [self._draw(batch, index) for index in range(n_branches)]
            self._batches[batch] = drawn
        return self._batches[batch]

    def _draw(self, batch: int, index: int) -> list[Configuration]:
        rng = np.random.default_rng([self.seed, batch, index])
        choice = self.feasible.branches[index]
        shares = rng.random(-(-N_DRAWS // len(self.feasible.branches))).tolist()
        drawn = self.feasible.draw_at_shares(
            rng, shares, choice, self.exponent, ATTEMPTS
        )
        return self.feasible.keep_fitting(drawn)
