"""scikit-learn's digits: 1,797 images that come with the library, so that no network is needed, ever.

Optical recognition of handwritten digits, https://archive.ics.uci.edu/dataset/80 (the test part, 8x8).
"""

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from paretune.data.images import ImageData, Images, Splitting

TEST_SIZE = 360
SIDE = 28


@lru_cache(maxsize=2)
def load(*, splitting: Splitting) -> ImageData:
    """The digits scaled to 28x28; the last 360 are the test images, as no official test set exists."""
    *pixels_of, label = _columns()
    small = torch.from_numpy(np.stack(pixels_of, axis=1)).reshape(-1, 1, 8, 8).float() * (255 / 16)
    pixels = interpolate(small, size=(SIDE, SIDE), mode="bilinear", align_corners=False)
    images = Images(pixels.round().to(torch.uint8), torch.from_numpy(label).long())
    train, val = splitting.split(images.take(slice(-TEST_SIZE)))
    return ImageData("digits", train, val, load_test=lambda: images.take(slice(-TEST_SIZE, None)))


def _columns() -> NDArray[np.float64]:
    """The columns ``(65, N)`` of scikit-learn's file, whose last is the label; importing scikit-learn for it takes half a second."""
    spec = find_spec("sklearn")
    folder = Path(spec.origin).parent if spec and spec.origin else Path()
    return np.loadtxt(folder / "datasets/data/digits.csv.gz", delimiter=",").T
