"""A picture of another size, placed as the images of MNIST were: cut to its ink, scaled,
and centred by its mass (http://yann.lecun.com/exdb/mnist/).
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from paretune.data.pictures import Size, scale_size
from paretune.deploy.ink import INK

LEAST_BRIGHTNESS = 1e-6  # of the brightest pixel: nothing is divided by 0
Grey = NDArray[np.float32]


def centre_ink(white: Grey, size: Size, share: float) -> Grey:
    """An image of ``size`` whose ink takes ``share`` of its shorter side, with the
    centre of mass in the middle; ``white`` are bright strokes on a dark ground.
    """
    image = np.zeros(size, np.float32)
    ink = cut_to_ink(white)
    if not ink.size:
        return image
    ink = scale_ink(ink, size, share)
    top = _find_start(ink.sum(axis=1), size[0])
    left = _find_start(ink.sum(axis=0), size[1])
    height, width = ink.shape
    image[top : top + height, left : left + width] = ink
    brightest = max(float(image.max()), LEAST_BRIGHTNESS)
    return np.asarray(image / brightest)


def cut_to_ink(white: Grey) -> Grey:
    """The box round the ink, darker by the ground; empty without any ink."""
    ground = white.min()
    threshold = ground + INK * (white.max() - ground)
    is_ink = white > threshold
    if not is_ink.any():
        return np.zeros((0, 0), np.float32)
    rows = _find_extent(is_ink.any(axis=1))
    columns = _find_extent(is_ink.any(axis=0))
    return np.asarray(white[rows, columns] - ground)


def _find_extent(inked: NDArray[np.bool_]) -> slice:
    """From the first to the last of the rows or columns that have ink."""
    places = np.flatnonzero(inked)
    return slice(places[0], places[-1] + 1)


def scale_ink(ink: Grey, size: Size, share: float) -> Grey:
    """The ink so large that its longer side takes ``share`` of the shorter side of an
    image of this ``size``, or so that it fits in.
    """
    rows, columns = ink.shape
    factor = _find_factor(ink.shape, size, share)
    height, width = scale_size((rows, columns), factor)
    resampling = Image.Resampling.BOX if factor < 1 else Image.Resampling.BILINEAR
    picture = Image.fromarray(ink).resize((width, height), resampling)
    return np.asarray(picture)


def _find_factor(ink: tuple[int, ...], size: Size, share: float) -> float:
    rows, columns = ink
    height, width = size
    longer_side = max(1, round(share * min(size)))
    by_share = longer_side / max(rows, columns)
    return min(by_share, height / rows, width / columns)


def _find_start(weights: Grey, side: int) -> int:
    """Where ink with these ``weights`` starts on a side of the image, so that their
    centre is in the middle.
    """
    places = np.arange(len(weights))
    centre = float(np.average(places, weights=weights))
    middle = (side - 1) / 2
    start = round(middle - centre)
    last_start = side - len(weights)
    return min(max(start, 0), last_start)
