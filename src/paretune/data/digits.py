"""scikit-learn's digits: 1,797 images that come with the library, so that no network is needed, ever.

Optical recognition of handwritten digits, https://archive.ics.uci.edu/dataset/80 (the test part, 8x8).
"""

from functools import lru_cache

import torch
from sklearn.datasets import load_digits
from torch.nn.functional import interpolate

from paretune.data.images import ImageData, Images, Splitting

TEST_SIZE = 360
SIDE = 28


@lru_cache(maxsize=2)
def load(*, splitting: Splitting) -> ImageData:
    """The digits scaled to 28x28; the last 360 are the test images, as no official test set exists."""
    bunch = load_digits()
    small = torch.from_numpy(bunch.images).float().unsqueeze(1) * (255 / 16)
    pixels = interpolate(small, size=(SIDE, SIDE), mode="bilinear", align_corners=False)
    images = Images(pixels.round().to(torch.uint8), torch.from_numpy(bunch.target).long())
    train, val = splitting.split(images.take(slice(-TEST_SIZE)))
    return ImageData("digits", train, val, load_test=lambda: images.take(slice(-TEST_SIZE, None)))
