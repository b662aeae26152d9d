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
from paretune.layers.windows import Window, find_window


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
            return maps, *_slide(shape, find_window(layer), "convolution")
        case Depthwise():
            return shape[0], *_slide(shape, find_window(layer), "convolution")
        case MaxPool() | MeanPool():
            return shape[0], *_slide(shape, find_window(layer), "pool")
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
            return channels, height + (not layer.is_flat), width + 1
        case _:
            return shape


def _slide(shape: Shape, window: Window, kind: str) -> list[int]:
    """Height and width of what a window gives on maps of this shape."""
    _, height, width = shape
    rows, columns = window.kernel
    row_stride, column_stride = window.strides
    padded_rows = height + 2 * window.padding[0]
    padded_columns = width + 2 * window.padding[1]
    sides = [
        (padded_rows - rows) // row_stride + 1,
        (padded_columns - columns) // column_stride + 1,
    ]
    if min(sides) < 1:
        raise ConfigError(
            f"model leaves no pixel: a {window.words} {kind} does not fit on a "
            f"{height}x{width} map; use fewer pools, smaller kernels, `same` padding "
            "(model.padding=same) or fewer layers, such as a smaller model.depth, or scale "
            "pictures of yours up (data.image_size=[28,28])"
        )
    return sides
