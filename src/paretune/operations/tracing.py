"""The operations of any module, recorded while torch runs it on one image."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from paretune.operations.aten import ARITHMETIC, READERS, Call, Value, read_call
from paretune.operations.graph import IMAGE, Graph, Node, make_graph
from paretune.operations.types import BatchNorm, Operation, Slice

# Weights that are put together anew wherever they are applied: one.
OF_WEIGHTS = ("cat", "slice", "transpose")
KEEP_SHAPE = ("relu", "silu", "leaky_relu", "batch_norm")
# Values stay as they are.
RESHAPE_CALLS = (
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


def trace_graph(net: nn.Module, image_shape: Sequence[int]) -> Graph:
    """The operations of ``net`` in evaluation mode on one image ``(C, H, W)``; on the
    meta device without any computing.

    Raises what the network raises, a ``RuntimeError`` on meta for one that looks at the
    values that it computes, say.
    """
    device = next((tensor.device for tensor in net.parameters()), torch.device("cpu"))
    # Some may be in evaluation mode for good, such as what is not trained.
    were_training = {module: module.training for module in net.modules()}
    with torch.inference_mode():
        image = torch.zeros(1, *image_shape, device=device)
        recorder = _Recorder(image)
        try:
            with recorder, recorder.following(net):
                net.eval()(image)
        finally:
            for module, was_training in were_training.items():
                module.training = was_training
    return make_graph(recorder.nodes, tuple(image_shape))


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes each operation on the image or on what was computed from it; tensors are
    told apart by their memory.
    """

    def __init__(self, image: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.nodes: list[Node] = []
        self.values = {_find_place(image): Value(IMAGE)}
        self.kept = [image]  # memory that is in use is not given out again
        self.weights: dict[str, Tensor] = {}  # the first that was put together in a way
        # By each that was put together in the same way later.
        self.first_of: dict[str, Tensor] = {}
        # Of layers that are applied several times: one.
        self.norms: dict[tuple[int, ...], BatchNorm] = {}
        self.layers: list[str] = []  # the modules that compute now, from outside in

    @contextmanager
    def following(self, net: nn.Module) -> Iterator[None]:
        """Know, within the block, which module of ``net`` computes."""
        hooks = []
        for name, module in net.named_modules():
            enter = partial(self._enter_layer, name)
            hooks.append(module.register_forward_pre_hook(enter))
            hooks.append(
                module.register_forward_hook(self._leave_layer, always_call=True)
            )
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _enter_layer(self, name: str, *_: object) -> None:
        self.layers.append(name)

    def _leave_layer(self, *_: object) -> None:
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
        self._note(func, args, kwargs, result)
        return result

    def _note(
        self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any
    ) -> None:
        """Note what a call gave, if the image had a part in it."""
        name = _name_of(func)
        arguments = [self._find_value(argument) for argument in args]
        inputs = tuple(_find_values(arguments))
        output = result[0] if isinstance(result, tuple) else result
        if not inputs:
            if name in OF_WEIGHTS:
                self._keep_weights(name, arguments, output)
        elif isinstance(output, list):
            self._note_parts(name, args, inputs, output)
        elif isinstance(output, Tensor) and name in RESHAPE_CALLS:
            self._note_reshaped(inputs[0], output)
        elif isinstance(output, Tensor):
            call = self._describe_call(func, args, kwargs, output)
            self._append(self._read(call), call.name, inputs, output)

    def _describe_call(
        self,
        func: Any,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        output: Tensor,
    ) -> Call:
        """The call with values and weights for the tensors that stand for them."""
        bound = _bind(func, args, kwargs)
        source, *settings = [
            (name, self._find_value(argument)) for name, argument in bound.items()
        ]
        shape = tuple(output.shape)
        is_tensor = isinstance(args[0], Tensor)
        return Call(
            _name_of(func).rstrip("_"),
            source[1],
            dict(settings),
            shape_in=tuple(args[0].shape) if is_tensor else shape,
            shape=shape,
            macs=_count_macs(func, args, kwargs, output),
        )

    def _find_value(self, argument: Any) -> Any:
        """The value or the weights that lie in the memory of an argument; else the
        argument.
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

    def _note_reshaped(self, value: Value, output: Tensor) -> None:
        """A reshaped value is the value that it was."""
        self.kept.append(output)
        self.values.setdefault(_find_place(output), value)

    def _note_parts(
        self,
        name: str,
        args: tuple[Any, ...],
        inputs: tuple[Value, ...],
        parts: list[Tensor],
    ) -> None:
        """Note each part of what is split as the slice that it is."""
        if not name.startswith("split"):
            raise RuntimeError(f"{name} gives several values, which cannot be counted")
        dimension = args[2] if len(args) > 2 else 0
        first = 0
        for part in parts:
            taken = Slice(dimension % part.ndim, first)
            self._append(taken, "slice", inputs, part)
            first += part.shape[dimension]

    def _read(self, call: Call) -> Operation:
        """The operation of a call; a batch norm that is applied again is the same."""
        operation = read_call(call)
        if not isinstance(operation, BatchNorm):
            return operation
        parameters = (
            operation.weight,
            operation.bias,
            operation.mean,
            operation.variance,
        )
        key = tuple(map(id, parameters))
        return self.norms.setdefault(key, operation)

    def _append(
        self,
        operation: Operation,
        name: str,
        inputs: tuple[Value, ...],
        output: Tensor,
    ) -> None:
        self.kept.append(output)
        value = Value(f"{name}_{len(self.nodes)}")
        layer = self.layers[-1] if self.layers else ""
        shape = tuple(output.shape[1:])
        self.nodes.append(Node(operation, inputs, value, shape, layer))
        self.values[_find_place(output)] = value


def _name_of(func: Any) -> str:
    return str(func._overloadpacket.__name__)


def _bind(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """All arguments of a call by torch's names, those left out by their defaults."""
    parameters = func._schema.arguments
    bound: dict[str, Any] = {
        parameter.name: parameter.default_value for parameter in parameters
    }
    for parameter, argument in zip(parameters, args, strict=False):
        bound[parameter.name] = argument
    return {**bound, **kwargs}


def _is_known(func: Any) -> bool:
    """Whether an operation is noted as it is, not as those that torch makes it of."""
    name = _name_of(func).rstrip("_")
    known = (*READERS, *ARITHMETIC, *RESHAPE_CALLS)
    return func._overloadname != "padding" and name in known


def _run(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    # Torch's own way takes a millisecond for each.
    if _name_of(func) in KEEP_SHAPE and args[0].is_meta:
        return torch.empty_like(args[0])
    return func(*args, **kwargs)


def _find_place(tensor: Tensor) -> tuple[int, int, int]:
    memory = tensor.untyped_storage()._cdata
    return memory, int(tensor.storage_offset()), tensor.numel()


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
