"""Calls of torch's own operations (ATen), read as operations of ours."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from paretune.layers.types import Shape
from paretune.operations.types import (
    Add,
    AddValues,
    BatchNorm,
    Concat,
    Conv,
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    LeakyRelu,
    Linear,
    MaxPool,
    MeanOfMaps,
    MeanPool,
    Multiply,
    MultiplyValues,
    Operation,
    Other,
    Pad,
    PRelu,
    Relu,
    RowsColumns,
    Sigmoid,
    Silu,
    Slice,
    Tanh,
    make_constant,
)

# Dimensions, with the batch, over which a mean is that of each map.
WHOLE_MAPS = ([2, 3], [3, 2], [-1, -2], [-2, -1])
ONE_PIXEL = (1, [1], [1, 1])  # sizes to which an adaptive pool has the mean of each map
FIXED = "fixed numbers"


class Value(str):
    """The name of something that a network computes from the image."""

    __slots__ = ()


@dataclass(frozen=True)
class Call:
    """A call of torch's operation ``name``, without the underscore of one in place.

    ``settings`` are its arguments behind the first, by the names that torch has for
    them; ``source`` is that first one. ``shape_in`` is the source's shape, ``shape``
    the result's, both with the batch.
    """

    name: str
    source: Any
    settings: Mapping[str, Any]
    shape_in: Shape
    shape: Shape
    macs: int = 0


def read_call(call: Call) -> Operation:
    """The operation that a call is; :class:`~paretune.operations.types.Other` for one
    that is not known.
    """
    if call.name in ARITHMETIC:
        return _read_arithmetic(call)
    if call.name not in READERS:
        return _other(call, call.name)
    if any(isinstance(setting, Value) for setting in call.settings.values()):
        return _other(call, f"{call.name} by numbers that depend on the image", FIXED)
    return READERS[call.name](call)


def _other(call: Call, name: str, alternative: str = "") -> Other:
    return Other(name, alternative, call.macs)


def _read_arithmetic(call: Call) -> Operation:
    """A product or a sum of two values, or of a value and a number or weights."""
    of_values, by_constant = ARITHMETIC[call.name]
    operands = (call.source, call.settings["other"])
    constants = [operand for operand in operands if not isinstance(operand, Value)]
    if not constants:
        return of_values()
    [constant] = constants
    return by_constant(make_constant(constant))


def _read_conv(call: Call) -> Operation:
    settings = call.settings
    has_maps = len(call.shape_in) == 4
    if settings.get("transposed") or not has_maps:
        return _other(call, call.name)
    return Conv(
        settings["weight"],
        settings["bias"],
        strides=_read_rows_columns(settings["stride"]),
        padding=_read_rows_columns(settings["padding"]),
        dilation=_read_rows_columns(settings["dilation"]),
        groups=settings["groups"],
    )


def _read_linear(call: Call) -> Operation:
    return Linear(call.settings["weight"], call.settings["bias"])


def _read_pool(call: Call) -> Operation:
    """An empty stride is that of the kernel."""
    settings = call.settings
    kernel = settings["kernel_size"]
    return MaxPool(
        _read_rows_columns(kernel),
        strides=_read_rows_columns(settings["stride"] or kernel),
        padding=_read_rows_columns(settings["padding"]),
        dilation=_read_rows_columns(settings["dilation"]),
    )


def _read_mean_pool(call: Call) -> Operation:
    """An empty stride is that of the kernel."""
    settings = call.settings
    kernel = settings["kernel_size"]
    has_padding = any(_read_rows_columns(settings["padding"]))
    has_divisor = settings["divisor_override"] is not None
    if settings["ceil_mode"] or has_padding or has_divisor:
        return _other(call, "avg_pool2d of windows that stand out", "whole windows")
    return MeanPool(
        _read_rows_columns(kernel),
        strides=_read_rows_columns(settings["stride"] or kernel),
    )


def _read_pad(call: Call) -> Operation:
    """The sides are how many numbers come before and behind, the last dimension
    first.
    """
    settings = call.settings
    mode = settings.get("mode", "constant")
    if mode not in ("constant", "replicate"):
        return _other(call, f"pad with {mode}", "one of constant, replicate")
    sides = [*settings["pad"], 0, 0, 0, 0, 0, 0]
    left, _, top, _, front, _ = sides[:6]
    value = float(settings["value"] or 0.0)
    return Pad(front, top, left, value, repeats_edge=mode == "replicate")


def _read_slice(call: Call) -> Operation:
    settings = call.settings
    if settings["step"] != 1:
        return _other(call, "slice with a step", "every value")
    dimension = settings["dim"] % len(call.shape)
    first = settings["start"] or 0
    if first < 0:
        first += call.shape_in[dimension]
    return Slice(dimension, first)


def _read_relu(call: Call) -> Operation:
    return Relu()


def _read_leaky_relu(call: Call) -> Operation:
    return LeakyRelu(float(call.settings["negative_slope"]))


def _read_prelu(call: Call) -> Operation:
    return PRelu(call.settings["weight"])


def _read_silu(call: Call) -> Operation:
    return Silu()


def _read_sigmoid(call: Call) -> Operation:
    return Sigmoid()


def _read_tanh(call: Call) -> Operation:
    return Tanh()


def _read_batch_norm(call: Call) -> Operation:
    settings = call.settings
    mean = settings["running_mean"]
    variance = settings["running_var"]
    if mean is None or variance is None:
        return _other(
            call, "batch_norm by the batch's own statistics", "running statistics"
        )
    return BatchNorm(
        settings["weight"],
        settings["bias"],
        mean,
        variance,
        eps=float(settings["eps"]),
    )


def _read_group_norm(call: Call) -> Operation:
    settings = call.settings
    return GroupNorm(
        settings["num_groups"],
        settings["weight"],
        settings["bias"],
        eps=float(settings["eps"]),
    )


def _read_instance_norm(call: Call) -> Operation:
    settings = call.settings
    if not settings["use_input_stats"]:
        name = "instance_norm by running statistics"
        return _other(call, name, "those of the image")
    return InstanceNorm(settings["weight"], settings["bias"], float(settings["eps"]))


def _read_layer_norm(call: Call) -> Operation:
    settings = call.settings
    normalised = list(settings["normalized_shape"])
    if prod(normalised) != prod(call.shape[1:]):
        return _other(call, f"layer_norm over {normalised}", "a norm over all values")
    return LayerNorm(settings["weight"], settings["bias"], float(settings["eps"]))


def _read_mean(call: Call) -> Operation:
    over = call.settings.get("dim")
    is_of_maps = len(call.shape_in) == 4 and over in WHOLE_MAPS
    return MeanOfMaps() if is_of_maps else _other(call, call.name)


def _read_adaptive_pool(call: Call) -> Operation:
    is_of_maps = call.settings["output_size"] in ONE_PIXEL
    return MeanOfMaps() if is_of_maps else _other(call, call.name)


def _read_concat(call: Call) -> Operation:
    if call.settings["dim"] % len(call.shape) != 1:
        return _other(call, "cat of rows or columns", "that of maps")
    return Concat()


def _read_rows_columns(setting: Any) -> RowsColumns:
    """A setting for rows and for columns, of one for both or one each."""
    if isinstance(setting, int):
        return setting, setting
    rows, columns = [*setting, *setting][:2]
    return rows, columns


READERS: dict[str, Callable[[Call], Operation]] = {
    "conv2d": _read_conv,
    "convolution": _read_conv,  # as torch has one whose padding is in words
    "linear": _read_linear,
    "max_pool2d": _read_pool,
    "avg_pool2d": _read_mean_pool,
    "pad": _read_pad,
    "constant_pad_nd": _read_pad,
    "slice": _read_slice,
    "relu": _read_relu,
    "leaky_relu": _read_leaky_relu,
    "prelu": _read_prelu,
    "silu": _read_silu,
    "sigmoid": _read_sigmoid,
    "tanh": _read_tanh,
    "batch_norm": _read_batch_norm,
    "group_norm": _read_group_norm,
    "instance_norm": _read_instance_norm,
    "layer_norm": _read_layer_norm,
    "mean": _read_mean,
    "adaptive_avg_pool2d": _read_adaptive_pool,
    "cat": _read_concat,
}
# Of two values, of a value and a constant.
ARITHMETIC: dict[str, tuple[type[Operation], Callable[..., Operation]]] = {
    "mul": (MultiplyValues, Multiply),
    "add": (AddValues, Add),
}
