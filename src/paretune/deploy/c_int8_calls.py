"""Calls of the C functions that compute in whole numbers, one operation after the
other.
"""

from math import prod

from paretune.deploy.c_int8_program import (
    Int8Program,
    require_int8,
)
from paretune.deploy.c_int8_sums import write_conv, write_linear, write_mean
from paretune.deploy.c_int8_values import (
    write_affine,
    write_layer_norm,
    write_product,
    write_rectifier,
    write_sum,
    write_table,
)
from paretune.deploy.fixed_point import find_factor
from paretune.deploy.int8_network import Int8Node
from paretune.deploy.model import WithScaling
from paretune.memory import Scratch
from paretune.operations import IMAGE
from paretune.operations import types as ops

MAX_OFFSET = 2**62
# The functions that take a row of an image, and of one that is pooled.
IMAGE_ROW = "image"
POOLED_ROW = "squares"
# What operations are called in messages.
WRITTEN: dict[type[ops.Operation], str] = {
    ops.Conv: "conv2d",
    ops.Linear: "linear",
    ops.MeanOfMaps: "map_mean",
    ops.MaxPool: "max_pool2d",
    ops.Relu: "relu",
    ops.LeakyRelu: "leaky_relu",
    ops.Silu: "silu",
    ops.Sigmoid: "sigmoid",
    ops.Tanh: "tanh",
    ops.BatchNorm: "batch_norm",
    ops.Multiply: "mul",
    ops.Add: "add",
    ops.LayerNorm: "layer_norm",
    ops.AddValues: "add_values",
    ops.MultiplyValues: "mul_values",
    ops.Concat: "cat",
    ops.Slice: "slice",
}
NOT_WRITTEN: dict[type[ops.Operation], str] = {
    ops.GroupNorm: "group_norm",
    ops.InstanceNorm: "instance_norm",
    ops.PRelu: "prelu",
    ops.Pad: "pad",
    ops.MeanPool: "mean_pool2d",
}


def require_written(node: Int8Node) -> None:
    """Raise :class:`~paretune.errors.ExportError` for an operation that has no
    function.
    """
    operation = node.operation
    name = {**WRITTEN, **NOT_WRITTEN}.get(type(operation), "")
    if isinstance(operation, ops.Other):
        name = operation.name
    known = f"one of {', '.join(WRITTEN.values())}"
    require_int8(type(operation) in WRITTEN, name, known)


def write_intake(program: Int8Program, net: WithScaling) -> tuple[str, str]:
    """The function that brings a row of the image to the steps of the first values, and
    its arguments behind the row.
    """
    image = program.find_place(IMAGE)
    _, rows, columns = program.network.image_shape
    window = program.network.pool_window
    scaling = _write_scaling(program, net, pixels_of_value=prod(window))
    if window == ops.ONE_EACH:
        program.used.add(IMAGE_ROW)
        return IMAGE_ROW, f"{image}, {rows}, {columns}, {scaling}"
    down, across = window
    sums = program.find_place(Scratch(IMAGE))
    program.used.add(POOLED_ROW)
    arguments = f"{image}, {sums}, {rows}, {columns}, {down}, {across}, {scaling}"
    return POOLED_ROW, arguments


def _write_scaling(
    program: Int8Program, net: WithScaling, *, pixels_of_value: int
) -> str:
    """Factor, offset and shift from the sum of the pixels of a value of the image to
    its steps.
    """
    steps = program.find_steps(IMAGE)
    factor, shift = find_factor(net.factor / 255 / pixels_of_value / steps.scale)
    whole = 1 << shift
    zero = steps.zero + net.shift / steps.scale
    offset = zero * whole + whole // 2  # to the nearest whole number
    scaling = f"image scaled by {net.factor:.3g}"
    require_int8(abs(offset) < MAX_OFFSET, scaling, "a scaling nearer to the images")
    return f"{factor}, INT64_C({round(offset)}), {shift}"


def write_calls(program: Int8Program, node: Int8Node) -> list[str]:
    """The calls of one operation. Raises :class:`~paretune.errors.ExportError` for
    settings that its function does not know.
    """
    program.find_steps(node.inputs[0])
    match node.operation:
        case ops.Conv() as conv:
            return [write_conv(program, node, conv)]
        case ops.Linear():
            return [write_linear(program, node)]
        case ops.MeanOfMaps():
            return [write_mean(program, node)]
        case ops.Concat():
            return _write_concat(program, node)
        case ops.Slice() as part:
            return [_write_slice(program, node, part)]
        case ops.MaxPool() as pool:
            return _write_pool(program, node, pool)
        case _:
            return [_write_by_value(program, node)]


def _write_by_value(program: Int8Program, node: Int8Node) -> str:
    """The call of an operation that goes through its input value by value."""
    match node.operation:
        case ops.Relu() | ops.LeakyRelu():
            return write_rectifier(program, node)
        case ops.BatchNorm() | ops.Multiply() | ops.Add():
            return write_affine(program, node)
        case ops.LayerNorm() as norm:
            return write_layer_norm(program, node, norm)
        case ops.Silu() | ops.Sigmoid() | ops.Tanh():
            return write_table(program, node)
        case ops.MultiplyValues():
            return write_product(program, node)
        case ops.AddValues():
            return write_sum(program, node)
        case operation:
            raise TypeError(f"{operation} has no function")


def _write_pool(program: Int8Program, node: Int8Node, pool: ops.MaxPool) -> list[str]:
    """The largest values, brought to other steps if a rectifier follows, which clips
    them.
    """
    is_plain = pool.dilation == ops.ONE_EACH
    require_int8(is_plain, "max_pool2d with dilation", "a pool without it")
    given, made = program.find_change(node)
    _, *sides = node.shape
    dimensions = [
        *program.find_shape(node),
        *sides,
        *pool.kernel,
        *pool.strides,
        *pool.padding,
    ]
    lines = [program.write_call("max_pool2d", node, *dimensions)]
    if made != given:
        place = program.find_place(node.output)
        change = program.write_copy(place, place, node.size, given, made)
        lines.append(change)
    return lines


def _write_concat(program: Int8Program, node: Int8Node) -> list[str]:
    """Maps lie one after the other: each input is copied behind the one before."""
    made = program.find_steps(node.output)
    lines = []
    start = 0
    for value in node.inputs:
        size = prod(program.network.shapes[value])
        source = program.find_place(value)
        target = f"{program.find_place(node.output)} + {start}"
        given = program.find_steps(value)
        lines.append(program.write_copy(source, target, size, given, made))
        start += size
    return lines


def _write_slice(program: Int8Program, node: Int8Node, part: ops.Slice) -> str:
    is_of_maps = part.dimension == 1
    require_int8(is_of_maps, "slice of rows or columns", "the slice of whole maps")
    given, made = program.find_change(node)
    _, area = program.find_maps(node)
    source = program.find_place(node.inputs[0])
    start = f"{source} + {part.first * area}"
    target = program.find_place(node.output)
    return program.write_copy(start, target, node.size, given, made)
