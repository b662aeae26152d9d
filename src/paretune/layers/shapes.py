"""The shape of what a layer gives, from the shape of what comes in."""

from collections.abc import Sequence
from math import prod

from paretune.errors import ConfigError
from paretune.layers.types import (
    Conv,
    Depthwise,
    Flatten,
    Layer,
    Linear,
    MaxPool,
    MeanOfMaps,
    MeanPool,
    Norm,
    PadEnd,
    RepeatMaps,
    Shape,
)


def read_image_shape(image_shape: Sequence[int]) -> Shape:
    """``image_shape`` as a tuple ``(C, H, W)``. Raises
    :class:`~paretune.errors.ConfigError` for any other.
    """
    if len(image_shape) != 3:
        raise ConfigError(
            f"model.image_shape `{list(image_shape)}` is invalid; set it to [channels, "
            "height, width]"
        )
    channels, height, width = image_shape
    return channels, height, width


def infer_shape(layer: Layer, shape: Shape) -> Shape:
    """The shape of what a layer that is neither a repetition nor branches makes of
    values of ``shape``.

    Raises :class:`~paretune.errors.ConfigError` where it does not fit, so that no pixel
    would be left.
    """
    match layer:
        case Conv(maps=maps):
            return maps, *_slide(
                shape, layer.kernel, layer.stride, layer.padding, "convolution"
            )
        case Depthwise():
            return shape[0], *_slide(
                shape, layer.kernel, layer.stride, layer.padding, "convolution"
            )
        case MaxPool():
            return shape[0], *_slide(shape, layer.size, layer.stride, 0, "pool")
        case MeanPool(size=size):
            return shape[0], *_slide(shape, size, size, 0, "pool")
        case Norm(kind="instance") if shape[1:] == (1, 1):
            raise ConfigError(
                "model.norm `instance` leaves nothing of maps of 1x1; use fewer pools "
                "or smaller kernels, or set another model.norm"
            )
        case Linear(units=units):
            return (units,)
        case RepeatMaps(maps=maps):
            return maps, *shape[1:]
        case MeanOfMaps():
            return (shape[0],)
        case Flatten():
            return (prod(shape),)
        case PadEnd():
            channels, height, width = shape
            return channels, height + 1, width + 1
        case _:
            return shape


def _slide(
    shape: Shape, kernel: int, stride: int, padding: int, kind: str
) -> list[int]:
    """Height and width of what a window of ``kernel`` x ``kernel`` gives on maps of
    this shape.
    """
    _, height, width = shape
    sides = [(side + 2 * padding - kernel) // stride + 1 for side in (height, width)]
    if min(sides) < 1:
        raise ConfigError(
            f"model leaves no pixel: a {kernel}x{kernel} {kind} does not fit on a "
            f"{height}x{width} map; use fewer pools, smaller kernels, `same` padding "
            "(model.padding=same) or fewer layers, such as a smaller model.depth, or scale "
            "pictures of yours up (data.image_size=[28,28])"
        )
    return sides
