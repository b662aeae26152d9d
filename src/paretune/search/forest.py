"""A line over the size, and a random forest for the rest, that predict the loss of
configurations from those that were measured.

A forest alone is wrong about sizes of which it has seen few: on recorded trainings a
line under it helps, most on digits (`docs/journal/2026-11-30-all-sizes.md`). Forests
are what SMAC has for spaces of many choices and conditions (Hutter, Hoos and
Leyton-Brown 2011, https://doi.org/10.1007/978-3-642-25566-3_40; Breiman 2001,
https://doi.org/10.1023/A:1010933404324).
"""

from collections.abc import Sequence
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
TREES = 40
LEAF_POINTS = 2  # the fewest that a leaf has
SHARE_OF_COLUMNS = 0.4  # that each split chooses among
LEAST_VARIANCE = 1e-4


class Forest:
    """Mean and deviation of a loss anywhere, after it was seen at ``rows`` ``(N, D)``
    with values ``losses`` ``(N,)``. The sizes are in the ``size_column``.

    The deviation is that of what the trees predict. The same points give the same
    forest. Of each node of each of the ``trees``, ``means`` are the mean distances of
    its points from the line, and ``weights`` how many these are.
    """

    def __init__(self, rows: Floats, losses: Floats, *, size_column: int) -> None:
        # It takes half a second to import.
        from sklearn.ensemble import RandomForestRegressor

        forest = RandomForestRegressor(
            n_estimators=TREES,
            min_samples_leaf=LEAF_POINTS,
            max_features=SHARE_OF_COLUMNS,
            random_state=0,
        )
        self.size_column = size_column
        self.line = _fit_line(rows[:, size_column], losses)
        forest.fit(rows, losses - self._follow_line(rows))
        self.trees: Sequence[Any] = [tree.tree_ for tree in forest.estimators_]
        self.means = [tree.value[:, 0, 0].copy() for tree in self.trees]
        self.weights = [tree.weighted_n_node_samples for tree in self.trees]

    def predict(self, rows: Floats) -> tuple[Floats, Floats]:
        """Mean and deviation ``(M,)`` of the loss at ``rows`` ``(M, D)``."""
        leaves = self._find_leaves(rows)
        pairs = zip(self.means, leaves, strict=True)
        predicted = np.array([means[leaf] for means, leaf in pairs])
        variance = np.maximum(predicted.var(axis=0), LEAST_VARIANCE)
        mean = self._follow_line(rows) + predicted.mean(axis=0)
        return mean, np.sqrt(variance)

    def add_points(self, rows: Floats, losses: Floats) -> "Forest":
        """The same line and trees, whose leaves have further points: what they predict
        is the mean distance of all of them from the line.

        Each point counts in each tree as often as a bootstrap would have drawn it (Oza
        and Russell 2001, "Online bagging and boosting").
        """
        distances = losses - self._follow_line(rows)
        counts = np.random.default_rng(0).poisson(1.0, (len(rows), TREES))
        grown = copy(self)
        grown.means = []
        grown.weights = []
        for tree, leaves in enumerate(self._find_leaves(rows)):
            means = self.means[tree]
            own = counts[:, tree]
            added = np.bincount(leaves, own, len(means))
            sums = np.bincount(leaves, own * distances, len(means))
            weights = self.weights[tree] + added
            grown.means.append((means * self.weights[tree] + sums) / weights)
            grown.weights.append(weights)
        return grown

    def _follow_line(self, rows: Floats) -> Floats:
        """What the sizes of ``rows`` alone let expect ``(M,)``."""
        slope, intercept = self.line
        return intercept + slope * rows[:, self.size_column]

    def _find_leaves(self, rows: Floats) -> list[NDArray[np.intp]]:
        """The leaf of each tree that each of the rows is in."""
        narrow = rows.astype(np.float32)
        return [tree.apply(narrow) for tree in self.trees]


def _fit_line(sizes: Floats, losses: Floats) -> tuple[float, float]:
    """The slope and the intercept of a least-squares line; level if there is one
    size.
    """
    if np.ptp(sizes) == 0:
        return 0.0, float(losses.mean())
    slope, intercept = np.polyfit(sizes, losses, 1)
    return float(slope), float(intercept)
