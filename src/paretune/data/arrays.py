"""Labelled images as numpy has them, before torch is needed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Arrays:
    """Pixels uint8 ``(N, C, H, W)`` and their labels int64 ``(N,)``."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)
