"""A random forest that predicts the loss of configurations from those that were
measured.

Forests are what SMAC has for spaces of many choices and conditions (Hutter, Hoos and
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
LEAF_POINTS = 3  # the fewest that a leaf has
SHARE_OF_COLUMNS = 0.6  # that each split chooses among
LEAST_VARIANCE = 1e-4


class Forest:
    """Mean and deviation of a loss anywhere, after it was seen at ``rows`` ``(N, D)``
    with values ``losses`` ``(N,)``.

    The deviation is that of what the trees predict. The same points give the same
    forest. Of each node of each of the ``trees``, ``means`` are the mean losses of its
    points, and ``weights`` how many these are.
    """

    def __init__(self, rows: Floats, losses: Floats) -> None:
        # It takes half a second to import.
        from sklearn.ensemble import RandomForestRegressor

        forest = RandomForestRegressor(
            n_estimators=TREES,
            min_samples_leaf=LEAF_POINTS,
            max_features=SHARE_OF_COLUMNS,
            random_state=0,
        )
        forest.fit(rows, losses)
        self.trees: Sequence[Any] = [tree.tree_ for tree in forest.estimators_]
        self.means = [tree.value[:, 0, 0].copy() for tree in self.trees]
        self.weights = [tree.weighted_n_node_samples for tree in self.trees]

    def predict(self, rows: Floats) -> tuple[Floats, Floats]:
        """Mean and deviation ``(M,)`` of the loss at ``rows`` ``(M, D)``."""
        leaves = self._find_leaves(rows)
        pairs = zip(self.means, leaves, strict=True)
        predicted = np.array([means[leaf] for means, leaf in pairs])
        variance = np.maximum(predicted.var(axis=0), LEAST_VARIANCE)
        return predicted.mean(axis=0), np.sqrt(variance)

    def add_points(self, rows: Floats, losses: Floats) -> "Forest":
        """The same trees, whose leaves have further points: what they predict is the
        mean of all of them.

        Each point counts in each tree as often as a bootstrap would have drawn it (Oza
        and Russell 2001, "Online bagging and boosting").
        """
        counts = np.random.default_rng(0).poisson(1.0, (len(rows), TREES))
        grown = copy(self)
        grown.means = []
        grown.weights = []
        for tree, leaves in enumerate(self._find_leaves(rows)):
            means = self.means[tree]
            own = counts[:, tree]
            added = np.bincount(leaves, own, len(means))
            sums = np.bincount(leaves, own * losses, len(means))
            weights = self.weights[tree] + added
            grown.means.append((means * self.weights[tree] + sums) / weights)
            grown.weights.append(weights)
        return grown

    def _find_leaves(self, rows: Floats) -> list[NDArray[np.intp]]:
        """The leaf of each tree that each of the rows is in."""
        narrow = rows.astype(np.float32)
        return [tree.apply(narrow) for tree in self.trees]
