"""Your own arrays: an ``.npz`` file with ``x_train``, ``y_train`` and perhaps others,
as Keras keeps its data sets.

Keras: https://keras.io/api/datasets/mnist/.
"""

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from paretune.data.arrays import Arrays
from paretune.data.signals import ValueRange, add_channel, make_flat
from paretune.data.splitting import Splitting
from paretune.errors import DataError, first_line

if TYPE_CHECKING:
    from paretune.data.images import ImageData

SPLIT_NAMES = ("train", "val", "test")
# That images may have.
CHANNELS = (1, 3)


def load(  # noqa: PLR0913 - each is a setting
    *,
    path: str,
    name: str = "npz",
    splitting: Splitting,
    test_size: float = 0.15,
    arrays: Sequence[str] = ("x_*", "y_*"),
    class_names: Sequence[str] | None = None,
    signals: bool = False,
) -> "ImageData":
    """The images of the arrays ``x_train``, ``x_val`` and ``x_test`` and the labels
    ``y_train``, ``y_val`` and ``y_test``.

    ``arrays`` are the names of images and of labels, a star for the split. Only the
    training arrays have to be there. Images are uint8 ``(N, H, W)``, ``(N, H, W, C)``
    or ``(N, C, H, W)`` with 1 or 3 channels, or floats from 0 to 1; labels whole
    numbers or texts ``(N,)`` or ``(N, 1)``, whose sorted values are the classes.

    Arrays ``(N, T)`` are signals, which are images of height one; so are ``(N, C, T)``
    with ``signals``, of C channels. They are numbers of any kind: see
    :mod:`paretune.data.signals`. Raises :class:`~paretune.errors.DataError`.
    """
    names = Names(tuple(arrays), tuple(class_names or ()), signals)
    return _load(Path(path), name, splitting, test_size, names)


@dataclass(frozen=True)
class Names:
    """The names of the arrays (a star for the split) and of the classes, and whether
    arrays of three axes are ``signals``.
    """

    patterns: tuple[str, ...]
    classes: tuple[str, ...] = ()
    signals: bool = False


@lru_cache(maxsize=2)
def _load(
    path: Path,
    name: str,
    splitting: Splitting,
    test_size: float,
    names: Names,
) -> "ImageData":
    from paretune.data.images import assemble, make_images  # import torch

    found = read_npz(path, names)
    images = {split: make_images(part) for split, part in found.parts.items()}
    return assemble(name, images, found.class_names, splitting, test_size, found.values)


@dataclass(frozen=True)
class NpzContent:
    """The images of each split that a file has, the names of the classes, and of
    signals the range of their values.
    """

    parts: Mapping[str, Arrays]
    class_names: tuple[str, ...]
    values: ValueRange | None = None


def read_npz(path: Path, names: Names) -> NpzContent:
    """The content of the file, as :func:`load` describes it."""
    pairs: dict[str, list[str]] = {}
    for split in SPLIT_NAMES:
        pairs[split] = [pattern.replace("*", split) for pattern in names.patterns]
    arrays = _read_arrays(path, [name for pair in pairs.values() for name in pair])
    for split, pair in pairs.items():
        _check_pair(path, split, pair, arrays)

    x_train, y_train = pairs["train"]
    classes = np.unique(arrays[y_train])
    class_names = names.classes or tuple(classes.astype(str).tolist())
    if len(class_names) != len(classes):
        raise DataError(
            f"data.class_names has {len(class_names)} names for {len(classes)} classes; "
            "name each class once"
        )
    if names.signals and arrays[x_train].ndim > 3:
        raise DataError(
            f"array `{x_train}` of `{path}` has {arrays[x_train].ndim} axes, and "
            "data.signals `true` is for (N, C, T); leave data.signals out"
        )
    values = _find_values(arrays[x_train], signals=names.signals)
    parts: dict[str, Arrays] = {}
    for split, (x, y) in pairs.items():
        if x in arrays:
            pixels = _read_pixels(path, x, arrays[x], values)
            labels = _read_labels(path, y, arrays[y], classes, len(pixels))
            parts[split] = Arrays(pixels, labels)
    return NpzContent(parts, class_names, values)


def _find_values(array: NDArray[Any], *, signals: bool) -> ValueRange | None:
    """The range of the values of training signals; ``None`` for images."""
    is_signal = array.ndim == 2 or (signals and array.ndim == 3)
    is_number = array.dtype.kind in "iuf" and array.size > 0
    if is_signal and is_number and np.isfinite(array).all():
        return ValueRange.of(add_channel(array))
    return None


def _check_pair(
    path: Path, split: str, pair: Sequence[str], arrays: Mapping[str, NDArray[Any]]
) -> None:
    """Raise :class:`~paretune.errors.DataError` for training arrays that are not there,
    and for images or labels without the other.
    """
    missing = [name for name in pair if name not in arrays]
    is_needed = split == "train" or len(missing) < len(pair)
    if missing and is_needed:
        raise DataError(
            f"data file `{path}` has no array `{missing[0]}`; expected images and "
            "labels, for training at least; set data.arrays to their names, with * for "
            "train, val and test"
        )


def _read_arrays(path: Path, wanted: Sequence[str]) -> dict[str, NDArray[Any]]:
    """The arrays that are wanted and there; nothing in the file is executed."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in wanted if name in file}
    except (
        OSError,
        ValueError,
        TypeError,
        AttributeError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise DataError(
            f"data file `{path}` cannot be read ({first_line(error)}); expected an "
            ".npz file of arrays; set data.path"
        ) from error


def _read_pixels(
    path: Path, name: str, array: NDArray[Any], values: ValueRange | None
) -> NDArray[np.uint8]:
    """Pixels uint8 ``(N, C, H, W)``; of signals by the range of their ``values``."""
    if values:
        return _read_signals(path, name, array, values)
    pixels = np.rint(array * 255).astype(np.uint8) if _is_fractions(array) else array
    has_last_channels = pixels.ndim == 4 and pixels.shape[3] in CHANNELS
    has_first_channels = pixels.ndim == 4 and pixels.shape[1] in CHANNELS
    is_grey = pixels.ndim == 3
    if pixels.dtype == np.uint8:
        if is_grey:
            return pixels[:, None]
        if has_last_channels:
            return pixels.transpose(0, 3, 1, 2)
        if has_first_channels:
            return pixels
    raise DataError(
        f"array `{name}` of `{path}` is {pixels.dtype} {pixels.shape}; expected images "
        "(N, H, W), (N, H, W, C) or (N, C, H, W) with 1 or 3 channels, of uint8 or of "
        "floats from 0 to 1, or signals (N, T), or (N, C, T) with data.signals=true; "
        "convert it"
    )


def _read_signals(
    path: Path, name: str, array: NDArray[Any], values: ValueRange
) -> NDArray[np.uint8]:
    """Signals in bytes ``(N, C, 1, T)``."""
    is_number = array.dtype.kind in "iuf"
    if array.ndim not in (2, 3) or not is_number or not np.isfinite(array).all():
        raise DataError(
            f"array `{name}` of `{path}` is {array.dtype} {array.shape}; expected "
            "signals (N, T) or (N, C, T) of finite numbers, as the training signals "
            "are; convert it"
        )
    return make_flat(values.to_bytes(add_channel(array)))


def _is_fractions(array: NDArray[Any]) -> bool:
    """Whether an array holds floats from 0 to 1."""
    if array.dtype.kind != "f" or not array.size:
        return False
    return bool(array.min() >= 0 and array.max() <= 1)


def _read_labels(
    path: Path, name: str, array: NDArray[Any], classes: NDArray[Any], images: int
) -> NDArray[np.int64]:
    """Labels int64 ``(N,)``, each the place of its class among ``classes``."""
    flat = array.reshape(-1)
    if flat.dtype.kind not in "iuUS" or len(flat) != images:
        raise DataError(
            f"array `{name}` of `{path}` is {array.dtype} {array.shape}; expected "
            f"{images:,} labels, whole numbers or texts; convert it"
        )
    places = np.searchsorted(classes, flat).clip(max=len(classes) - 1)
    strangers = flat[classes[places] != flat]
    if strangers.size:
        raise DataError(
            f"array `{name}` of `{path}` has the label `{strangers[0]}`; expected one "
            "of the training labels; check it"
        )
    return places.astype(np.int64)
