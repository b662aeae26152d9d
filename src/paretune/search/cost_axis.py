"""Costs as shares of the way from the smallest to the largest."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, expm1, log, log1p

import numpy as np
from numpy.typing import NDArray

DIGITS = 6  # of a cost at a share, so that it is the cap itself at 1


@dataclass(frozen=True)
class CostAxis:
    """The way from the ``least`` cost that counts (above 0) to the largest that fits,
    ``upper``.

    The way is measured in cost to the power of ``exponent``: with 1 every parameter is
    as long as any other, with 0, the logarithm, every decade (Box and Cox 1964,
    https://doi.org/10.1111/j.2517-6161.1964.tb00553.x).
    """

    least: float
    upper: float

    @property
    def length(self) -> float:
        """The length of the way, in logarithms."""
        upper = max(self.upper, 1.0)
        return log(upper / self.least)

    def cost_at(self, share: float, exponent: float = 0.0) -> float:
        """The cost at ``share`` (0 to 1) of the way."""
        if exponent:
            whole = expm1(exponent * self.length)
            part = log1p(share * whole) / exponent
        else:
            part = share * self.length
        return round(self.least * exp(part), DIGITS)

    def shares_of(
        self, costs: Sequence[float] | NDArray[np.float64], exponent: float = 0.0
    ) -> NDArray[np.float64]:
        """The shares ``(N,)`` of the way at which ``costs`` are; 0 for what is cheaper
        than the least that counts.
        """
        counted = np.maximum(np.asarray(costs, dtype=np.float64), self.least)
        parts = np.log(counted / self.least)
        length = self.length or 1.0  # where every model costs the same
        if not exponent:
            return np.asarray(parts / length)
        whole = expm1(exponent * length)
        return np.asarray(np.expm1(exponent * parts) / whole)
