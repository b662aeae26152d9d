"""MNIST-1D: 5,000 signals of 40 values in the ten classes of MNIST, made by the package
``mnist1d``.

Greydanus and Kobak 2020, "Scaling down deep learning with MNIST-1D"
(https://arxiv.org/abs/2011.14439), github.com/greydanus/mnist1d.
"""

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from paretune.data.arrays import Arrays
from paretune.data.signals import ValueRange, add_channel, make_flat
from paretune.data.splitting import Splitting
from paretune.errors import DataError

if TYPE_CHECKING:
    from paretune.data.images import ImageData


@lru_cache(maxsize=2)
def load(*, splitting: Splitting) -> "ImageData":
    """The signals as images ``(1, 1, 40)``: 4,000 to train and to validate, 1,000 to
    test, as the package draws them by default.

    Raises :class:`~paretune.errors.DataError` if the package is not installed.
    """
    from paretune.data.images import ImageData, make_images

    parts, values = read_mnist1d()
    train, val = splitting.split(make_images(parts["train"]))
    test = make_images(parts["test"])
    return ImageData(
        "mnist1d",
        train,
        val,
        load_test=lambda: test,
        fits_by="signal",
        values=values,
    )


@lru_cache(maxsize=1)
def read_mnist1d() -> tuple[dict[str, Arrays], ValueRange]:
    """The signals to train and to test, and the range of their values."""
    try:
        from mnist1d.data import get_dataset_args, make_dataset
    except ImportError as error:
        raise DataError(
            "data `mnist1d` is made by the package mnist1d, which is not installed; "
            "pip install mnist1d"
        ) from error
    made = make_dataset(get_dataset_args())
    values = ValueRange.of(add_channel(made["x"]))
    parts: dict[str, Arrays] = {}
    for split, end in (("train", ""), ("test", "_test")):
        pixels = make_flat(values.to_bytes(add_channel(made[f"x{end}"])))
        labels = np.asarray(made[f"y{end}"], dtype=np.int64)
        parts[split] = Arrays(pixels, labels)
    return parts, values
