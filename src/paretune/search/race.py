"""Racing: whether a curve that is at a rung may still reach the front.

Asynchronous successive halving (Li et al. 2020, https://arxiv.org/abs/1810.05934) with two objectives, as in Schmucker et
al. 2021, "Multi-objective asynchronous successive halving" (https://arxiv.org/abs/2106.12639): at a rung, trials are
ranked by non-dominated sorting of what they cost and what they scored there, and nobody waits for anybody.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from paretune.errors import ConfigError
from paretune.front import ranks

__all__ = ["Race", "stays"]


@dataclass(frozen=True)
class Race:
    """When trials are compared, and how many may stay.

    Rungs are at ``min_epochs``, ``min_epochs * eta``, ... (``rungs`` of them); at each, trials of the best 1/``eta`` stay,
    and those whose error is at most the share ``margin`` above the lowest one that costs no more.
    """

    eta: int = 4
    rungs: int = 2
    min_epochs: int = 1
    margin: float = 0.15

    def __post_init__(self) -> None:
        if self.eta < 2 or self.rungs < 1 or self.min_epochs < 1 or self.margin < 0:
            message = (
                f"race `eta={self.eta}, rungs={self.rungs}, min_epochs={self.min_epochs}, margin={self.margin}` compares "
                f"nothing; expected eta of at least 2, rungs and min_epochs of at least 1, margin of at least 0; set "
                f"hydra.sweeper.race"
            )
            raise ConfigError(message)

    def epochs(self) -> Sequence[int]:
        """The epochs of the rungs."""
        return [self.min_epochs * self.eta**rung for rung in range(self.rungs)]


def stays(costs: ArrayLike, mine: int, race: Race) -> bool:
    """Whether the trial in row ``mine`` of (cost, error) ``costs`` ``(N, 2)`` at a rung goes on.

    It does if fewer than N / ``eta`` trials have a lower non-domination rank. So whoever is on the front of the rung goes
    on, however many they are, and the first ones to arrive have little to fear. The ``margin`` is for trials that are close
    to the front where the front is crowded: their rank is poor, and an epoch later they may be on it.
    """
    rows = np.asarray(costs, dtype=float)
    rank = ranks(rows)
    if int((rank < rank[mine]).sum()) < len(rank) / race.eta:
        return True
    no_larger = rows[:, 0] <= rows[mine, 0]
    return bool(rows[mine, 1] <= rows[no_larger, 1].min() * (1 + race.margin))
