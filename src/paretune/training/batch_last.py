"""Training with the batch innermost: all layers of a network as one program of the kernels in ``kernels.cpp``.

A lane of a vector register is an image, so that no lane is empty however few maps a layer has; torch's kernels fill their
lanes with maps. The network is traced (:mod:`torch.fx`), its layers become a table of operations, and forward and backward
pass are one call each. Modules keep their parameters: optimizer, state dict, counting and export see no difference.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from paretune.models.modules import RepeatedMaps, ScalarNorm, SharedDepthwise
from paretune.training.kernels import kernels

Shape = tuple[int, ...]
LANES = 16  # images of a block
LONGEST_KERNEL = 32
MOST_PARAMETERS = 50_000  # beyond that torch is faster, and sums of lanes take a gigabyte
KINDS = (
    "conv", "depthwise", "activation", "batch_norm", "affine", "group_norm", "max_pool", "mean", "dropout", "pad", "repeat",
)  # fmt: skip
LEAKY, SILU, PRELU = range(3)
OFFSETS = ("x", "y", "dx", "dy")
SIZES = (
    "maps", "rows", "columns", "out_maps", "out_rows", "out_columns", "kernel_rows", "kernel_columns", "pad_rows",
    "pad_columns", "stride", "option", "scratch", "weight_at", "bias_at",
)  # fmt: skip
TENSORS = ("weight", "bias", "running_mean", "running_var", "packed", "flipped")
# The struct Op of kernels.cpp.
OPERATION = np.dtype(
    [(name, "i8") for name in ("kind", *OFFSETS, *SIZES)]
    + [(name, "f8") for name in ("a", "b", "slope")]
    + [(name, "i8") for name in TENSORS]
)


class UnknownLayerError(Exception):
    """The kernels do not know a layer of a network, which then runs in torch."""


@dataclass(slots=True)
class Value:
    """What a layer computes: its ``shape`` (maps, rows, columns), and where it and its gradient lie in a block, in floats.

    ``grad_at`` is -1 where nothing before it is trained. ``maker`` is the number of the convolution or norm that made it, which
    can take over the ReLU that follows.
    """

    shape: Shape
    at: int
    grad_at: int
    maker: int = -1


class BatchLast:
    """``net`` by the kernels, on the CPU in fp32: call it like the network itself, in training and in evaluation mode.

    Raises :class:`UnknownLayerError` if there are no kernels, or if they do not know a layer.
    """

    def __init__(self, net: nn.Module, image_shape: Sequence[int]) -> None:
        self.net, self.image_shape = net, tuple(image_shape)
        self.programs = {training: Program(net, self.image_shape, training) for training in (True, False)}

    def __call__(self, images: Tensor) -> Tensor:
        """Logits ``(B, classes)`` of float images ``(B, C, H, W)``."""
        program = self.programs[self.net.training]
        if not (self.net.training and torch.is_grad_enabled()):
            return program.forward(images)
        logits: Tensor = _Pass.apply(images, program, *program.parameters)  # type: ignore[no-untyped-call]
        return logits


class Program:
    """The operations of a network in one mode, and the memory that they work in."""

    def __init__(self, net: nn.Module, image_shape: Shape, training: bool) -> None:
        library = kernels()
        _require(library is not None, "without kernels")
        self.library: Any = library
        self.training = training
        self.parameters = [parameter for parameter in net.parameters() if parameter.requires_grad]
        self.sizes = [parameter.numel() for parameter in self.parameters]
        self.count, starts = sum(self.sizes), np.cumsum([0, *self.sizes])
        _require(self.count <= MOST_PARAMETERS, f"{self.count:,} parameters, more than {MOST_PARAMETERS:,}")
        self.position = {id(parameter): int(start) for parameter, start in zip(self.parameters, starts, strict=False)}
        self.size, self.scratch = 0, LANES
        self.gradients: dict[int, int] = {}  # floats of each, by its start
        self.operations: list[dict[str, Any]] = []
        self.tensors: list[tuple[int, str, Tensor]] = []
        self.batch_norms: list[nn.Module] = []
        self.logits = self._traced(net, image_shape)
        self._share_gradients()
        rows = [tuple(operation[name] for name in OPERATION.names or ()) for operation in self.operations]
        self.table = np.array(rows, dtype=OPERATION)
        self.pointers: tuple[int, ...] = ()
        self.dropouts = np.flatnonzero(self.table["kind"] == KINDS.index("dropout"))
        self.arena, self.passes = torch.zeros(0), 0

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(B, classes)``; the arena keeps what the backward pass needs."""
        images, batch, classes = images.contiguous(), len(images), self.logits.shape[0]
        self._refresh()
        self.passes += 1
        if self.arena.numel() < _blocks(batch) * self.size:
            self.arena = torch.zeros(_blocks(batch) * self.size)
        for number in self.dropouts:
            self.table["option"][number] = int(torch.randint(2**31, ()))
        for norm in self.batch_norms:
            norm.num_batches_tracked.add_(1)  # type: ignore[operator]
        logits = torch.empty(batch, classes)
        self.library.batch_last_forward(
            self.table.ctypes.data, len(self.table), self.arena.data_ptr(), self.size, images.data_ptr(), images[0].numel(),
            batch, logits.data_ptr(), classes, self.logits.at, torch.get_num_threads(),
        )  # fmt: skip
        return logits

    def backward(self, grad: Tensor) -> list[Tensor]:
        """The gradient of each parameter, from that of the logits of the last forward pass."""
        grad, batch = grad.contiguous(), len(grad)
        gradients, scratch = torch.empty(_blocks(batch), self.count), torch.empty(_blocks(batch), self.scratch)
        self.library.batch_last_backward(
            self.table.ctypes.data, len(self.table), self.arena.data_ptr(), self.size, grad.data_ptr(), batch,
            self.logits.shape[0], self.logits.grad_at, gradients.data_ptr(), self.count, scratch.data_ptr(), self.scratch,
            torch.get_num_threads(),
        )  # fmt: skip
        parts = torch.split(gradients[0], self.sizes)
        return [part.view_as(parameter) for part, parameter in zip(parts, self.parameters, strict=True)]

    def _refresh(self) -> None:
        """Note where the tensors are now."""
        pointers = tuple(tensor.data_ptr() for *_, tensor in self.tensors)
        if pointers != self.pointers:
            for (number, name, _), pointer in zip(self.tensors, pointers, strict=True):
                self.table[name][number] = pointer
            self.pointers = pointers

    def _traced(self, net: nn.Module, image_shape: Shape) -> Value:
        """Add the operations of ``net``; returns its logits."""
        try:
            nodes, modules = list(_Tracer().trace(net).nodes), dict(net.named_modules())
        except Exception as error:  # torch.fx lets through whatever a forward pass raises for a tensor without values
            raise UnknownLayerError(str(error)) from error
        values: dict[Any, Value] = {}
        for node in nodes:
            inputs = [values[argument] for argument in node.all_input_nodes]
            if node.op == "placeholder":
                values[node] = self._value(image_shape, trained=False)
            elif node.op == "call_module":
                values[node] = self._layer(modules[node.target], inputs[0])
            elif node.op == "call_function" and node.target is torch.cat:
                _require(1 in (node.kwargs.get("dim"), *node.args[1:2]), node)
                values[node] = self._cat(inputs)
            elif node.op == "call_method" and node.target == "mean":
                _require((2, 3) in (node.kwargs.get("dim"), *node.args[1:2]), node)
                values[node] = self._mean(None, inputs[0])
            else:
                _require(node.op == "output" and inputs[0].shape[1:] == (1, 1), node)
                return inputs[0]
            is_shared = len(node.users) > 1 and values[node].grad_at >= 0  # whose gradients would have to be added up
            _require(not is_shared, f"two layers on one value, {node}")
        raise UnknownLayerError("no output")

    def _value(self, shape: Shape, *, trained: bool, maker: int = -1) -> Value:
        return Value(
            shape, self._room(prod(shape)), self._gradient_room(prod(shape)) if trained and self.training else -1, maker
        )

    def _gradient_room(self, values: int) -> int:
        """Where a gradient would start, were they one after another; :meth:`_share_gradients` moves them."""
        start = sum(self.gradients.values())
        self.gradients[start] = values * LANES
        return start

    def _room(self, values: int) -> int:
        start, self.size = self.size, self.size + values * LANES
        return start

    def _add(
        self, kind: str, x: Value, y: Value, tensors: dict[str, Tensor | None] | None = None, **settings: Any
    ) -> Value:
        """Add an operation from ``x`` to ``y``."""
        operation = dict.fromkeys(OPERATION.names or (), 0) | {
            "weight_at": -1,
            "bias_at": -1,
            "stride": 1,
            "slope": 1.0,
        }
        operation |= zip(OFFSETS, (x.at, y.at, x.grad_at, y.grad_at), strict=True)
        operation |= zip(SIZES, (*x.shape, *y.shape), strict=False)
        operation |= {"kind": KINDS.index(kind), **settings}
        for name, tensor in (tensors or {}).items():
            if tensor is not None:
                _require(tensor.dtype == torch.float32 and tensor.is_contiguous() and tensor.device.type == "cpu", name)
                self.tensors.append((len(self.operations), name, tensor))
                is_parameter = name in ("weight", "bias")
                _require(not (self.training and is_parameter) or id(tensor) in self.position, "a frozen parameter")
                operation[f"{name}_at"] = self.position.get(id(tensor), -1)
        self.operations.append({name: operation[name] for name in OPERATION.names or ()})
        return y

    def _share_gradients(self) -> None:
        """Place gradients behind the values, those that are never needed at the same time in the same place."""
        needed: dict[int, list[int]] = {start: [] for start in self.gradients}  # by the operations of these numbers
        for number, operation in enumerate(self.operations):
            for name in ("dx", "dy"):
                if operation[name] >= 0:
                    needed[self._gradient_of(operation[name])].append(number)
        placed: list[tuple[int, int, int, int]] = []  # start and end, first and last operation that need it
        moved: dict[int, int] = {}
        for start, floats in sorted(self.gradients.items(), key=lambda gradient: -gradient[1]):
            first, last, place = min(needed[start]), max(needed[start]), self.size
            for other, end, other_first, other_last in sorted(placed):
                if other_first <= last and first <= other_last and place + floats > other:
                    place = max(place, end)
            placed.append((place, place + floats, first, last))
            moved[start] = place - start
        for operation in self.operations:
            for name in ("dx", "dy"):
                if operation[name] >= 0:
                    operation[name] += moved[self._gradient_of(operation[name])]
        if self.logits.grad_at >= 0:
            self.logits.grad_at += moved[self._gradient_of(self.logits.grad_at)]
        self.size = max([self.size, *(end for _, end, *_ in placed)])

    def _gradient_of(self, at: int) -> int:
        """The start of the gradient that ``at`` is a part of."""
        starts = [*self.gradients]
        return starts[bisect_right(starts, at) - 1]

    def _layer(self, layer: nn.Module, x: Value) -> Value:
        """Add what ``layer`` makes of ``x``."""
        add = LAYERS.get(type(layer))
        if add is None:
            raise UnknownLayerError(f"layer {type(layer).__name__}")
        return add(self, layer, x)

    def _same(self, _: nn.Module, x: Value) -> Value:
        return x

    def _flatten(self, _: nn.Module, x: Value) -> Value:
        return Value((prod(x.shape), 1, 1), x.at, x.grad_at)

    def _conv(self, layer: Any, x: Value) -> Value:
        kernel, pad, stride = layer.kernel_size, layer.padding, layer.stride[0]
        depthwise = layer.groups == x.shape[0] == layer.out_channels and (
            layer.groups > 1 or type(layer) is SharedDepthwise
        )
        plain = layer.padding_mode == "zeros" and layer.dilation == (1, 1) and layer.stride == (stride, stride)
        _require(plain and not isinstance(pad, str) and (layer.groups == 1 or depthwise), layer)
        _require(all(p < k <= LONGEST_KERNEL for p, k in zip(pad, kernel, strict=True)), layer)
        sides = [(size + 2 * p - k) // stride + 1 for size, p, k in zip(x.shape[1:], pad, kernel, strict=True)]
        y = self._made((layer.out_channels, *sides))
        sizes = {
            "kernel_rows": kernel[0],
            "kernel_columns": kernel[1],
            "pad_rows": pad[0],
            "pad_columns": pad[1],
            "stride": stride,
            "option": len(layer.weight),
        }
        return self._weighted("depthwise" if depthwise else "conv", layer, x, y, sizes)

    def _linear(self, layer: nn.Linear, x: Value) -> Value:
        _require(x.shape == (layer.in_features, 1, 1), layer)
        y = self._made((layer.out_features, 1, 1))
        return self._weighted("conv", layer, x, y, {"kernel_rows": 1, "kernel_columns": 1})

    def _weighted(self, kind: str, layer: Any, x: Value, y: Value, sizes: dict[str, int]) -> Value:
        weights = layer.weight.numel()
        self.scratch = max(self.scratch, LANES * weights // (len(layer.weight) if kind == "depthwise" else 1))
        packed = {"packed": torch.empty(weights), "flipped": torch.empty(weights)}
        return self._add(kind, x, y, {"weight": layer.weight, "bias": layer.bias, **packed}, **sizes)

    def _leaky(self, layer: Any, x: Value) -> Value:
        slope = getattr(layer, "negative_slope", 0.0)
        if x.maker >= 0:
            self.operations[x.maker]["slope"], x.maker = slope, -1
            return x
        return self._add("activation", x, self._like(x), option=LEAKY, slope=slope)

    def _silu(self, _: nn.Module, x: Value) -> Value:
        return self._add("activation", x, self._like(x), option=SILU)

    def _prelu(self, layer: nn.PReLU, x: Value) -> Value:
        y = self._value(x.shape, trained=True)
        return self._add("activation", x, y, {"weight": layer.weight}, option=PRELU, b=layer.num_parameters)

    def _made(self, shape: Shape) -> Value:
        """A value made by the operation that is added next."""
        return self._value(shape, trained=True, maker=len(self.operations))

    def _like(self, x: Value) -> Value:
        return self._value(x.shape, trained=x.grad_at >= 0)

    def _batch_norm(self, layer: Any, x: Value) -> Value:
        _require(layer.affine and layer.track_running_stats and layer.momentum is not None, layer)
        maps = x.shape[0]
        tensors = {name: getattr(layer, name) for name in TENSORS[:4]}
        tensors |= {"packed": torch.empty(2 * maps), "flipped": torch.empty(2 * maps)}
        self.batch_norms += [layer] if self.training else []
        return self._add("batch_norm" if self.training else "affine", x, self._made(x.shape), tensors,
                         a=layer.eps, b=layer.momentum, scratch=self._room(maps))  # fmt: skip

    def _group_norm(self, layer: Any, x: Value) -> Value:
        groups = {nn.GroupNorm: "num_groups", nn.InstanceNorm2d: "num_features"}.get(type(layer))
        count = getattr(layer, groups) if groups else 1
        _require(not getattr(layer, "track_running_stats", False), layer)
        _require(type(layer) is not nn.LayerNorm or (*layer.normalized_shape, 1, 1) == x.shape, layer)
        scales = 1 if type(layer) is ScalarNorm else 2  # one for all maps, or one for each
        return self._add("group_norm", x, self._made(x.shape), {"weight": layer.weight, "bias": layer.bias},
                         option=count, a=layer.eps, b=scales, scratch=self._room(2 * count))  # fmt: skip

    def _max_pool(self, layer: nn.MaxPool2d, x: Value) -> Value:
        stride = _single(layer.stride)
        plain = _single(layer.padding) == 0 and _single(layer.dilation) == 1 and not layer.ceil_mode
        _require(_single(layer.kernel_size) == 2 and stride in (1, 2) and plain, layer)
        shape = (x.shape[0], *((side - 2) // int(stride or 1) + 1 for side in x.shape[1:]))
        return self._add("max_pool", x, self._value(shape, trained=x.grad_at >= 0), stride=stride)

    def _pad(self, layer: nn.ConstantPad2d, x: Value) -> Value:
        left, right, top, bottom = layer.padding
        _require(left == top == 0 and right >= 0 and bottom >= 0, layer)
        shape = (x.shape[0], x.shape[1] + bottom, x.shape[2] + right)
        return self._add("pad", x, self._value(shape, trained=x.grad_at >= 0), a=layer.value)

    def _mean(self, layer: nn.AdaptiveAvgPool2d | None, x: Value) -> Value:
        _require(layer is None or _single(layer.output_size) == 1, layer)
        return self._add("mean", x, self._value((x.shape[0], 1, 1), trained=x.grad_at >= 0))

    def _repeat(self, layer: RepeatedMaps, x: Value) -> Value:
        return self._add("repeat", x, self._value((layer.maps, *x.shape[1:]), trained=x.grad_at >= 0))

    def _dropout(self, layer: Any, x: Value) -> Value:
        if not self.training or not layer.p:
            return x
        _require(layer.p < 1, layer)
        return self._add("dropout", x, self._like(x), a=layer.p, b=2 if type(layer) is nn.Dropout2d else 1)

    def _cat(self, parts: list[Value]) -> Value:
        whole = self._value((sum(part.shape[0] for part in parts), *parts[0].shape[1:]), trained=True)
        start = 0
        for part in parts:
            grad_at = whole.grad_at + start if whole.grad_at >= 0 else -1
            self._add("repeat", part, Value(part.shape, whole.at + start, grad_at))
            start += prod(part.shape) * LANES
        return whole


LAYERS: dict[type[nn.Module], Callable[[Program, Any, Value], Value]] = {
    nn.Identity: Program._same,
    nn.Flatten: Program._flatten,
    nn.Conv2d: Program._conv,
    SharedDepthwise: Program._conv,
    nn.Linear: Program._linear,
    nn.ReLU: Program._leaky,
    nn.LeakyReLU: Program._leaky,
    nn.SiLU: Program._silu,
    nn.PReLU: Program._prelu,
    nn.BatchNorm1d: Program._batch_norm,
    nn.BatchNorm2d: Program._batch_norm,
    nn.GroupNorm: Program._group_norm,
    nn.InstanceNorm2d: Program._group_norm,
    nn.LayerNorm: Program._group_norm,
    ScalarNorm: Program._group_norm,
    nn.MaxPool2d: Program._max_pool,
    nn.ConstantPad2d: Program._pad,
    nn.AdaptiveAvgPool2d: Program._mean,
    RepeatedMaps: Program._repeat,
    nn.Dropout: Program._dropout,
    nn.Dropout2d: Program._dropout,
}


class _Pass(torch.autograd.Function):
    """A forward pass of a program that torch can differentiate."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, program: Program, *parameters: Tensor) -> Tensor:
        logits = program.forward(images)
        ctx.program, ctx.number = program, program.passes
        return logits

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        if ctx.number != ctx.program.passes:
            raise RuntimeError("another forward pass has overwritten what this backward pass needs")
        return None, None, *ctx.program.backward(grad)


class _Tracer(fx.Tracer):
    """Sees our own layers as one each."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, (RepeatedMaps, ScalarNorm, SharedDepthwise)) or super().is_leaf_module(
            m, module_qualified_name
        )


def _blocks(batch: int) -> int:
    return -(-batch // LANES)


def _single(value: Any) -> Any:
    """The setting of both directions; ``None`` if they differ."""
    pair = (value, value) if isinstance(value, int) else tuple(value)
    return pair[0] if pair[0] == pair[1] else None


def _require(known: bool, layer: object) -> None:
    if not known:
        raise UnknownLayerError(str(layer))
