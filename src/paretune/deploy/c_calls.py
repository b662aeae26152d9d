"""Calls of the C functions that compute in floats, one operation after the other."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite, prod
from typing import Any

import torch
from torch import Tensor

from paretune.deploy.c_text import CArray, wrap_numbers
from paretune.deploy.refusals import require_known
from paretune.graph import IMAGE, Graph, Op, operations
from paretune.graph.operations import Settings, Value
from paretune.memory import MemoryPlan

Shape = Sequence[int]
FUNCTIONS = {"slice": "pad"}  # of operations that another one's function does
PADS = ("constant", "replicate")
MAP_DIMENSIONS = (1, 2, 3)  # of a batch of maps


def function_of(op: Op) -> str:
    """The C function that does the operation."""
    return FUNCTIONS.get(op.kind, op.kind)


@dataclass
class Calls:
    """Writes calls; the tensors that they need gather in ``weights`` by their names in
    C, each once.
    """

    graph: Graph
    memory: MemoryPlan
    weights: dict[str, Tensor] = field(default_factory=dict)

    def write(self, op: Op) -> list[str]:
        """The calls of one operation.

        Raises :class:`~paretune.errors.ExportError` for settings that the functions do
        not know.
        """
        shapes = [self.graph.shapes[value] for value in op.inputs]
        is_alike = not op.kind.endswith("_values") or len(set(shapes)) == 1
        require_known(is_alike, f"{op.kind} of {shapes}", "equal shapes")
        if op.kind == "cat":
            return self._write_concat(op)
        if isinstance(op.settings, operations.Slice):
            require_known(op.settings.step == 1, "slice with a step", "every value")
            if op.settings.dimension == 1:
                return [self._write_slice(op, op.settings)]
        return [self._write_call(op, shapes[0])]

    def _write_call(self, op: Op, shape: Shape) -> str:
        words = [self._place(value) for value in op.inputs]
        words.append(self._place(op.output))
        for argument in _find_arguments(op, shape):
            words.append(self._write_argument(argument))
        return f"{function_of(op)}({', '.join(words)});"

    def _write_concat(self, op: Op) -> list[str]:
        lines = []
        start = 0
        for value in op.inputs:
            size = prod(self.graph.shapes[value])
            lines.append(
                f"cat({self._place(value)}, {self._place(op.output)} + {start}, "
                f"{size});"
            )
            start += size
        return lines

    def _write_slice(self, op: Op, part: operations.Slice) -> str:
        """The call that copies whole maps."""
        source = op.inputs[0]
        start = part.first * prod(self.graph.shapes[source][1:])
        return (
            f"cat({self._place(source)} + {start}, {self._place(op.output)}, "
            f"{op.size});"
        )

    def _place(self, value: str) -> str:
        if value == IMAGE:
            return "image"
        return f"memory + {self.memory.offsets[value]}"

    def _write_argument(self, argument: Tensor | float | None) -> str:
        if argument is None:
            return "0"
        if not isinstance(argument, Tensor):
            return write_number(argument)
        for label, tensor in self.weights.items():
            if tensor is argument:
                return label
        label = f"w{len(self.weights)}"
        self.weights[label] = argument
        return label

    def describe_weights(self) -> dict[str, CArray]:
        """The weights as the template shows them."""
        described = {}
        for label, tensor in self.weights.items():
            numbers = map(write_number, tensor.reshape(-1).tolist())
            described[label] = CArray("float", tensor.numel(), wrap_numbers(numbers))
        return described


def write_number(value: float) -> str:
    """A number as a C constant, exact to the last bit of a float."""
    if isinstance(value, int):
        return str(value)
    if not isfinite(value):
        return "INFINITY" if value > 0 else "-INFINITY"
    digits = f"{value:.9g}"
    if re.search(r"[.e]", digits):
        return f"{digits}f"
    return f"{digits}.0f"


def find_dynamic(settings: Settings) -> list[str]:
    """The names of settings that the network computes from the image."""
    return [name for name, setting in settings.items() if isinstance(setting, Value)]


def _find_arguments(op: Op, shape: Shape) -> list[Any]:
    """What follows input and output in the call of the C function: tensors, then
    numbers. ``shape`` is the input's.
    """
    match op.settings:
        case operations.Conv() as conv:
            return _find_conv_arguments(op, conv, shape)
        case operations.Linear() as linear:
            outputs, inputs = linear.weight.shape
            return [linear.weight, linear.bias, inputs, outputs]
        case operations.MaxPool() as pool:
            return _find_pool_arguments(op, pool, shape)
        case operations.Pad(sides, mode, value):
            return _find_pad_arguments(op, shape, sides, mode, value)
        case operations.ConstantPad(sides, value):
            return _find_pad_arguments(op, shape, sides, "constant", value)
        case operations.Slice() as part:
            return _find_slice_arguments(op, part, shape)
        case operations.Affine(factor, shift):
            channels = factor.numel()
            return [factor, shift, channels, op.size // channels]
        case operations.Mean() if op.kind == "map_mean":
            return [shape[0], prod(shape[1:])]
        case operations.ByNumber(by):
            return [op.size, _find_single(op, by)]
        case operations.LeakyRelu(slope):
            return [op.size, float(slope)]
        case operations.PRelu(weight):
            return [weight, weight.numel(), shape[0], op.size // shape[0]]
    return _find_norm_arguments(op, shape)


def _find_norm_arguments(op: Op, shape: Shape) -> list[Any]:
    match op.settings:
        case operations.GroupNorm() as norm:
            return [
                norm.weight,
                norm.bias,
                shape[0],
                op.size // shape[0],
                norm.groups,
                float(norm.eps),
            ]
        case operations.InstanceNorm() as norm:
            statistics = "by the image's own"
            require_known(
                norm.by_image, "instance_norm by running statistics", statistics
            )
            return [
                norm.weight,
                norm.bias,
                shape[0],
                op.size // shape[0],
                float(norm.eps),
            ]
        case operations.LayerNorm() as norm:
            is_over_all = prod(norm.normalised) == op.size
            require_known(
                is_over_all, f"layer_norm over {norm.normalised}", "all values"
            )
            return [norm.weight, norm.bias, op.size, float(norm.eps)]
    return [op.size]


def _find_conv_arguments(op: Op, conv: operations.Conv, shape: Shape) -> list[Any]:
    require_known(
        _find_pair(conv.dilation) == [1, 1],
        "conv2d with dilation",
        "a convolution without it",
    )
    kernel = conv.weight.shape[2:]
    strides = _find_pair(conv.stride)
    padding = _find_pair(conv.padding)
    return [
        conv.weight,
        conv.bias,
        *shape,
        *op.shape,
        *kernel,
        *strides,
        *padding,
        conv.groups,
    ]


def _find_pool_arguments(op: Op, pool: operations.MaxPool, shape: Shape) -> list[Any]:
    require_known(
        _find_pair(pool.dilation) == [1, 1],
        "max_pool2d with dilation",
        "a pool without it",
    )
    kernel = _find_pair(pool.kernel)
    strides = _find_pair(pool.stride or kernel)
    return [*shape, *op.shape[1:], *kernel, *strides, *_find_pair(pool.padding)]


def _find_pad_arguments(
    op: Op, shape: Shape, sides: Sequence[int], mode: str, value: float | None
) -> list[Any]:
    """The numbers that the function takes which pads; ``sides`` are of the last
    dimension first.
    """
    require_known(mode in PADS, f"pad with {mode}", f"one of {', '.join(PADS)}")
    left, _, top, _, front, _ = [*sides, 0, 0, 0, 0, 0, 0][:6]
    return [
        *_find_maps(shape),
        *_find_maps(op.shape),
        front,
        top,
        left,
        PADS.index(mode),
        float(value or 0.0),
    ]


def _find_slice_arguments(op: Op, part: operations.Slice, shape: Shape) -> list[Any]:
    """A slice of rows or columns is padded by less than nothing."""
    before = [0, 0, 0]
    if part.dimension in MAP_DIMENSIONS:
        before[MAP_DIMENSIONS.index(part.dimension)] = -part.first
    front, top, left = before
    return _find_pad_arguments(op, shape, [left, 0, top, 0, front, 0], "constant", None)


def _find_maps(shape: Shape) -> list[int]:
    """Maps, rows and columns."""
    return [*shape, 1, 1][:3]


def _find_single(op: Op, by: Tensor | float) -> float:
    """The one number that values are multiplied by, or that is added to them."""
    numbers = by if isinstance(by, Tensor) else torch.tensor(float(by))
    require_known(
        numbers.numel() == 1, f"{op.kind} by {numbers.numel()} values", "one value"
    )
    return float(numbers.item())


def _find_pair(value: int | Sequence[int]) -> list[int]:
    """A setting for rows and for columns."""
    if isinstance(value, int):
        return [value, value]
    return [*value, *value][:2]
