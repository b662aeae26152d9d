"""The layers of a network in words."""

from paretune.layers.types import (
    Activation,
    Conv,
    Depthwise,
    Dropout,
    Flatten,
    Layers,
    Linear,
    MaxPool,
    MeanOfMaps,
    MeanPool,
    Norm,
    PadEnd,
    RepeatMaps,
    Shape,
)
from paretune.layers.unroll import Application, Join, once_each, unroll
from paretune.layers.windows import find_window


def describe(layers: Layers, image_shape: Shape) -> str:
    """Every layer in order, such as ``conv 3x3 1>8, relu, batch norm 8, pool 2, ...
    dense 40>10``; shared ones stand once.
    """
    words = map(_describe, once_each(unroll(layers, image_shape)))
    return ", ".join(word for word in words if word)


def _describe(application: Application) -> str:
    """A layer in words; nothing where nothing of it is left in a trained network."""
    maps_in = application.shape_in[0]
    layer = application.layer
    match layer:
        case Conv(maps=maps):
            return f"conv {find_window(layer).words} {maps_in}>{maps}"
        case Depthwise(kernels=kernels):
            words = f"depthwise conv {find_window(layer).words} {maps_in}>{maps_in}"
            return words if kernels is None else f"{words} by {kernels} kernels"
        case Linear(units=units):
            return f"dense {maps_in}>{units}"
        case Norm(kind="scalar"):
            return "scalar norm"
        case Norm(kind=kind):
            return f"{kind} norm {maps_in}"
        case Activation(kind=kind):
            return kind.replace("_", " ")
        case MaxPool(size=size):
            return f"pool {size}"
        case MeanPool(size=size):
            return f"mean pool {size}"
        case PadEnd(is_flat=is_flat):
            return "pad right" if is_flat else "pad below and right"
        case MeanOfMaps():
            return "average of each map"
        case RepeatMaps(maps=maps):
            return f"repeat maps {maps_in}>{maps}"
        case Join():
            return f"join {application.shape[0]} maps"
        case Flatten() | Dropout():
            return ""
        case _:
            raise TypeError(f"layer {layer} has no words")
