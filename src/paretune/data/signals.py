"""Signals: rows of numbers as images of height one, in bytes.

A byte tells 256 values apart, from the least to the largest of the training signals.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BYTE_STEPS = 255


@dataclass(frozen=True)
class ValueRange:
    """The values of signals that become the bytes 0 and 255."""

    low: float
    high: float

    @classmethod
    def of(cls, signals: NDArray[Any]) -> "ValueRange":
        """The range of these signals; of a single value one around it."""
        low, high = float(signals.min()), float(signals.max())
        if low == high:
            return cls(low - 0.5, high + 0.5)
        return cls(low, high)

    def to_bytes(self, signals: NDArray[Any]) -> NDArray[np.uint8]:
        """The signals in bytes; what is outside of the range is at its ends."""
        shares = (signals.astype(np.float64) - self.low) / (self.high - self.low)
        levels: NDArray[np.uint8] = np.rint(shares.clip(0, 1) * BYTE_STEPS).astype(
            np.uint8
        )
        return levels

    def __str__(self) -> str:
        return f"{self.low:.6g} to {self.high:.6g}"


def make_flat(signals: NDArray[Any]) -> NDArray[Any]:
    """Signals ``(N, T)`` or ``(N, C, T)`` as images ``(N, C, 1, T)``."""
    if signals.ndim == 2:
        return signals[:, None, None, :]
    return signals[:, :, None, :]
