"""Moving the whole numbers of a configuration together, so that it costs as much as it
should.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import exp, log

from optuna.distributions import IntDistribution

from paretune.search.costs import Params
from paretune.search.distributions import snap_to_grid

BISECTIONS = 12
LOWER_ENDS = 0.0  # the positions of a mover
UPPER_ENDS = 2.0


@dataclass(frozen=True)
class _Track:
    """The way of one whole number through its range; its ends and where it is are
    logarithms where its range is.
    """

    dist: IntDistribution
    low: float
    value: float
    high: float

    def at(self, position: float) -> int:
        """The number at a position from 0 to 2."""
        if position <= 1:
            number = self.low + (self.value - self.low) * position
        else:
            number = self.value + (self.high - self.value) * (position - 1)
        if self.dist.log:
            number = exp(number)
        return int(snap_to_grid(number, self.dist))


class Mover:
    """Moves the whole numbers ``ints`` of ``params`` together.

    From the lower ends of their ranges (position 0) over where they are (1) to the
    upper ends (2).
    """

    def __init__(self, params: Params, ints: Mapping[str, IntDistribution]) -> None:
        self.params = params
        self._tracks: dict[str, _Track] = {}
        for name, dist in ints.items():
            value = params[name]
            self._tracks[name] = _make_track(dist, value)

    def at(self, position: float) -> Params:
        """The configuration at a position from 0 to 2."""
        moved = dict(self.params)
        for name, track in self._tracks.items():
            moved[name] = track.at(position)
        return moved


def _make_track(dist: IntDistribution, value: int) -> _Track:
    scale: Callable[[float], float] = float
    if dist.log:
        scale = log
    low = scale(dist.low)
    high = scale(dist.high)
    return _Track(dist, low, scale(value), high)


def find_largest(
    mover: Mover, target: float, cost: Callable[[Params], float]
) -> Params:
    """The configuration of the largest cost within ``target`` on the way of ``mover``,
    by bisection.

    Its lower ends, where even these exceed the target.
    """
    below = mover.at(LOWER_ENDS)
    above = mover.at(UPPER_ENDS)
    low = LOWER_ENDS
    high = UPPER_ENDS
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        moved = mover.at(middle)
        if moved == below or (moved != above and cost(moved) <= target):
            low = middle
            below = moved
        else:
            high = middle
            above = moved
    if cost(above) <= target:
        return above
    return below
