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
        self.trees: Sequence[Any] = forest.estimators_

    def predict(self, rows: Floats) -> tuple[Floats, Floats]:
        """Mean and deviation ``(M,)`` of the loss at ``rows`` ``(M, D)``."""
        narrow = rows.astype(np.float32)
        predicted = np.array(
            [tree.predict(narrow, check_input=False) for tree in self.trees]
        )
        variance = np.maximum(predicted.var(axis=0), LEAST_VARIANCE)
        return predicted.mean(axis=0), np.sqrt(variance)
