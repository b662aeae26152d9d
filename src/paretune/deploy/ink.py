"""How much of an image what it shows takes: a picture of another size is placed with
the same margin.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from paretune.data.images import Images

INK = 0.25  # a pixel brighter than this share of the brightest


def measure_ink_share(images: Images) -> float:
    """The median over images of (longer side of the box round the ink) / (shorter side
    of the image); 1 for empty ones.
    """
    bright = (images.pixels.amax(dim=1) > INK * 255).numpy()
    boxes = [_measure_box(image) for image in bright]
    if not any(boxes):
        return 1.0
    shorter_side = min(bright.shape[1:])
    return float(np.median(boxes) / shorter_side)


def _measure_box(ink: NDArray[np.bool_]) -> int:
    """The longer side of the box round the ink, in pixels."""
    width = _measure_extent(ink.any(axis=0))
    height = _measure_extent(ink.any(axis=1))
    return max(width, height)


def _measure_extent(line: ArrayLike) -> int:
    inked = np.flatnonzero(line)
    if not inked.size:
        return 0
    return int(inked[-1] - inked[0] + 1)
