"""Your own arrays: an ``.npz`` file with ``x_train``, ``y_train`` and perhaps others,
as Keras keeps its data sets.

Keras: https://keras.io/api/datasets/mnist/.
"""

import zipfile
import zlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from paretune.data.arrays import Arrays
from paretune.data.splitting import Splitting
from paretune.errors import DataError, first_line

if TYPE_CHECKING:
    from paretune.data.images import ImageData

SPLITS = ("train", "val", "test")


def load(
    *,
    path: str,
    name: str = "npz",
    splitting: Splitting,
    test_size: float = 0.15,
    arrays: Sequence[str] = ("x_*", "y_*"),
    class_names: Sequence[str] | None = None,
) -> "ImageData":
    """The images of the arrays ``x_train``, ``x_val`` and ``x_test`` and the labels
    ``y_train``, ``y_val`` and ``y_test``.

    ``arrays`` are the names of images and of labels, a star for the split. Only the
    training arrays have to be there. Images are uint8 ``(N, H, W)``, ``(N, H, W, C)``
    or ``(N, C, H, W)`` with 1 or 3 channels, or floats from 0 to 1; labels whole
    numbers or texts ``(N,)`` or ``(N, 1)``, whose sorted values are the classes. Raises
    :class:`~paretune.errors.DataError`.
    """
    return _load(
        Path(path), name, splitting, test_size, tuple(arrays), tuple(class_names or ())
    )


@lru_cache(maxsize=2)
def _load(
    path: Path,
    name: str,
    splitting: Splitting,
    test_size: float,
    patterns: tuple[str, ...],
    names: tuple[str, ...],
) -> "ImageData":
    from paretune.data.images import assembled, images_of  # import torch

    parts, names = read_npz(path, patterns, names)
    return assembled(
        name,
        {split: images_of(part) for split, part in parts.items()},
        names,
        splitting,
        test_size,
    )


def read_npz(
    path: Path, patterns: Sequence[str], names: tuple[str, ...] = ()
) -> tuple[dict[str, Arrays], tuple[str, ...]]:
    """The images of each split that the file has, and the names of the classes, as
    :func:`load` describes them.
    """
    pairs = {
        split: [pattern.replace("*", split) for pattern in patterns] for split in SPLITS
    }
    arrays = _arrays(path, [array for pair in pairs.values() for array in pair])
    for split, pair in pairs.items():
        missing = [array for array in pair if array not in arrays]
        if missing and (split == "train" or len(missing) < len(pair)):
            raise DataError(
                f"data file `{path}` has no array `{missing[0]}`; expected images and "
                "labels, for training at least; set "
                f"data.arrays to their names, with * for train, val and test"
            )
    classes = np.unique(arrays[pairs["train"][1]])
    names = names or tuple(classes.astype(str).tolist())
    if len(names) != len(classes):
        raise DataError(
            f"data.class_names has {len(names)} names for {len(classes)} classes; "
            "expected as many; set data.class_names"
        )
    parts: dict[str, Arrays] = {}
    for split, (x, y) in pairs.items():
        if x in arrays:
            pixels = _pixels(path, x, arrays[x])
            parts[split] = Arrays(
                pixels, _labels(path, y, arrays[y], classes, len(pixels))
            )
    return parts, names


def _arrays(path: Path, wanted: Sequence[str]) -> dict[str, NDArray[Any]]:
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


def _pixels(path: Path, name: str, array: NDArray[Any]) -> NDArray[np.uint8]:
    """Pixels uint8 ``(N, C, H, W)``."""
    if array.dtype.kind == "f" and array.size and array.min() >= 0 and array.max() <= 1:
        array = np.rint(array * 255).astype(np.uint8)
    if array.dtype != np.uint8 or not (
        array.ndim == 3
        or (array.ndim == 4 and {1, 3} & {array.shape[1], array.shape[3]})
    ):
        raise DataError(
            f"array `{name}` of `{path}` is {array.dtype} {array.shape}; expected "
            "images (N, H, W), (N, H, W, C) or (N, C, H, W) with 1 "
            f"or 3 channels, of uint8 or of floats from 0 to 1; convert it"
        )
    if array.ndim == 3:
        array = array[:, None]
    elif array.shape[3] in (1, 3):
        array = array.transpose(0, 3, 1, 2)
    return array


def _labels(
    path: Path, name: str, array: NDArray[Any], classes: NDArray[Any], images: int
) -> NDArray[np.int64]:
    """Labels int64 ``(N,)``, each the place of its class among ``classes``."""
    flat = array.reshape(-1)
    if flat.dtype.kind not in "iuUS" or len(flat) != images:
        raise DataError(
            f"array `{name}` of `{path}` is {array.dtype} {array.shape}; expected "
            f"{images:,} labels, whole numbers or texts; "
            f"convert it"
        )
    places = np.searchsorted(classes, flat).clip(max=len(classes) - 1)
    if (strangers := flat[classes[places] != flat]).size:
        raise DataError(
            f"array `{name}` of `{path}` has the label `{strangers[0]}`; expected one "
            "of the training labels; check it"
        )
    return places.astype(np.int64)
