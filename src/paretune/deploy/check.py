"""Whether an exported model still says what the network says."""

import numpy as np
from numpy.typing import NDArray

from paretune.errors import ExportError

__all__ = ["LARGEST_DIFFERENCE", "compared"]

LARGEST_DIFFERENCE = 1e-4


def compared(what: str, outputs: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """Largest absolute difference of two sets of logits ``(N, classes)``.

    Raises :class:`~paretune.errors.ExportError` if it is over 1e-4 or any image would get another class.
    """
    difference = float(np.abs(outputs - expected).max()) if outputs.shape == expected.shape else float("inf")
    others = int((outputs.argmax(1) != expected.argmax(1)).sum()) if difference < float("inf") else len(expected)
    if not difference <= LARGEST_DIFFERENCE or others:
        message = (
            f"{what} differs from torch by {difference:.2g} and gives {others} of {len(expected)} images another class; "
            f"expected at most {LARGEST_DIFFERENCE:g} and none; the file is not kept; please report the model's config"
        )
        raise ExportError(message)
    return difference
