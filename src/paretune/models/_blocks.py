"""Layers and settings that several families share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from torch import nn

from paretune.errors import ConfigError

__all__ = ["MapSize", "Normalise", "activation_layer", "pads", "per_layer", "positive"]

T = TypeVar("T", int, float, str)

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "leaky_relu": nn.LeakyReLU,
    "relu": nn.ReLU,
    "silu": nn.SiLU,
}
NORMS: dict[str, type[nn.Module]] = {"batch": nn.BatchNorm2d, "none": nn.Identity}
PADDINGS = ("same", "valid")


def per_layer(name: str, value: T | Sequence[T], layers: int) -> list[T]:
    """``value`` for each layer: a single value serves all, a list must hold one entry a layer."""
    if isinstance(value, (str, int, float)):
        return [value] * layers
    if len(value) != layers:
        message = (
            f"{name} `{list(value)}` has {len(value)} entries for {layers} layers; expected {layers} entries "
            f"or a single value; set model.{name}"
        )
        raise ConfigError(message)
    return list(value)


def positive(name: str, widths: Sequence[int]) -> list[int]:
    """``widths`` checked to be whole numbers of at least 1."""
    if any(width != int(width) or width < 1 for width in widths):
        message = (
            f"{name} `{list(widths)}` has a width that is no layer; expected whole numbers of at least 1; "
            f"set model.{name}"
        )
        raise ConfigError(message)
    return [int(width) for width in widths]


def pads(padding: str | Sequence[str], kernel_sizes: Sequence[int]) -> list[int]:
    """Pixels of zero padding on each side, layer by layer: ``same`` keeps the map's size, ``valid`` adds none."""
    kinds = per_layer("padding", padding, len(kernel_sizes))
    for kind in kinds:
        _known("padding", kind, PADDINGS)
    return [size // 2 if kind == "same" else 0 for kind, size in zip(kinds, kernel_sizes, strict=True)]


def activation_layer(name: str) -> nn.Module:
    """A new activation layer by name."""
    _known("activation", name, ACTIVATIONS)
    return ACTIVATIONS[name]()


@dataclass(frozen=True, slots=True)
class Normalise:
    """How a convolution's output is normalised and activated: which norm, which activation, which of them first."""

    norm: str
    activation: str
    norm_first: bool

    def __post_init__(self) -> None:
        _known("norm", self.norm, NORMS)
        _known("activation", self.activation, ACTIVATIONS)

    def layers(self, channels: int) -> list[nn.Module]:
        """New layers to follow a convolution with ``channels`` output maps."""
        activation = activation_layer(self.activation)
        if self.norm == "none":
            return [activation]
        norm = NORMS[self.norm](channels)
        return [norm, activation] if self.norm_first else [activation, norm]


@dataclass
class MapSize:
    """The side in pixels of a square feature map, followed through a stack of layers."""

    side: int

    def conv(self, kernel_size: int, pad: int) -> None:
        """Follow a convolution of stride 1."""
        self._set(self.side + 2 * pad - kernel_size + 1, f"a {kernel_size}x{kernel_size} convolution")

    def pool(self) -> None:
        """Follow a 2x2 max-pool."""
        self._set(self.side // 2, "a 2x2 pool")

    def _set(self, side: int, layer: str) -> None:
        if side < 1:
            message = (
                f"model leaves no pixel: {layer} does not fit on a {self.side}x{self.side} map; expected a map of at "
                f"least 1x1 to be left; use fewer pools, smaller kernels, `same` padding or fewer layers"
            )
            raise ConfigError(message)
        self.side = side


def _known(what: str, name: str, names: Sequence[str] | dict[str, type[nn.Module]]) -> None:
    if name not in names:
        message = f"{what} `{name}` is unknown; expected one of {', '.join(names)}; set model.{what}"
        raise ConfigError(message)
