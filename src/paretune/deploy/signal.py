"""A signal's file as the image of height one that a model was trained on."""

from pathlib import Path

import numpy as np

from paretune.data.signal_files import Signal, read_signal
from paretune.data.signals import BYTE_STEPS, ValueRange, make_flat
from paretune.deploy.placed import Placed
from paretune.errors import DataError
from paretune.paths import printable

AS_IT_IS = "as it is"


def place_signal(
    path: Path, shape: tuple[int, int, int], values: ValueRange | None
) -> Placed:
    """The signal of a ``.npy``, ``.csv`` or ``.wav`` file as a model of ``shape``
    ``(C, 1, T)`` takes it: by the range of ``values`` of its training signals, in steps
    of a byte.

    Raises :class:`~paretune.errors.DataError`.
    """
    if values is None:
        raise DataError(
            "the model does not say which values of a signal are 0 and 1; export it "
            "again with this version of Paretune"
        )
    signal = read_signal(path)
    channels, _, length = shape
    if signal.shape != (channels, length):
        raise DataError(
            f"signal `{printable(path)}` is of {signal.shape[0]} x {signal.shape[1]} "
            f"values (channels x moments), and the model takes {channels} x {length}; "
            "cut it to that"
        )
    levels = make_flat(values.to_bytes(signal[None]))[0]
    image = levels.astype(np.float32) / np.float32(BYTE_STEPS)
    return Placed(printable(path), image, _describe_cut(signal, values))


def _describe_cut(signal: Signal, values: ValueRange) -> str:
    """How many values of the signal ``(C, T)`` are outside of the range, in words."""
    n_outside = values.count_outside(signal)
    if not n_outside:
        return AS_IT_IS
    return f"{n_outside:,} of {signal.size:,} values cut to the range of the training"
