"""A random forest that predicts the loss of configurations from those that were
measured.

Forests are what SMAC has for spaces of many choices and conditions (Hutter, Hoos and
Leyton-Brown 2011, https://doi.org/10.1007/978-3-642-25566-3_40; Breiman 2001,
https://doi.org/10.1023/A:1010933404324).
"""

from collections.abc import Sequence
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
    forest.
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
        self._trees: Sequence[Any] = [tree.tree_ for tree in forest.estimators_]
        # Of each node of each tree the mean of its points, and how many these are.
        self._means = [tree.value[:, 0, 0].copy() for tree in self._trees]
        self._weights = [tree.weighted_n_node_samples for tree in self._trees]

    def predict(self, rows: Floats) -> tuple[Floats, Floats]:
        """Mean and deviation ``(M,)`` of the loss at ``rows`` ``(M, D)``."""
        leaves = self._find_leaves(rows)
        pairs = zip(self._means, leaves, strict=True)
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
        grown = object.__new__(Forest)
        grown._trees = self._trees
        grown._means = []
        grown._weights = []
        for tree, leaves in enumerate(self._find_leaves(rows)):
            means = self._means[tree]
            own = counts[:, tree]
            added = np.bincount(leaves, own, len(means))
            sums = np.bincount(leaves, own * losses, len(means))
            weights = self._weights[tree] + added
            grown._means.append((means * self._weights[tree] + sums) / weights)
            grown._weights.append(weights)
        return grown

    def _find_leaves(self, rows: Floats) -> list[NDArray[np.intp]]:
        """The leaf of each tree that each of the rows is in."""
        narrow = rows.astype(np.float32)
        return [tree.apply(narrow) for tree in self._trees]
