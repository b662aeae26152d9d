"""Signals in files: a ``.npy``, ``.csv`` or ``.wav`` file each, all of one length.

Torch is not needed.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paretune.data.arrays import Arrays
from paretune.data.damaged import describe_damaged
from paretune.data.listing import LabelledPath, Listing
from paretune.data.pictures import read_each
from paretune.data.signals import ValueRange, make_flat
from paretune.data.unreadable import UnreadableError
from paretune.errors import DataError, first_line
from paretune.paths import printable

Signal = NDArray[np.float32]  # (C, T)
MOST_SHAPES = 3  # in a message
SEPARATORS = (",", ";", "\t")  # of tables


class SignalError(UnreadableError):
    """A file cannot be read as a signal; ``reason`` says why, in a few words."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"signal `{printable(path)}` cannot be read ({reason})")
        self.reason = reason


def read_signal(path: Path) -> Signal:
    """The values ``(C, T)`` of a file: an array ``(T,)`` or ``(C, T)``; a table with a
    row for each moment and a column for each channel, with or without a heading; or a
    sound.

    Raises :class:`SignalError`.
    """
    read = READERS.get(path.suffix.lower())
    if read is None:
        raise SignalError(path, f"signals are {', '.join(READERS)} files")
    try:
        values = np.asarray(read(path))
    except Exception as error:  # a damaged file may lead to any
        raise SignalError(path, first_line(error)) from error
    if values.ndim == 1:
        values = values[None]
    is_number = values.dtype.kind in "iuf" and values.size > 0
    if values.ndim != 2 or not is_number or not np.isfinite(values).all():
        raise SignalError(
            path, f"it holds {values.dtype} {values.shape}, not finite numbers in a row"
        )
    return values.astype(np.float32)


def _read_array(path: Path) -> NDArray[Any]:
    array: NDArray[Any] = np.load(path, allow_pickle=False)
    return array


def _read_table(path: Path) -> NDArray[Any]:
    from pandas import read_csv

    with path.open(encoding="utf-8") as file:
        first = file.readline()
    separator = max(SEPARATORS, key=first.count)
    table = read_csv(path, header=None, sep=separator)
    has_heading = table.iloc[0].map(lambda cell: isinstance(cell, str)).any()
    if has_heading:
        table = table.iloc[1:]
    numbers: NDArray[Any] = table.to_numpy(dtype=float)
    return numbers.T


def _read_sound(path: Path) -> NDArray[Any]:
    from scipy.io import wavfile

    _, samples = wavfile.read(path)
    return np.asarray(samples).T


READERS = {".npy": _read_array, ".csv": _read_table, ".wav": _read_sound}


@dataclass(frozen=True)
class SignalFiles:
    """The signals of a listing: by split those that could be read, in bytes, and the
    range of the training ones; and those that are ``damaged``.
    """

    parts: Mapping[str, Arrays]
    values: ValueRange
    damaged: Mapping[Path, UnreadableError]


def read_signals(listing: Listing, *, skip_damaged: bool) -> SignalFiles:
    """All signals of the listing.

    Raises :class:`~paretune.errors.DataError` for damaged ones, unless they may be
    skipped, and for signals of several shapes.
    """
    signals, damaged = read_each(read_signal, listing.paths, "reading signals")
    if damaged and not (skip_damaged and signals):
        raise DataError(describe_damaged(listing, damaged))
    _check_shapes(listing, signals)
    return _make_parts(listing, signals, damaged)


def _make_parts(
    listing: Listing,
    signals: Mapping[Path, Signal],
    damaged: Mapping[Path, UnreadableError],
) -> SignalFiles:
    training = [signals[path] for path, _ in listing.files["train"] if path in signals]
    values = ValueRange.of(np.stack(training))
    parts: dict[str, Arrays] = {}
    for split, files in listing.files.items():
        read = [file for file in files if file[0] in signals]
        parts[split] = _stack(read, signals, values)
    return SignalFiles(parts, values, damaged)


def _stack(
    files: Sequence[LabelledPath], signals: Mapping[Path, Signal], values: ValueRange
) -> Arrays:
    stacked = np.stack([signals[path] for path, _ in files])
    labels = np.array([label for _, label in files], dtype=np.int64)
    return Arrays(make_flat(values.to_bytes(stacked)), labels)


def _check_shapes(listing: Listing, signals: Mapping[Path, Signal]) -> None:
    """Raise :class:`~paretune.errors.DataError` for signals of several shapes."""
    counts = Counter(signal.shape for signal in signals.values())
    if len(counts) == 1:
        return
    examples: list[str] = []
    for shape, count in counts.most_common(MOST_SHAPES):
        path = next(path for path, signal in signals.items() if signal.shape == shape)
        channels, length = shape
        examples.append(
            f"{count:,} of {channels} x {length} (such as `{listing.relative(path)}`)"
        )
    raise DataError(
        f"data `{printable(listing.folder)}` has signals of {len(counts)} shapes, "
        f"channels x length: {', '.join(examples)}; cut them to one length"
    )
