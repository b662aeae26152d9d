"""Operations, recorded while torch runs a network on one image."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from paretune.graph import operations
from paretune.graph.operations import (
    IMAGE,
    NO_SETTINGS,
    Affine,
    BatchNorm,
    ByNumber,
    Graph,
    Mean,
    Op,
    Settings,
    Value,
)

# Of operations on one value.
SETTINGS: dict[str, type[Settings]] = {
    "conv2d": operations.Conv,
    "linear": operations.Linear,
    "max_pool2d": operations.MaxPool,
    "pad": operations.Pad,
    "constant_pad_nd": operations.ConstantPad,
    "slice": operations.Slice,
    "relu": Settings,
    "silu": Settings,
    "leaky_relu": operations.LeakyRelu,
    "prelu": operations.PRelu,
    "group_norm": operations.GroupNorm,
    "instance_norm": operations.InstanceNorm,
    "layer_norm": operations.LayerNorm,
    "batch_norm": BatchNorm,
    "mean": Mean,
    "adaptive_avg_pool2d": Mean,
}
# As the C functions are called, where torch has another name.
KINDS = {"constant_pad_nd": "pad"}
WHOLE_MAPS = (1, [1], [1, 1], [2, 3], [-1, -2], [-2, -1])
# Weights that are put together anew wherever they are applied: one.
OF_WEIGHTS = ("cat", "slice", "transpose")
KEEP_SHAPE = ("relu", "silu", "leaky_relu", "batch_norm")
ARITHMETIC = ("mul", "add", "cat")
# Values stay as they are.
RESHAPES = (
    "view",
    "reshape",
    "_unsafe_view",
    "flatten",
    "unflatten",
    "clone",
    "contiguous",
    "dropout",
    "unsqueeze",
    "squeeze",
    "alias",
    "detach",
    "to",
    "_to_copy",
)


def graph_of(net: nn.Module, image_shape: Sequence[int]) -> Graph:
    """The operations of ``net`` in evaluation mode on one image ``(C, H, W)``; on the
    meta device without any computing.

    Raises what the network raises, a ``RuntimeError`` on meta for one that looks at the
    values that it computes, say.
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
    shapes: dict[str, tuple[int, ...]] = {IMAGE: tuple(image_shape)}
    for op in recorder.ops:
        shapes[op.output] = op.shape
    return Graph(tuple(recorder.ops), shapes)


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes each operation on the image or on what was computed from it; tensors are
    told apart by their memory.
    """

    def __init__(self, image: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.ops: list[Op] = []
        self.values = {_find_place(image): Value(IMAGE)}
        self.kept = [image]  # memory that is in use is not given out again
        self.weights: dict[str, Tensor] = {}  # the first that was put together in a way
        # By each that was put together in the same way later.
        self.first_of: dict[str, Tensor] = {}
        # Of layers that are applied several times: one.
        self.norms: dict[tuple[int, ...], Affine] = {}
        self.layers: list[str] = []  # the modules that compute now, from outside in

    @contextmanager
    def following(self, net: nn.Module) -> Iterator[None]:
        """Know, within the block, which module of ``net`` computes."""
        hooks = []
        for name, module in net.named_modules():
            hooks.append(
                module.register_forward_pre_hook(
                    lambda *_, name=name: self.layers.append(name)
                )
            )
            hooks.append(
                module.register_forward_hook(
                    lambda *_: self._leave_layer(), always_call=True
                )
            )
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _leave_layer(self) -> None:
        self.layers.pop()

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if not _is_known(func):
            with self:
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        result = _run(func, args, kwargs)
        arguments = [self._find_value(argument) for argument in args]
        inputs = tuple(_find_values(arguments))
        name = _name_of(func)
        if not inputs:
            if name in OF_WEIGHTS:
                self._keep_weights(name, arguments, _first_of(result))
        elif isinstance(result, list):
            self._note_parts(name, arguments, inputs, result)
        elif isinstance(_first_of(result), Tensor):
            macs = 0 if name in RESHAPES else _count_macs(func, args, kwargs, result)
            self._note_result(name, arguments, inputs, _first_of(result), macs)
        return result

    def _find_value(self, argument: Any) -> Any:
        """What an argument stands for: the value or the weights that lie in its memory,
        or what it is.
        """
        if isinstance(argument, list | tuple):
            return [self._find_value(part) for part in argument]
        if not isinstance(argument, Tensor):
            return argument
        value = self.values.get(_find_place(argument))
        return value or self.first_of.get(str(_describe_memory(argument)), argument)

    def _keep_weights(self, name: str, arguments: list[Any], output: Tensor) -> None:
        """Know weights that were put together as others were before."""
        self.kept.append(output)
        key = f"{name} {[_describe_memory(argument) for argument in arguments]}"
        self.first_of[str(_describe_memory(output))] = self.weights.setdefault(
            key, output
        )

    def _note_result(
        self,
        name: str,
        arguments: list[Any],
        inputs: tuple[Value, ...],
        output: Tensor,
        macs: int,
    ) -> None:
        """Note an operation with one result; a reshaped value is the value that it
        was.
        """
        self.kept.append(output)
        if name not in RESHAPES:
            self._note(name, arguments, inputs, output, macs)
        else:
            self.values.setdefault(_find_place(output), inputs[0])

    def _note(
        self,
        name: str,
        arguments: list[Any],
        inputs: tuple[Value, ...],
        output: Tensor,
        macs: int,
    ) -> None:
        kind, settings = self._describe(name.rstrip("_"), arguments, len(inputs))
        value = Value(f"{kind}_{len(self.ops)}")
        layer = self.layers[-1] if self.layers else ""
        shape = tuple(output.shape[1:])
        self.ops.append(Op(kind, value, inputs, shape, settings, macs, layer))
        self.values[_find_place(output)] = value

    def _note_parts(
        self,
        name: str,
        arguments: list[Any],
        inputs: tuple[Value, ...],
        parts: list[Tensor],
    ) -> None:
        """Note each part of what is split as the slice that it is."""
        if not name.startswith("split"):
            raise RuntimeError(f"{name} gives several values, which cannot be counted")
        dimension = arguments[2] if len(arguments) > 2 else 0
        first = 0
        for part in parts:
            self.kept.append(part)
            self._note(
                "slice", [arguments[0], dimension % part.ndim, first], inputs, part, 0
            )
            first += part.shape[dimension]

    def _describe(
        self, name: str, arguments: list[Any], n_inputs: int
    ) -> tuple[str, Settings]:
        """The kind of an operation, as the C functions are called, and its settings."""
        if name in ("mul", "add"):
            return _describe_arithmetic(name, arguments, n_inputs)
        settings = _read_settings(name, arguments)
        if isinstance(settings, BatchNorm) and settings.mean is not None:
            return "affine", self._find_affine(settings)
        if isinstance(settings, Mean) and settings.over in WHOLE_MAPS:
            return "map_mean", settings
        return KINDS.get(name, name), settings

    def _find_affine(self, norm: BatchNorm) -> Affine:
        """A batch norm in evaluation mode: one factor and one shift for each
        channel.
        """
        assert norm.mean is not None
        assert norm.variance is not None
        key = tuple(map(id, (norm.weight, norm.bias, norm.mean, norm.variance)))
        if key not in self.norms:
            weight = 1.0 if norm.weight is None else norm.weight
            bias = 0.0 if norm.bias is None else norm.bias
            factor = weight / torch.sqrt(norm.variance + norm.eps)
            shift = bias - norm.mean * factor
            self.norms[key] = Affine(factor, shift)
        return self.norms[key]


def _name_of(func: Any) -> str:
    return str(func._overloadpacket.__name__)


def _is_known(func: Any) -> bool:
    """Whether an operation is noted as it is, not as those that torch makes it of."""
    name = _name_of(func).rstrip("_")
    return func._overloadname != "padding" and name in (
        *SETTINGS,
        *ARITHMETIC,
        *RESHAPES,
    )


def _run(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    # Torch's own way takes a millisecond for each.
    if _name_of(func) in KEEP_SHAPE and args[0].is_meta:
        return torch.empty_like(args[0])
    return func(*args, **kwargs)


def _first_of(result: Any) -> Any:
    return result[0] if isinstance(result, tuple) else result


def _describe_arithmetic(
    name: str, arguments: list[Any], n_inputs: int
) -> tuple[str, Settings]:
    if n_inputs > 1:
        return f"{name}_values", NO_SETTINGS
    numbers = [argument for argument in arguments if not isinstance(argument, Value)]
    return name, ByNumber(numbers[0])


def _read_settings(name: str, arguments: list[Any]) -> Settings:
    """What follows the value in the arguments of torch's operation; further arguments
    change nothing.
    """
    kind = SETTINGS.get(name, Settings)
    return kind(*arguments[1 : 1 + len(fields(kind))])


def _find_place(tensor: Tensor) -> tuple[int, int, int]:
    return tensor.untyped_storage()._cdata, int(tensor.storage_offset()), tensor.numel()


def _describe_memory(argument: Any) -> Any:
    """An argument as text that is the same for the same memory, seen in the same
    shape.
    """
    if isinstance(argument, list | tuple):
        return [_describe_memory(part) for part in argument]
    if isinstance(argument, Tensor):
        return *_find_place(argument), argument.shape, argument.stride()
    return argument


def _find_values(argument: Any) -> Iterator[Value]:
    """The values among arguments, lists of them included."""
    if isinstance(argument, list):
        for part in argument:
            yield from _find_values(part)
    elif isinstance(argument, Value):
        yield argument


def _count_macs(
    func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any
) -> int:
    if _name_of(func) in ("conv2d", "linear"):
        return int(result.numel() * args[1][0].numel())
    count = flop_registry.get(func._overloadpacket)
    return int(count(*args, **kwargs, out_val=result)) // 2 if count else 0
