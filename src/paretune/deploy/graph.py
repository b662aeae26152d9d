"""A network as a short list of operations on one image, for counting and for writing it in another language."""

import operator
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any
from warnings import catch_warnings, simplefilter

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from paretune.errors import ExportError


@dataclass(frozen=True)
class Op:
    """``output`` becomes ``kind`` of ``inputs``; ``shape`` is the output's, for one image; ``settings`` are plain numbers and tensors."""

    kind: str
    output: str
    inputs: tuple[str, ...]
    shape: tuple[int, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Number of values of the output."""
        return prod(self.shape)


@dataclass(frozen=True)
class Graph:
    """The operations in order; ``shapes`` of every value by name, the image included."""

    image: str
    ops: tuple[Op, ...]
    shapes: Mapping[str, tuple[int, ...]]

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference: convolutions and dense layers."""
        return sum(op.size * op.settings["weight"][0].numel() for op in self.ops if op.kind in ("conv2d", "linear"))

    def last_use(self) -> dict[str, int]:
        """The number of the operation that reads each value last; the output is read by the caller, after all."""
        last = {name: number for number, op in enumerate(self.ops) for name in op.inputs}
        return {**last, self.ops[-1].output: len(self.ops)}


# The settings of operations on one value, by the names of the arguments that follow it.
SETTINGS: dict[str, tuple[str, ...]] = {
    "conv2d": ("weight", "bias", "stride", "padding", "dilation", "groups"),
    "linear": ("weight", "bias"),
    "max_pool2d": ("kernel", "stride", "padding"),
    "pad": ("sides", "mode", "value"),
    "relu": (),
    "silu": (),
    "leaky_relu": ("slope",),
    "prelu": ("weight",),
    "group_norm": ("groups", "weight", "bias", "eps"),
    "instance_norm": ("weight", "bias", "_", "_", "_", "_", "eps"),
    "layer_norm": ("normalised", "weight", "bias", "eps"),
}
BATCH_NORM, MEANS, ARITHMETIC = "_native_batch_norm_legit_no_training", ("mean", "adaptive_avg_pool2d"), ("mul", "add")
KNOWN = (*SETTINGS, BATCH_NORM, *MEANS, *ARITHMETIC, "cat")
WHOLE_MAPS = (1, None, [1], [1, 1], [2, 3], [-1, -2], [-2, -1])
VIEWS = ("view", "getitem", "reshape", "flatten", "clone", "contiguous", "dropout", "unsqueeze", "squeeze")


def graph_of(net: nn.Module, image_shape: tuple[int, int, int]) -> Graph:
    """The operations of ``net`` in evaluation mode on one image.

    Raises :class:`~paretune.errors.ExportError` for an operation that is not known here.
    """
    with catch_warnings():
        simplefilter("ignore", FutureWarning)  # torch's own tree library
        program = torch.export.export(net, (torch.zeros(1, *image_shape),)).run_decompositions({})
    values = _tensors(program)
    ops: list[Op] = []
    for node in program.graph.nodes:
        if node.op != "call_function":
            continue
        arguments = [_value(argument, values) for argument in node.args]
        name = "getitem" if node.target is operator.getitem else str(node.target).split(".")[1]
        if name in VIEWS:
            values[node.name] = arguments[0]
        else:
            ops.append(_op(name, node, arguments))
    image = next(iter(program.graph_signature.user_inputs))
    return Graph(image, tuple(ops), {image: image_shape, **{op.output: op.shape for op in ops}})


def _tensors(program: ExportedProgram) -> dict[str, Any]:
    """What the graph's names stand for, where it is known before the network runs; views will join them."""
    tensors: dict[str, Any] = {**program.state_dict, **program.constants}
    signature = program.graph_signature
    kinds = (signature.inputs_to_parameters, signature.inputs_to_buffers, signature.inputs_to_lifted_tensor_constants)
    return {name: tensors[held].detach() for kind in kinds for name, held in kind.items()}


def _value(argument: Any, values: Mapping[str, Any]) -> Any:
    """A tensor, a number, or the name of a value that the network computes."""
    if isinstance(argument, list | tuple):
        return [_value(part, values) for part in argument]
    return values.get(argument.name, argument.name) if isinstance(argument, torch.fx.Node) else argument


def _op(name: str, node: torch.fx.Node, arguments: list[Any]) -> Op:
    require_known(name in KNOWN, str(node.target), f"one of {', '.join(KNOWN)}")
    meta = node.meta["val"]
    shape = tuple((meta[0] if isinstance(meta, tuple | list) else meta).shape[1:])
    if name in SETTINGS:
        settings = dict(zip(SETTINGS[name], arguments[1:], strict=False))
        return Op(name, node.name, (arguments[0],), shape, settings)
    if name == BATCH_NORM:  # in evaluation mode one factor and one shift for each channel
        source, weight, bias, mean, variance, _, eps = arguments
        factor = (weight if weight is not None else 1.0) / torch.sqrt(variance + eps)
        shift = (bias if bias is not None else 0.0) - mean * factor
        return Op("affine", node.name, (source,), shape, {"factor": factor, "shift": shift})
    if name in MEANS:
        require_known(arguments[1] in WHOLE_MAPS, f"{name} over {arguments[1]}", "whole maps")
        return Op("map_mean", node.name, (arguments[0],), shape)
    inputs = arguments[0] if name == "cat" else [argument for argument in arguments if isinstance(argument, str)]
    numbers = [] if name == "cat" else [argument for argument in arguments if not isinstance(argument, str)]
    for number in numbers:
        if isinstance(number, Tensor):
            require_known(number.numel() == 1, f"{name} with a tensor of {number.numel()} values", "one value")
    if name == "cat" or numbers:
        return Op(name, node.name, tuple(inputs), shape, {"by": float(numbers[0])} if numbers else {})
    return Op(f"{name}_values", node.name, tuple(inputs), shape)


def require_known(is_known: bool, what: str, expected: str) -> None:
    """Raise :class:`~paretune.errors.ExportError` about the operation ``what`` unless it is known."""
    if not is_known:
        raise ExportError(f"operation `{what}` cannot be written in C; expected {expected}; export without --c")


IN_PLACE = (
    "relu", "silu", "leaky_relu", "prelu", "affine", "mul", "add", "mul_values", "add_values", "group_norm", "instance_norm",
    "layer_norm",
)  # fmt: skip


@dataclass(frozen=True)
class MemoryPlan:
    """``offsets`` of every value of a graph but the image, and the ``size`` of the block, in numbers."""

    offsets: dict[str, int]
    size: int


def plan_memory(graph: Graph) -> MemoryPlan:
    """A place for each value while it is needed; an operation value by value writes over what nobody reads after it.

    First fit in the order of the operations, the plain way of TensorFlow Lite Micro's planner (David et al. 2021,
    https://arxiv.org/abs/2010.08678). The image stays with the caller.
    """
    last = graph.last_use()
    live: dict[str, tuple[int, int]] = {}  # value -> (offset, size)
    offsets: dict[str, int] = {}
    top = 0
    for number, op in enumerate(graph.ops):
        source = op.inputs[0]
        if op.kind in IN_PLACE and source in live and last[source] == number:
            offset = live[source][0]
        else:
            offset = _first_fit(op.size, list(live.values()))
        offsets[op.output] = offset
        live[op.output] = (offset, op.size)
        top = max(top, offset + op.size)
        live = {name: place for name, place in live.items() if last.get(name, number) > number}
    return MemoryPlan(offsets, top)


def _first_fit(size: int, taken: list[tuple[int, int]]) -> int:
    offset = 0
    for start, length in sorted(taken):
        if offset + size <= start:
            break
        offset = max(offset, start + length)
    return offset
