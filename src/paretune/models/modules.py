"""Layers as torch modules: one class or function for each kind of
:mod:`paretune.layers.types`.
"""

from math import ceil, inf

from torch import Tensor, cat, nn, ones, zeros
from torch.nn.functional import conv2d, layer_norm

from paretune.layers.types import (
    Activation,
    Conv,
    Depthwise,
    Dropout,
    Flatten,
    Layer,
    Linear,
    MaxPool,
    MeanOfMaps,
    MeanPool,
    Norm,
    PadEnd,
    RepeatMaps,
    Shape,
)
from paretune.layers.windows import find_window

LEAKY_SLOPE = 0.2
# Of a group norm, the first that fits.
NORM_GROUPS = (4, 3, 2)


class ScalarNorm(nn.Module):
    """Each example to mean 0 and deviation 1 over all its values, then one learnable
    scale and one shift.

    Layer normalisation (Ba, Kiros and Hinton 2016, https://arxiv.org/abs/1607.06450)
    with two parameters, as in github:ruslangrimov/mnist-minimal-model.
    """

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(ones(1))
        self.bias = nn.Parameter(zeros(1))
        self.eps = 1e-5

    def forward(self, features: Tensor) -> Tensor:
        """Features ``(B, ...)``, normalised."""
        return (
            layer_norm(features, features.shape[1:], eps=self.eps) * self.weight
            + self.bias
        )


class RepeatedMaps(nn.Module):
    """The maps that come in over and over until there are ``maps`` of them; with fewer,
    the first of them.
    """

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.maps = maps

    def forward(self, features: Tensor) -> Tensor:
        """Maps ``(B, maps, ...)`` of features ``(B, C, ...)``."""
        return _repeat(features, self.maps)


def _repeat(features: Tensor, maps: int) -> Tensor:
    times = ceil(maps / features.shape[1])
    if times > 1:
        features = cat([features] * times, dim=1)
    if features.shape[1] > maps:
        features = features[:, :maps]
    return features


class SharedDepthwise(nn.Conv2d):
    """A depthwise convolution of ``maps`` maps with only ``kernels`` kernels: map ``m``
    is filtered by kernel ``m % kernels``.

    See :class:`paretune.layers.types.Depthwise`.
    """

    def __init__(self, maps: int, layer: Depthwise) -> None:
        assert layer.kernels is not None
        window = find_window(layer)
        super().__init__(
            1,
            layer.kernels,
            window.kernel,
            window.strides,
            window.padding,
            bias=False,
        )
        self.groups = self.in_channels = self.out_channels = maps

    def forward(self, features: Tensor) -> Tensor:
        """Features ``(B, maps, H, W)``, filtered."""
        weight = _repeat(self.weight.transpose(0, 1), self.groups).transpose(0, 1)
        return conv2d(
            features,
            weight,
            stride=self.stride,
            padding=self.padding,
            groups=self.groups,
        )


class MapMeans(nn.Module):
    """The mean of each map."""

    def forward(self, features: Tensor) -> Tensor:
        """Means ``(B, C)`` of features ``(B, C, H, W)``."""
        return features.mean(dim=(2, 3))


def make_module(layer: Layer, shape: Shape) -> nn.Module:
    """The module of a layer, of those that have no layers within, for values of
    ``shape``; weights are torch's own draw.
    """
    maps_in = shape[0]
    match layer:
        case Conv():
            return _make_conv(layer, maps_in)
        case Depthwise(kernels=None):
            return _make_depthwise(layer, maps_in)
        case Depthwise():
            return SharedDepthwise(maps_in, layer)
        case Linear():
            return nn.Linear(maps_in, layer.units, bias=layer.bias)
        case Norm():
            return _make_norm(layer.kind, shape)
        case Activation():
            return _make_activation(layer.kind)
        case MaxPool():
            window = find_window(layer)
            return nn.MaxPool2d(window.kernel, window.strides)
        case MeanPool():
            return nn.AvgPool2d(find_window(layer).kernel)
        case Dropout():
            return nn.Dropout2d(layer.rate) if layer.of_maps else nn.Dropout(layer.rate)
        case RepeatMaps():
            return RepeatedMaps(layer.maps)
        case MeanOfMaps():
            return MapMeans()
        case Flatten():
            return nn.Flatten()
        case PadEnd():
            rows = 0 if layer.is_flat else 1
            return nn.ConstantPad2d((0, 1, 0, rows), -inf)
        case _:
            raise TypeError(f"layer {layer} has no module")


def _make_conv(layer: Conv, maps_in: int) -> nn.Conv2d:
    window = find_window(layer)
    return nn.Conv2d(
        maps_in,
        layer.maps,
        window.kernel,
        window.strides,
        window.padding,
        bias=layer.bias,
    )


def _make_depthwise(layer: Depthwise, maps: int) -> nn.Conv2d:
    window = find_window(layer)
    return nn.Conv2d(
        maps,
        maps,
        window.kernel,
        window.strides,
        window.padding,
        groups=maps,
        bias=layer.bias,
    )


def _make_norm(kind: str, shape: Shape) -> nn.Module:
    """A norm of maps ``(C, H, W)``, or of values ``(C,)``, of which an instance norm is
    one over all of them.
    """
    channels = shape[0]
    has_maps = len(shape) == 3
    match kind:
        case "batch":
            if has_maps:
                return nn.BatchNorm2d(channels)
            return nn.BatchNorm1d(channels)
        case "group":
            return nn.GroupNorm(choose_groups(channels), channels)
        case "instance":
            if has_maps:
                return nn.InstanceNorm2d(channels, affine=True)
            return nn.LayerNorm(channels)
        case "scalar":
            return ScalarNorm()
        case _:
            raise TypeError(f"norm `{kind}` has no module")


def choose_groups(channels: int) -> int:
    """As many groups of two or more channels, four at most, as divide them.

    A group of one channel would be an instance norm. Wu and He 2018,
    https://arxiv.org/abs/1803.08494.
    """
    for groups in NORM_GROUPS:
        if channels % groups == 0 and channels > groups:
            return groups
    return 1


def _make_activation(kind: str) -> nn.Module:
    match kind:
        case "leaky_relu":
            return nn.LeakyReLU(LEAKY_SLOPE)
        case "prelu":
            return nn.PReLU()
        case "relu":
            return nn.ReLU()
        case "silu":
            return nn.SiLU()
        case _:
            raise TypeError(f"activation `{kind}` has no module")
