"""A network as a short list of operations on one image, for counting and for writing it in another language."""

import operator
from collections.abc import Callable, Mapping
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
    known: dict[str, Any] = {**program.state_dict, **program.constants}
    signature = program.graph_signature
    kinds = (signature.inputs_to_parameters, signature.inputs_to_buffers, signature.inputs_to_lifted_tensor_constants)
    return {name: known[held].detach() for kind in kinds for name, held in kind.items()}


def _value(argument: Any, values: Mapping[str, Any]) -> Any:
    """A tensor, a number, or the name of a value that the network computes."""
    if isinstance(argument, list | tuple):
        return [_value(part, values) for part in argument]
    return values.get(argument.name, argument.name) if isinstance(argument, torch.fx.Node) else argument


def _op(name: str, node: torch.fx.Node, arguments: list[Any]) -> Op:
    if name not in READERS:
        message = f"operation `{node.target}` cannot be written in C; expected one of {', '.join(READERS)}; export without --c"
        raise ExportError(message)
    meta = node.meta["val"]
    shape = tuple((meta[0] if isinstance(meta, tuple | list) else meta).shape[1:])
    return READERS[name](Op(name, node.name, (), shape), arguments)


VIEWS = ("view", "getitem", "reshape", "flatten", "clone", "contiguous", "dropout", "unsqueeze", "squeeze")


def _weighted(kind: str, *names: str) -> Callable[[Op, list[Any]], Op]:
    """Reads an operation on one value whose further arguments are called ``names``."""

    def read(op: Op, arguments: list[Any]) -> Op:
        return Op(kind, op.output, (arguments[0],), op.shape, dict(zip(names, arguments[1:], strict=False)))

    return read


def _batch_norm(op: Op, arguments: list[Any]) -> Op:
    """In evaluation mode a batch norm is one factor and one shift for each channel."""
    source, weight, bias, mean, variance, _, eps = arguments
    factor = (weight if weight is not None else 1.0) / torch.sqrt(variance + eps)
    shift = (bias if bias is not None else 0.0) - mean * factor
    return Op("affine", op.output, (source,), op.shape, {"factor": factor, "shift": shift})


def _arithmetic(kind: str) -> Callable[[Op, list[Any]], Op]:
    """``a`` and ``b`` with a number or a one-value tensor for one of them, or two values of one shape."""

    def read(op: Op, arguments: list[Any]) -> Op:
        numbers = [argument for argument in arguments if not isinstance(argument, str)]
        names = tuple(argument for argument in arguments if isinstance(argument, str))
        if any(isinstance(number, Tensor) and number.numel() != 1 for number in numbers):
            message = f"operation `{kind}` with a tensor of {numbers[0].numel()} values cannot be written in C; expected one value"
            raise ExportError(message)
        if not numbers:
            return Op(f"{kind}_values", op.output, names, op.shape)
        return Op(kind, op.output, names, op.shape, {"by": float(numbers[0])})

    return read


def _cat(op: Op, arguments: list[Any]) -> Op:
    return Op("cat", op.output, tuple(arguments[0]), op.shape)


def _mean(op: Op, arguments: list[Any]) -> Op:
    """The only mean that a classifier of images needs: of each map."""
    whole = {(1, 1), (2, 3), (-1, -2), (-2, -1), (1,)}
    if arguments[1] not in (1, None) and tuple(arguments[1]) not in whole:
        raise ExportError(
            f"operation `{op.kind}` over {arguments[1]} cannot be written in C; expected whole maps; export without --c"
        )
    return Op("map_mean", op.output, (arguments[0],), op.shape)


READERS: dict[str, Callable[[Op, list[Any]], Op]] = {
    "conv2d": _weighted("conv2d", "weight", "bias", "stride", "padding", "dilation", "groups"),
    "linear": _weighted("linear", "weight", "bias"),
    "max_pool2d": _weighted("max_pool2d", "kernel", "stride", "padding"),
    "pad": _weighted("pad", "sides", "mode", "value"),
    "relu": _weighted("relu"),
    "silu": _weighted("silu"),
    "leaky_relu": _weighted("leaky_relu", "slope"),
    "prelu": _weighted("prelu", "weight"),
    "group_norm": _weighted("group_norm", "groups", "weight", "bias", "eps"),
    "instance_norm": _weighted("instance_norm", "weight", "bias", "_", "_", "_", "_", "eps"),
    "layer_norm": _weighted("layer_norm", "normalised", "weight", "bias", "eps"),
    "_native_batch_norm_legit_no_training": _batch_norm,
    "adaptive_avg_pool2d": _mean,
    "mean": _mean,
    "cat": _cat,
    "mul": _arithmetic("mul"),
    "add": _arithmetic("add"),
}


IN_PLACE = (
    "relu", "silu", "leaky_relu", "prelu", "affine", "mul", "add", "mul_values", "add_values", "group_norm", "instance_norm",
    "layer_norm",
)  # fmt: skip


@dataclass(frozen=True)
class MemoryPlan:
    """``offsets`` of every value of a graph but the image, and the ``size`` of the block, in numbers."""

    offsets: dict[str, int]
    size: int


def plan(graph: Graph) -> MemoryPlan:
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
