"""The operations of a network that layers describe, with the weights of its modules."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from paretune.layers import types as layers
from paretune.layers.unroll import (
    IMAGE_NUMBER,
    Application,
    Join,
    computes_nothing,
    unroll,
)
from paretune.layers.windows import find_window
from paretune.operations import types as operations
from paretune.operations.graph import IMAGE, Graph, Node, make_graph
from paretune.operations.types import Operation


def build_graph(
    network: nn.Module, described: layers.Layers, image_shape: layers.Shape
) -> Graph:
    """The operations of ``network``, which has a module for each layer ``described``,
    in evaluation mode.
    """
    writer = _Writer(network)
    for application in unroll(described, image_shape):
        writer.add(application)
    return make_graph(writer.nodes, image_shape)


@dataclass
class _Writer:
    """The nodes so far; ``values`` are their outputs by the numbers that unrolling
    gives them.
    """

    network: nn.Module
    nodes: list[Node] = field(default_factory=list)
    values: dict[int, str] = field(default_factory=lambda: {IMAGE_NUMBER: IMAGE})
    times: Counter[str] = field(default_factory=Counter)  # values of a layer so far
    # By the name of a layer: one that is applied again has the same weights.
    known: dict[str, Sequence[Operation]] = field(default_factory=dict)

    def add(self, application: Application) -> None:
        """Add what a layer does; one that gives what comes in does nothing."""
        inputs = tuple(self.values[number] for number in application.inputs)
        if computes_nothing(application):
            output = inputs[0]
        elif isinstance(application.layer, layers.RepeatMaps):
            output = self._add_repeated(application, application.layer, inputs[0])
        else:
            output = self._add_operations(application, inputs)
        self.values[application.output] = output

    def _add_operations(self, application: Application, inputs: tuple[str, ...]) -> str:
        name = application.name
        if name not in self.known:
            self.known[name] = _find_operations(application.layer, self._module(name))
        output = ""
        for operation in self.known[name]:
            output = self._append(operation, inputs, application.shape, name)
            inputs = (output,)
        return output

    def _module(self, name: str) -> Any:
        return self.network.get_submodule(name)

    def _add_repeated(
        self, application: Application, layer: layers.RepeatMaps, source: str
    ) -> str:
        """Maps are joined as often as they fit whole, and once more; then they are
        cut.
        """
        maps_in, *sides = application.shape_in
        times = -(-layer.maps // maps_in)
        output = source
        if times > 1:
            joined = (times * maps_in, *sides)
            output = self._append(
                operations.Concat(), (source,) * times, joined, application.name
            )
        if times * maps_in > layer.maps:
            cut = operations.Slice(dimension=1, first=0)
            output = self._append(cut, (output,), application.shape, application.name)
        return output

    def _append(
        self,
        operation: Operation,
        inputs: tuple[str, ...],
        shape: layers.Shape,
        name: str,
    ) -> str:
        output = self._name_value(name)
        self.nodes.append(Node(operation, inputs, output, shape, name))
        return output

    def _name_value(self, name: str) -> str:
        """The name of a layer's value; later ones of the same layer are numbered."""
        self.times[name] += 1
        times = self.times[name]
        return name if times == 1 else f"{name}_{times}"


def _find_operations(layer: layers.Layer | Join, module: Any) -> list[Operation]:
    """The operations of a layer whose weights are those of ``module``; a scalar norm is
    three.
    """
    match layer:
        case layers.Conv():
            return [_make_conv(module, module.weight.detach())]
        case layers.Depthwise(kernels=None):
            return [_make_conv(module, module.weight.detach())]
        case layers.Depthwise(kernels=int(kernels)):
            return [_make_conv(module, _share_kernels(module, kernels))]
        case layers.Linear():
            return [operations.Linear(module.weight.detach(), _freeze(module.bias))]
        case layers.Norm():
            return _find_norm(module)
        case layers.Activation(kind=kind):
            return [_find_activation(kind, module)]
        case layers.MaxPool():
            window = find_window(layer)
            return [operations.MaxPool(window.kernel, window.strides)]
        case layers.MeanPool():
            window = find_window(layer)
            return [operations.MeanPool(window.kernel, window.strides)]
        case layers.PadEnd():
            return [operations.Pad(value=module.value)]
        case layers.MeanOfMaps():
            return [operations.MeanOfMaps()]
        case Join():
            return [operations.Concat()]
        case _:
            raise TypeError(f"layer {layer} has no operations")


def _make_conv(module: Any, weight: Tensor) -> Operation:
    return operations.Conv(
        weight,
        _freeze(module.bias),
        strides=module.stride,
        padding=module.padding,
        groups=module.groups,
    )


def _share_kernels(module: Any, kernels: int) -> Tensor:
    """A kernel for each map: map ``m`` has kernel ``m % kernels``."""
    weight: Tensor = module.weight.detach()
    return weight[[number % kernels for number in range(module.out_channels)]]


def _find_norm(module: Any) -> list[Operation]:
    weight = _freeze(module.weight)
    bias = _freeze(module.bias)
    match module:
        case nn.BatchNorm1d() | nn.BatchNorm2d():
            return [_make_batch_norm(module)]
        case nn.GroupNorm():
            return [operations.GroupNorm(module.num_groups, weight, bias, module.eps)]
        case nn.InstanceNorm2d():
            return [operations.InstanceNorm(weight, bias, module.eps)]
        case nn.LayerNorm():
            return [operations.LayerNorm(weight, bias, module.eps)]
        case _:
            normalise = operations.LayerNorm(eps=module.eps)
            scale = operations.Multiply(module.weight.detach())
            return [normalise, scale, operations.Add(module.bias.detach())]


def _make_batch_norm(module: Any) -> Operation:
    return operations.BatchNorm(
        _freeze(module.weight),
        _freeze(module.bias),
        mean=module.running_mean,
        variance=module.running_var,
        eps=module.eps,
    )


def _find_activation(kind: str, module: Any) -> Operation:
    match kind:
        case "relu":
            return operations.Relu()
        case "leaky_relu":
            return operations.LeakyRelu(module.negative_slope)
        case "prelu":
            return operations.PRelu(module.weight.detach())
        case "silu":
            return operations.Silu()
        case _:
            raise TypeError(f"activation `{kind}` has no operation")


def _freeze(parameter: Tensor | None) -> Tensor | None:
    """The numbers of a parameter, outside of any training."""
    return None if parameter is None else parameter.detach()
