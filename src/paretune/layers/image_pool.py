"""The resolution that a network sees an image in: it is pooled before the first layer.

An image of 28x28 is 14x14 behind a pool of 2. A layer takes a quarter of the
multiply-accumulates there, and a map a quarter of the memory.
"""

from paretune.errors import ConfigError, check_least
from paretune.layers.shapes import infer_shape
from paretune.layers.types import Layers, MeanPool, Shape

LARGEST_POOL = 3


def check_image_pool(image_pool: object) -> None:
    """Raise :class:`~paretune.errors.ConfigError` unless an image may be pooled so."""
    check_least("model.image_pool", image_pool, 1, most=LARGEST_POOL)


def pool_shape(image_shape: Shape, image_pool: int) -> Shape:
    """The shape of an image ``(C, H, W)`` after its pool.

    Raises :class:`~paretune.errors.ConfigError` for an image that is smaller than the
    pool.
    """
    _, height, width = image_shape
    if min(height, width) < image_pool:
        raise ConfigError(
            f"model.image_pool `{image_pool}` leaves no pixel of a {height}x{width} "
            "image; set model.image_pool=1"
        )
    return infer_shape(MeanPool(image_pool), image_shape)


def add_image_pool(layers: Layers, image_pool: int) -> Layers:
    """``layers`` of pooled images as those of images; 1 leaves them as they are."""
    if image_pool == 1:
        return layers
    return (MeanPool(image_pool), *layers)


def find_image_pool(layers: Layers) -> int:
    """The pool that ``layers`` begin with; 1 without any."""
    match layers:
        case (MeanPool(size=size), *_):
            return size
        case _:
            return 1
