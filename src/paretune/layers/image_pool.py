"""The resolution that a network sees an image in: it is pooled before the first layer.

An image of 28x28 is 14x14 behind a pool of 2. A layer takes a quarter of the
multiply-accumulates there, and a map a quarter of the memory.
"""

from collections.abc import Sequence

from paretune.errors import ConfigError, check_least
from paretune.layers.shapes import infer_shape
from paretune.layers.types import Layers, MeanPool, Shape
from paretune.layers.unroll import IMAGE_NUMBER, Application
from paretune.layers.windows import HEIGHT_OF_SIGNAL

LARGEST_POOL = 3
SUM_BYTES = 2  # of the bytes of a square


def check_image_pool(image_pool: object) -> None:
    """Raise :class:`~paretune.errors.ConfigError` unless an image may be pooled so."""
    check_least("model.image_pool", image_pool, 1, most=LARGEST_POOL)


def pool_shape(image_shape: Shape, image_pool: int) -> Shape:
    """The shape of an image ``(C, H, W)`` after its pool.

    Raises :class:`~paretune.errors.ConfigError` for an image that is smaller than the
    pool.
    """
    _, height, width = image_shape
    is_flat = height == HEIGHT_OF_SIGNAL
    if width < image_pool or (height < image_pool and not is_flat):
        raise ConfigError(
            f"model.image_pool `{image_pool}` leaves no pixel of a {height}x{width} "
            "image; set model.image_pool=1"
        )
    return infer_shape(MeanPool(image_pool, is_flat), image_shape)


def add_image_pool(layers: Layers, image_pool: int) -> Layers:
    """``layers`` of pooled images as those of images; 1 leaves them as they are."""
    if image_pool == 1:
        return layers
    return (MeanPool(image_pool), *layers)


def begins_with_pool(line: Sequence[Application]) -> bool:
    """Whether the image is pooled first and nothing else reads it, so that it need not
    be held.
    """
    match line:
        case [Application(layer=MeanPool(size=size)), *others] if size > 1:
            return not any(IMAGE_NUMBER in other.inputs for other in others)
        case _:
            return False


def count_row_sums(pooled_shape: Shape, dtype: str) -> int:
    """Numbers that the exported code works in while it pools an image row by row.

    In int8 a number is a byte, too short for the sum of a square: those of a row of
    squares of each channel are kept apart. A float holds such a sum in its own place.
    """
    if dtype != "int8":
        return 0
    channels, _, columns = pooled_shape
    return SUM_BYTES * channels * columns
