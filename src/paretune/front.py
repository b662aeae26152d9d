"""Pareto fronts of two costs, in pure numpy.

Everything here minimises and takes ``costs`` of shape ``(N, 2)``: by convention
(params, 1 - f1). A point dominates another if it is no worse in both costs and better
in one. A row with a NaN takes no part: it is on no front, gets the last rank and adds
no hypervolume.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isnan, nan, sqrt
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from paretune.costs import volume_end_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A model that may be trained, and all that is known of it before.

    ``costs`` are by their names in :data:`paretune.costs.COSTS`; those that could not
    be counted are not in it. ``config`` is all settings of its training.
    """

    costs: Mapping[str, float]
    seed: int = 0
    family: str = ""
    data: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def params(self) -> int:
        """Every trainable scalar."""
        return int(self.costs["params"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Point(Candidate):
    """A trained model as a point of the params-vs-F1 plane.

    ``f1`` (macro) and ``accuracy`` are fractions in [0, 1], ``loss`` is the mean
    cross-entropy in nats, all on the split that the caller scored.
    """

    f1: float
    accuracy: float = nan
    loss: float = nan
    seconds: float = nan
    best_epoch: int = -1
    run_id: str = ""


Floats = NDArray[np.float64]
LEAST_ERROR = 1e-4  # a score of 1 has no logarithm of its error


def costs_of(params: ArrayLike, f1: ArrayLike) -> Floats:
    """Costs ``(N, 2)`` of points given by their parameter counts ``(N,)`` and F1
    ``(N,)``.
    """
    return np.column_stack(
        [np.asarray(params, float), 1.0 - np.asarray(f1, float)]
    ).reshape(-1, 2)


def front(costs: ArrayLike) -> NDArray[np.intp]:
    """Indices of the points that no other dominates, by rising first cost; of equal
    points the earliest only.

    One sort: O(N log N) (Kung, Luccio and Preparata 1975,
    https://doi.org/10.1145/321906.321910).
    """
    rows = _rows(costs)
    known = np.flatnonzero(~np.isnan(rows).any(axis=1))
    order = known[np.lexsort((known, rows[known, 1], rows[known, 0]))]
    second = rows[order, 1]
    best_before = (
        np.minimum.accumulate(np.concatenate([[np.inf], second[:-1]]))
        if order.size
        else second
    )
    # The very first point stays even at an infinite second cost.
    first = np.arange(order.size) == 0
    kept: NDArray[np.intp] = order[(second < best_before) | first]
    return kept


def ranks(costs: ArrayLike) -> NDArray[np.intp]:
    """Non-domination rank ``(N,)`` of each point: 0 on the front, 1 on the front of the
    rest, and so on.

    Equal points share a rank. (Goldberg 1989; the sorting step of NSGA-II,
    https://doi.org/10.1109/4235.996017.)
    """
    rows = _rows(costs)
    known = ~np.isnan(rows).any(axis=1)
    rank = np.zeros(len(rows), dtype=np.intp)
    distinct, inverse = np.unique(rows[known], axis=0, return_inverse=True)
    depth_of = np.zeros(len(distinct), dtype=np.intp)
    left, depth = np.arange(len(distinct)), 0
    while left.size:
        members = front(distinct[left])
        depth_of[left[members]] = depth
        left, depth = np.delete(left, members), depth + 1
    rank[known] = depth_of[inverse.reshape(-1)]
    rank[~known] = depth
    return rank


def hypervolume(costs: ArrayLike, reference: tuple[float, float]) -> float:
    """Area that the points dominate below ``reference``; points not strictly below it
    in both costs add nothing.
    """
    rows = _rows(costs)
    inside = rows[(rows < np.asarray(reference, float)).all(axis=1)]
    stairs = inside[front(inside)]
    if not len(stairs):
        return 0.0
    right = np.append(stairs[1:, 0], reference[0])
    return float(np.sum((right - stairs[:, 0]) * (reference[1] - stairs[:, 1])))


def front_volume(
    values: ArrayLike, f1: ArrayLike, cap: float | None = None, cost: str = "params"
) -> float:
    """The area that points dominate below the cap and an F1 of 0, in decades of ``cost``
    times decades of the error 1 - F1.

    One unit is ten times fewer parameters, say, at a tenth of the error. It grows only,
    trial by trial, and two sweeps under one cap can be compared by it. Points at the
    cap add nothing.
    """
    costs = costs_of(values, f1)
    logs = np.log10(np.maximum(costs, [1.0, LEAST_ERROR]))
    end = cap or volume_end_of(cost)
    return hypervolume(logs, (float(np.log10(end)), 0.0))


def count_effective_images(of_classes: ArrayLike) -> float:
    """The number of images, the same of every class, over which the macro F1 would be
    as uncertain as over these: so many ``of_classes`` (a number for each class).

    The macro F1 is the mean over the classes, so that the rarest one counts for as much
    as any. The classes without an image do not count.
    """
    counts = np.asarray(of_classes, dtype=np.float64)
    counts = counts[counts > 0]
    if not counts.size:
        return 0.0
    return float(counts.size**2 / (1 / counts).sum())


def compute_standard_error(f1: float, n_images: float) -> float:
    """About the standard error of a macro F1 over so many images, of classes of equal
    size, as if each were right with that probability; NaN where their number is not
    known. Of other classes: see :func:`count_effective_images`.

    With two right and two wrong ones more, so that a perfect score on few images is not
    a certain one (Agresti and Coull 1998, https://doi.org/10.2307/2685469).
    """
    if not n_images > 0 or isnan(f1):
        return nan
    n_counted = n_images + 4
    share = (f1 * n_images + 2) / n_counted
    return sqrt(share * (1 - share) / n_counted)


def _rows(costs: ArrayLike) -> Floats:
    return np.asarray(costs, dtype=np.float64).reshape(-1, 2)
