"""Where the first trials of a sweep go: costs spread evenly over all that fit, and the
branch for each.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from paretune.search.cost_axis import CostAxis


@dataclass(frozen=True)
class StartTarget:
    """A place on the way over all costs that fit (``share``, 0 to 1), and the branch,
    by its position, that is to have it; ``others`` have models of that cost, too.
    """

    share: float
    branch: int
    others: Sequence[int] = ()


def spread_targets(
    n_targets: int, whole: CostAxis, branches: Sequence[CostAxis], exponent: float
) -> list[StartTarget]:
    """The first ``n_targets`` targets.

    Every beginning of them is spread evenly over the costs of all branches, and each
    goes to the branch with the fewest so far among those that have models of its cost:
    to the one whose own are farthest away, so that no branch has small models only, or
    large ones. Where all cost the same, or nothing is counted, they take turns.
    """
    taken: list[list[float]] = [[] for _ in branches]
    targets: list[StartTarget] = []
    for number in range(n_targets):
        share = van_der_corput(number + 1)
        cost = whole.cost_at(share, exponent)
        able = _find_able(branches, cost)
        branch = _choose_branch(share, able, taken)
        taken[branch].append(share)
        others = tuple(index for index in able if index != branch)
        targets.append(StartTarget(share, branch, others))
    return targets


def _choose_branch(
    share: float, able: Sequence[int], taken: Sequence[Sequence[float]]
) -> int:
    """The branch with the fewest shares of those ``able``; of several the one whose
    shares are farthest away.
    """
    fewest = min(len(taken[index]) for index in able)
    free = [index for index in able if len(taken[index]) == fewest]
    return max(free, key=lambda index: _find_distance(share, taken[index]))


def _find_distance(share: float, others: Sequence[float]) -> float:
    """That of the nearest of ``others``; the whole way if there is none."""
    return min((abs(share - other) for other in others), default=1.0)


def _find_able(branches: Sequence[CostAxis], cost: float) -> list[int]:
    """The branches that have models of this cost, else the nearest ones."""
    able = [
        index for index, axis in enumerate(branches) if axis.least <= cost <= axis.upper
    ]
    if able:
        return able
    factors = [max(axis.least / cost, cost / max(axis.upper, 1.0)) for axis in branches]
    nearest = min(factors)
    return [index for index, factor in enumerate(factors) if factor == nearest]


def van_der_corput(number: int) -> float:
    """The ``number``-th (from 1) of a sequence in (0, 1) whose every beginning is
    spread evenly: 1/2, 1/4, 3/4, ...

    van der Corput 1935; the one-dimensional Halton sequence in base 2.
    """
    share = 0.0
    digit = 0.5
    while number:
        number, bit = divmod(number, 2)
        share += digit * bit
        digit /= 2
    return share
