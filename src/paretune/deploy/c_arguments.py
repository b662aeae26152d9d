"""Which C function on floats does an operation, and what it is given beside the places
of its values.
"""

from math import prod

from torch import Tensor

from paretune.deploy.refusals import require_known
from paretune.layers.types import Shape
from paretune.operations import Node
from paretune.operations import types as ops

Argument = Tensor | float | None  # an array, a number, no array

FUNCTIONS: dict[type[ops.Operation], str] = {
    ops.Conv: "conv2d",
    ops.Linear: "linear",
    ops.MaxPool: "max_pool2d",
    ops.MeanPool: "mean_pool2d",
    ops.Pad: "pad",
    ops.BatchNorm: "affine",
    ops.MeanOfMaps: "map_mean",
    ops.Relu: "relu",
    ops.LeakyRelu: "leaky_relu",
    ops.PRelu: "prelu",
    ops.Silu: "silu",
    ops.Multiply: "mul",
    ops.Add: "add",
    ops.AddValues: "add_values",
    ops.MultiplyValues: "mul_values",
    ops.Concat: "cat",
    ops.GroupNorm: "group_norm",
    ops.InstanceNorm: "instance_norm",
    ops.LayerNorm: "layer_norm",
    ops.Slice: "pad",  # by less than nothing
}


def find_function(operation: ops.Operation) -> str:
    """The C function that does the operation.

    Raises :class:`~paretune.errors.ExportError` for an operation that has none.
    """
    function = FUNCTIONS.get(type(operation), "")
    known = f"one of {', '.join(dict.fromkeys(FUNCTIONS.values()))}"
    if isinstance(operation, ops.Other):
        require_known(False, operation.name, operation.alternative or known)
    require_known(bool(function), type(operation).__name__.lower(), known)
    return function


def find_arguments(node: Node, shape: Shape) -> list[Argument]:
    """The arguments behind input and output: arrays, then numbers. ``shape`` is the
    input's.

    Raises :class:`~paretune.errors.ExportError` for settings that the function does not
    know.
    """
    channels = shape[0]
    match node.operation:
        case ops.Conv() as conv:
            return _find_conv_arguments(conv, shape, node.shape)
        case ops.Linear(weight=weight, bias=bias):
            outputs, inputs = weight.shape
            return [weight, bias, inputs, outputs]
        case ops.MaxPool() as pool:
            return _find_pool_arguments(pool, shape, node.shape)
        case ops.MeanPool(kernel=kernel, strides=strides):
            return [*shape, *node.shape[1:], *kernel, *strides]
        case ops.Pad() as pad:
            return _find_pad_arguments(pad, shape, node.shape)
        case ops.Slice() as part:
            return _find_pad_arguments(_cut(part), shape, node.shape)
        case ops.BatchNorm() as norm:
            maps = norm.factor.numel()
            return [norm.factor, norm.shift, maps, node.size // maps]
        case ops.MeanOfMaps():
            return [channels, prod(shape[1:])]
        case ops.Multiply(by=by) | ops.Add(by=by):
            return [node.size, _find_single(node.operation, by)]
        case ops.LeakyRelu(slope=slope):
            return [node.size, slope]
        case ops.PRelu(slopes=slopes):
            return [slopes, slopes.numel(), channels, node.size // channels]
        case _:
            return _find_norm_arguments(node, channels)


def _find_norm_arguments(node: Node, channels: int) -> list[Argument]:
    """Those of a norm; of an operation without any settings, how many values there
    are.
    """
    area = node.size // channels
    match node.operation:
        case ops.GroupNorm() as norm:
            return [norm.weight, norm.bias, channels, area, norm.groups, norm.eps]
        case ops.InstanceNorm() as norm:
            return [norm.weight, norm.bias, channels, area, norm.eps]
        case ops.LayerNorm() as norm:
            return [norm.weight, norm.bias, node.size, norm.eps]
        case _:
            return [node.size]


def _find_conv_arguments(
    conv: ops.Conv, shape_in: Shape, shape: Shape
) -> list[Argument]:
    require_known(
        conv.dilation == ops.ONE_EACH,
        "conv2d with dilation",
        "a convolution without it",
    )
    return [
        conv.weight,
        conv.bias,
        *shape_in,
        *shape,
        *conv.weight.shape[2:],
        *conv.strides,
        *conv.padding,
        conv.groups,
    ]


def _find_pool_arguments(
    pool: ops.MaxPool, shape_in: Shape, shape: Shape
) -> list[Argument]:
    require_known(
        pool.dilation == ops.ONE_EACH, "max_pool2d with dilation", "a pool without it"
    )
    _, *sides = shape
    return [*shape_in, *sides, *pool.kernel, *pool.strides, *pool.padding]


def _find_pad_arguments(pad: ops.Pad, shape_in: Shape, shape: Shape) -> list[Argument]:
    return [
        *_find_maps(shape_in),
        *_find_maps(shape),
        pad.front,
        pad.top,
        pad.left,
        int(pad.repeats_edge),
        pad.value,
    ]


def _cut(part: ops.Slice) -> ops.Pad:
    """A slice of rows or columns as a pad by less than nothing."""
    match part.dimension:
        case 2:
            return ops.Pad(top=-part.first)
        case 3:
            return ops.Pad(left=-part.first)
        case _:
            return ops.Pad()


def _find_maps(shape: Shape) -> list[int]:
    """Maps, rows and columns."""
    return [*shape, 1, 1][:3]


def _find_single(operation: ops.Operation, by: Tensor) -> float:
    """The one number that values are multiplied by, or that is added to them."""
    name = f"{find_function(operation)} by {by.numel()} values"
    require_known(by.numel() == 1, name, "one value")
    return float(by.item())
