"""The form of a family, and the checks of settings that come by layer. No torch."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar, cast

from paretune.errors import ConfigError, check_choice, check_least
from paretune.layers.types import (
    Activation,
    Conv,
    Depthwise,
    Dropout,
    Layer,
    Layers,
    Linear,
    Norm,
)

T = TypeVar("T", int, float, str)
V = TypeVar("V")

ACTIVATIONS = ("leaky_relu", "prelu", "relu", "silu")
NORMS = ("batch", "group", "instance", "none", "scalar")
PADDINGS = ("same", "valid")


@dataclass(frozen=True, kw_only=True)
class Family(ABC):
    """The settings of a family of networks, from images ``(C, H, W)`` of
    ``image_shape`` to ``num_classes`` logits.
    """

    image_shape: Sequence[int] = (1, 28, 28)
    num_classes: int = 10

    @abstractmethod
    def layers(self) -> Layers:
        """The layers of the network with these settings.

        Raises :class:`~paretune.errors.ConfigError` for settings that cannot work.
        """


def per_layer(name: str, value: T | Sequence[T], layers: int) -> list[T]:
    """``value`` for each layer: a single value serves all, and so does the last entry of
    a list for the layers behind it.
    """
    if isinstance(value, (str, int, float)):
        return [value] * layers
    entries = list(value)
    if len(entries) > layers or (layers and not entries):
        raise ConfigError(
            f"model.{name} `{entries}` has {len(entries)} entries for {layers} "
            f"layers; expected 1 to {layers}, or a single value; set model.{name}"
        )
    missing = layers - len(entries)
    return entries + entries[-1:] * missing


def cut_to_depth(
    value: V, depth: int | None, layers: int, before: int = 0, *, least: int = 1
) -> V:
    """A setting of ``layers`` layers, ``before`` others and some after them, for the
    first ``depth`` layers alone, of which there must be at ``least`` so many.
    """
    check_least("model.depth", depth, least, most=layers, null=True)
    if depth is None or not isinstance(value, (list, tuple)):
        return value
    return cast("V", [*value[: before + depth], *value[before + layers :]])


def read_sizes(name: str, values: Sequence[int]) -> list[int]:
    """``values`` checked to be whole numbers of at least 1."""
    for value in values:
        check_least(f"model.{name}", value, 1)
    return list(values)


@dataclass(frozen=True, slots=True)
class Window:
    """The kernel of a convolution: ``size`` x ``size``, with ``padding`` zeros on each
    side of what comes in.
    """

    size: int
    padding: int


def make_windows(
    kernel_size: int | Sequence[int], padding: str | Sequence[str], layers: int
) -> list[Window]:
    """The kernels layer by layer.

    ``same`` keeps the size of the map (an even kernel makes it one larger), ``valid``
    adds no zeros.
    """
    sizes = read_sizes("kernel_size", per_layer("kernel_size", kernel_size, layers))
    windows: list[Window] = []
    for size, kind in zip(sizes, per_layer("padding", padding, layers), strict=True):
        check_choice("model.padding", kind, PADDINGS)
        windows.append(Window(size, size // 2 if kind == "same" else 0))
    return windows


@dataclass(frozen=True, slots=True)
class Normalise:
    """How a layer's output is normalised and activated: which norm, which activation,
    which of them first.
    """

    norm: str
    activation: str
    norm_first: bool = False

    def __post_init__(self) -> None:
        check_choice("model.norm", self.norm, NORMS)
        check_choice("model.activation", self.activation, ACTIVATIONS)

    def check_averaged(self) -> None:
        """Refuse what leaves the same mean in every map of every image, before layers
        that read nothing but means.
        """
        if self.norm == "instance" and not self.norm_first:
            raise ConfigError(
                "model.norm `instance` after the activation gives maps of the same "
                "mean for every image, and the global pool reads means only; set "
                "model.norm_first=true, or another norm"
            )

    def layers(self) -> list[Layer]:
        """Layers that follow a convolution or a dense layer."""
        activation = Activation(self.activation)
        if self.norm == "none":
            return [activation]
        norm = Norm(self.norm)
        if self.norm_first:
            return [norm, activation]
        return [activation, norm]


def make_separable(
    maps: int,
    window: Window,
    *,
    depthwise_bias: bool = False,
    bias: bool = True,
    stride: int = 1,
    kernels: int | None = None,
) -> list[Layer]:
    """A depthwise convolution, then a 1x1 one that mixes the maps to ``maps``, nothing
    in between.

    Chollet 2016, "Xception" (https://arxiv.org/abs/1610.02357). Keras gives the
    depthwise part no bias; ``depthwise_bias`` does; ``bias`` is that of the other part.
    ``kernels`` are how many the maps share; ``None``: one for each.
    """
    depthwise = Depthwise(window.size, window.padding, stride, depthwise_bias, kernels)
    return [depthwise, Conv(maps, 1, bias=bias)]


def make_dropout(rate: float, *, of_maps: bool = False) -> list[Layer]:
    """A layer that drops values, or whole maps; no layer where ``rate`` is 0."""
    return [Dropout(rate, of_maps)] if rate else []


def make_dense(
    units: Sequence[int], normalise: Normalise, dropout: float | Sequence[float] = 0.0
) -> list[Layer]:
    """A dense layer to each number of ``units``, each normalised, activated and
    followed by its dropout.
    """
    rates = per_layer("dropout", dropout, len(units))
    layers: list[Layer] = []
    for size, rate in zip(units, rates, strict=True):
        layers += [Linear(size), *normalise.layers(), *make_dropout(rate)]
    return layers
