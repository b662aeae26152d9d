"""What a model takes, made from a file of a person's."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Placed:
    """An image ``(C, H, W)`` in [0, 1] as the model takes it, and what was done to the
    picture or the signal to make it.
    """

    name: str
    image: NDArray[np.float32]
    steps: str
