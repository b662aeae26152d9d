"""scikit-learn's digits: 1,797 images that come with the library, so that no network is
needed, ever.

Optical recognition of handwritten digits, https://archive.ics.uci.edu/dataset/80 (the
test part, 8x8).
"""

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from sklearn.datasets import load_digits

from paretune.data.arrays import Arrays
from paretune.data.splitting import Splitting

if TYPE_CHECKING:
    from paretune.data.images import ImageData

TEST_SIZE = 360
SIDE = 28
LARGEST_DIGITS_VALUE = 16


@lru_cache(maxsize=2)
def load(*, splitting: Splitting) -> "ImageData":
    """The digits scaled to 28x28; the last 360 are the test images, as no official test
    set exists.
    """
    import torch
    from torch.nn.functional import interpolate

    from paretune.data.images import ImageData, Images

    digits = read_digits()
    small = torch.from_numpy(digits.pixels).float() * (255 / LARGEST_DIGITS_VALUE)
    pixels = interpolate(small, size=(SIDE, SIDE), mode="bilinear", align_corners=False)
    images = Images(pixels.round().to(torch.uint8), torch.from_numpy(digits.labels))
    train, val = splitting.split(images.take(slice(-TEST_SIZE)))
    test = images.take(slice(-TEST_SIZE, None))
    return ImageData("digits", train, val, load_test=lambda: test)


def read_digits() -> Arrays:
    """The digits as they come, 8x8, from 0 to 16."""
    bunch = load_digits()
    pixels = bunch.images[:, None].astype(np.uint8)
    return Arrays(pixels, bunch.target.astype(np.int64))
