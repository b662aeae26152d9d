"""A network as a short list of operations on one image: for counting what it costs, and for writing it in another language."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from paretune.memory import Buffer, Operation, find_buffers

IMAGE = "image"


class Value(str):
    """The name of something that a network computes from the image."""

    __slots__ = ()


@dataclass(frozen=True)
class Op:
    """``output`` becomes ``kind`` of ``inputs``; ``shape`` is the output's, for one image; ``settings`` are plain numbers and tensors.

    ``macs`` are its multiply-accumulates: convolutions, dense layers and products of matrices. ``layer`` is the name of the module
    that computes it, as ``named_modules`` has it.
    """

    kind: str
    output: str
    inputs: tuple[str, ...]
    shape: tuple[int, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    macs: int = 0
    layer: str = ""

    @property
    def size(self) -> int:
        """Number of values of the output."""
        return prod(self.shape)


@dataclass(frozen=True)
class Graph:
    """The operations in order; ``shapes`` of every value by name, the image included."""

    ops: tuple[Op, ...]
    shapes: Mapping[str, tuple[int, ...]]

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference."""
        return sum(op.macs for op in self.ops)

    @property
    def stored(self) -> int:
        """Numbers that have to be kept for an inference: weights, and a factor and a shift for each channel of a batch norm."""
        tensors = {id(value): value for op in self.ops for value in op.settings.values() if isinstance(value, Tensor)}
        return sum(tensor.numel() for tensor in tensors.values())


# The settings of operations on one value, by the names of the arguments that follow it.
SETTINGS: dict[str, tuple[str, ...]] = {
    "conv2d": ("weight", "bias", "stride", "padding", "dilation", "groups"),
    "linear": ("weight", "bias"),
    "max_pool2d": ("kernel", "stride", "padding", "dilation", "ceil_mode"),
    "pad": ("sides", "mode", "value"),
    "constant_pad_nd": ("sides", "value"),
    "slice": ("dimension", "first", "last", "step"),
    "relu": (),
    "silu": (),
    "leaky_relu": ("slope",),
    "prelu": ("weight",),
    "group_norm": ("groups", "weight", "bias", "eps"),
    "instance_norm": ("weight", "bias", "mean", "variance", "by_image", "_", "eps"),
    "layer_norm": ("normalised", "weight", "bias", "eps"),
    "batch_norm": ("weight", "bias", "mean", "variance", "by_batch", "momentum", "eps"),
    "mean": ("over",),
    "adaptive_avg_pool2d": ("over",),
}
WHOLE_MAPS = (1, [1], [1, 1], [2, 3], [-1, -2], [-2, -1])
OF_WEIGHTS = ("cat", "slice", "transpose")  # weights that are put together anew wherever they are applied: one
KEEP_SHAPE = ("relu", "silu", "leaky_relu", "batch_norm")
ARITHMETIC = ("mul", "add", "cat")
VIEWS = ("view", "reshape", "_unsafe_view", "flatten", "unflatten", "clone", "contiguous", "dropout", "unsqueeze", "squeeze", "alias",
         "detach", "to", "_to_copy")  # fmt: skip
IN_PLACE = (
    "relu", "silu", "leaky_relu", "prelu", "affine", "mul", "add", "mul_values", "add_values", "group_norm", "instance_norm",
    "layer_norm",
)  # fmt: skip


def graph_of(net: nn.Module, image_shape: Sequence[int]) -> Graph:
    """The operations of ``net`` in evaluation mode on one image ``(C, H, W)``; on the meta device without any computing.

    Raises what the network raises, a ``RuntimeError`` on meta for one that looks at the values that it computes, say.
    """
    device = next((tensor.device for tensor in net.parameters()), torch.device("cpu"))
    was_training = net.training
    with torch.inference_mode():
        image = torch.zeros(1, *image_shape, device=device)
        recorder = _Recorder(image)
        try:
            with recorder, recorder.following(net):
                net.eval()(image)
        finally:
            net.train(was_training)
    return Graph(tuple(recorder.ops), {IMAGE: tuple(image_shape), **{op.output: op.shape for op in recorder.ops}})


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes each operation on the image or on what was computed from it; tensors are told apart by their memory."""

    def __init__(self, image: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.ops: list[Op] = []
        self.values = {_place(image): Value(IMAGE)}
        self.kept = [image]  # memory that is in use is not given out again
        self.weights: dict[str, Tensor] = {}  # the first that was put together in a way
        self.first_of: dict[str, Tensor] = {}  # by each that was put together in the same way later
        self.norms: dict[tuple[int, ...], dict[str, Any]] = {}  # of layers that are applied several times: one
        self.layers: list[str] = []  # the modules that compute now, from outside in

    @contextmanager
    def following(self, net: nn.Module) -> Iterator[None]:
        """Know, within the block, which module of ``net`` computes."""
        hooks = []
        for name, module in net.named_modules():
            hooks.append(module.register_forward_pre_hook(lambda *_, name=name: self.layers.append(name)))
            hooks.append(module.register_forward_hook(lambda *_: self._leave_layer(), always_call=True))
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _leave_layer(self) -> None:
        self.layers.pop()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name, kwargs = func._overloadpacket.__name__, kwargs or {}
        is_known = name.rstrip("_") in (*SETTINGS, *ARITHMETIC, *VIEWS) and func._overloadname != "padding"
        if not is_known:
            with self:
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        is_quick = name in KEEP_SHAPE and args[0].is_meta  # torch's own way takes a millisecond for each
        result = torch.empty_like(args[0]) if is_quick else func(*args, **kwargs)
        output = result[0] if isinstance(result, tuple) else result
        arguments = [self._value(argument) for argument in args]
        inputs = tuple(_values_in(arguments))
        if inputs and isinstance(result, list):
            self._note_parts(name, arguments, inputs, result)
        elif inputs and isinstance(output, Tensor):
            self.kept.append(output)
            if name not in VIEWS:
                self._note(name, arguments, inputs, output, _macs(func, args, kwargs, result))
            elif _place(output) not in self.values:
                self.values[_place(output)] = inputs[0]
        elif name in OF_WEIGHTS:
            self.kept.append(output)
            key = f"{name} {[_keyed(self._value(argument)) for argument in args]}"
            self.first_of[str(_keyed(output))] = self.weights.setdefault(key, output)
        return result

    def _value(self, argument: Any) -> Any:
        if isinstance(argument, list | tuple):
            return [self._value(part) for part in argument]
        if not isinstance(argument, Tensor):
            return argument
        return self.values.get(_place(argument)) or self.first_of.get(str(_keyed(argument)), argument)

    def _note(self, name: str, arguments: list[Any], inputs: tuple[Value, ...], output: Tensor, macs: int) -> None:
        kind, settings = self._described(name.rstrip("_"), arguments, len(inputs))
        value = Value(f"{kind}_{len(self.ops)}")
        layer = self.layers[-1] if self.layers else ""
        self.ops.append(Op(kind, value, inputs, tuple(output.shape[1:]), settings, macs, layer))
        self.values[_place(output)] = value

    def _note_parts(self, name: str, arguments: list[Any], inputs: tuple[Value, ...], parts: list[Tensor]) -> None:
        """Each part of what is split, as the slice that it is."""
        if not name.startswith("split"):
            raise RuntimeError(f"{name} gives several values, which cannot be counted")
        dimension, first = arguments[2] if len(arguments) > 2 else 0, 0
        for part in parts:
            self.kept.append(part)
            self._note("slice", [arguments[0], dimension % part.ndim, first], inputs, part, 0)
            first += part.shape[dimension]

    def _described(self, name: str, arguments: list[Any], n_inputs: int) -> tuple[str, dict[str, Any]]:
        """The kind of an operation, as the C functions are called, and its settings."""
        if name in ("mul", "add"):
            numbers = [argument for argument in arguments if not isinstance(argument, Value)]
            return (name, {"by": numbers[0]}) if n_inputs == 1 else (f"{name}_values", {})
        settings = dict(zip(SETTINGS.get(name, ()), arguments[1:], strict=False))
        if name == "batch_norm" and settings["mean"] is not None:
            return "affine", self._affine(settings)
        is_map_mean = name in ("mean", "adaptive_avg_pool2d") and settings.get("over") in WHOLE_MAPS
        return "map_mean" if is_map_mean else {"constant_pad_nd": "pad"}.get(name, name), settings

    def _affine(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """A batch norm in evaluation mode: one factor and one shift for each channel."""
        weight, bias, mean, variance, _, _, eps = settings.values()
        key = tuple(map(id, (weight, bias, mean, variance)))
        if key not in self.norms:
            factor = (1.0 if weight is None else weight) / torch.sqrt(variance + eps)
            shift = (0.0 if bias is None else bias) - mean * factor
            self.norms[key] = {"factor": factor, "shift": shift}
        return self.norms[key]


def _place(tensor: Tensor) -> tuple[int, int, int]:
    return tensor.untyped_storage()._cdata, int(tensor.storage_offset()), tensor.numel()


def _keyed(argument: Any) -> Any:
    """An argument as text that is the same for the same memory, seen in the same shape."""
    if isinstance(argument, list | tuple):
        return [_keyed(part) for part in argument]
    return (*_place(argument), argument.shape, argument.stride()) if isinstance(argument, Tensor) else argument


def _values_in(arguments: Any) -> list[Value]:
    if isinstance(arguments, list):
        return [value for argument in arguments for value in _values_in(argument)]
    return [arguments] if isinstance(arguments, Value) else []


def _macs(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any) -> int:
    if func._overloadpacket.__name__ in ("conv2d", "linear"):
        return int(result.numel() * args[1][0].numel())
    count = flop_registry.get(func._overloadpacket)
    return int(count(*args, **kwargs, out_val=result)) // 2 if count else 0


def operations_of(graph: Graph) -> list[Operation]:
    """What a memory plan has to know of the operations."""
    return [Operation(op.inputs, op.output, op.size, op.kind in IN_PLACE) for op in graph.ops]


def buffers_of(graph: Graph, *, with_image: bool = True) -> list[Buffer]:
    """The places that an inference needs: see :func:`paretune.memory.find_buffers`."""
    return find_buffers(operations_of(graph), IMAGE, prod(graph.shapes[IMAGE]), with_image=with_image)
