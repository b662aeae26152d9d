"""Signals: rows of numbers as images of height one, in bytes.

A byte tells 256 values apart, over the range of the signals of its channel.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BYTE_STEPS = 255
# Shares of the values that lie below a range and above it: a single spike would take
# all steps.
OUTSIDE = (0.001, 0.999)
FEW_STEPS = 32  # of the usual values of a channel, between its quartiles


@dataclass(frozen=True)
class ValueRange:
    """The values of each channel that become the bytes 0 and 255."""

    low: tuple[float, ...]
    high: tuple[float, ...]

    @classmethod
    def of(cls, signals: NDArray[Any]) -> "ValueRange":
        """The range that all but a thousandth of the values ``(N, C, T)`` at each end
        lie in, of each channel; of a single value one around it.
        """
        channels = signals.transpose(1, 0, 2).reshape(signals.shape[1], -1)
        low, high = np.quantile(channels.astype(np.float64), OUTSIDE, axis=1)
        is_point = low == high
        low = np.where(is_point, low - 0.5, low)
        high = np.where(is_point, high + 0.5, high)
        return cls(tuple(low.tolist()), tuple(high.tolist()))

    def to_bytes(self, signals: NDArray[Any]) -> NDArray[np.uint8]:
        """The signals ``(N, C, T)`` in bytes; what is outside of the range is at its
        ends.
        """
        low, high = self._make_columns()
        shares = (signals.astype(np.float64) - low) / (high - low)
        levels: NDArray[np.uint8] = np.rint(shares.clip(0, 1) * BYTE_STEPS).astype(
            np.uint8
        )
        return levels

    def count_outside(self, signals: NDArray[Any]) -> int:
        """How many values of the signals ``(..., C, T)`` the range has not got."""
        low, high = self._make_columns()
        return int(((signals < low) | (signals > high)).sum())

    def _make_columns(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The ends of the range, each ``(C, 1)``."""
        return np.array(self.low)[:, None], np.array(self.high)[:, None]

    def __str__(self) -> str:
        pairs = zip(self.low, self.high, strict=True)
        return ", ".join(f"{low:.6g} to {high:.6g}" for low, high in pairs)


def describe_few_steps(pixels: NDArray[np.uint8]) -> list[str]:
    """A line for each channel of signals ``(N, C, 1, T)`` of whose range the middle half
    of the values takes few steps.
    """
    lines: list[str] = []
    for channel in range(pixels.shape[1]):
        first, last = np.quantile(pixels[:, channel], (0.25, 0.75))
        if last - first < FEW_STEPS:
            lines.append(
                f"channel {channel}: half of the values are within "
                f"{last - first:.0f} of 255 steps; cut its spikes off, or take its "
                "logarithm"
            )
    return lines


def add_channel(signals: NDArray[Any]) -> NDArray[Any]:
    """Signals ``(N, T)`` or ``(N, C, T)`` as ``(N, C, T)``."""
    if signals.ndim == 2:
        return signals[:, None]
    return signals


def make_flat(signals: NDArray[Any]) -> NDArray[Any]:
    """Signals ``(N, C, T)`` as images ``(N, C, 1, T)``."""
    return signals[:, :, None]
