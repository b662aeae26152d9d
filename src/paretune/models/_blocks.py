"""Layers that several families share."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from torch import Tensor, nn, ones, zeros
from torch.nn.functional import layer_norm

from paretune.errors import ConfigError

T = TypeVar("T", int, float, str)

PADDINGS = ("same", "valid")


def per_layer(name: str, value: T | Sequence[T], layers: int) -> list[T]:
    """``value`` for each layer: a single value serves all, a list must hold one entry a layer."""
    if isinstance(value, (str, int, float)):
        return [value] * layers
    if len(value) != layers:
        raise ConfigError(
            f"{name} `{list(value)}` has {len(value)} entries for {layers} layers; expected {layers} entries "
            f"or a single value; set model.{name}"
        )
    return list(value)


def positive(name: str, widths: Sequence[int]) -> list[int]:
    """``widths`` checked to be whole numbers of at least 1."""
    if any(width != int(width) or width < 1 for width in widths):
        raise ConfigError(
            f"{name} `{list(widths)}` holds what is no size; expected whole numbers of at least 1; set model.{name}"
        )
    return [int(width) for width in widths]


def pads(padding: str | Sequence[str], kernel_sizes: Sequence[int]) -> list[int]:
    """Pixels of zero padding on each side, layer by layer.

    ``same`` keeps the size of the map (an even kernel makes it one larger), ``valid`` adds none.
    """
    positive("kernel_size", kernel_sizes)
    kinds = per_layer("padding", padding, len(kernel_sizes))
    for kind in kinds:
        known("padding", kind, PADDINGS)
    return [size // 2 if kind == "same" else 0 for kind, size in zip(kinds, kernel_sizes, strict=True)]


def known(what: str, name: str, names: Iterable[str]) -> None:
    """Raise :class:`~paretune.errors.ConfigError` if ``name`` is none of ``names``."""
    if name not in list(names):
        message = f"{what} `{name}` is unknown; expected one of {', '.join(names)}; set model.{what}"
        raise ConfigError(message)


ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "leaky_relu": partial(nn.LeakyReLU, 0.2),
    "prelu": nn.PReLU,
    "relu": nn.ReLU,
    "silu": nn.SiLU,
}


class ScalarNorm(nn.Module):
    """Each example to mean 0 and deviation 1 over all its values, then one learnable scale and one shift.

    Layer normalisation (Ba, Kiros and Hinton 2016, https://arxiv.org/abs/1607.06450) with two parameters, as in
    github:ruslangrimov/mnist-minimal-model.
    """

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(ones(1)), nn.Parameter(zeros(1))
        self.eps = 1e-5

    def forward(self, features: Tensor) -> Tensor:
        """Features ``(B, ...)``, normalised."""
        return layer_norm(features, features.shape[1:], eps=self.eps) * self.weight + self.bias


def _group_norm(channels: int) -> nn.Module:
    """As many groups of two or more channels, four at most, as divide them (Wu and He 2018, https://arxiv.org/abs/1803.08494).

    A group of one channel would be an instance norm.
    """
    return nn.GroupNorm(
        next((groups for groups in (4, 3, 2) if channels % groups == 0 and channels > groups), 1), channels
    )


NORMS: dict[str, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm2d,
    "group": _group_norm,
    "instance": partial(nn.InstanceNorm2d, affine=True),
    "none": lambda channels: nn.Identity(),
    "scalar": lambda channels: ScalarNorm(),
}
UNIT_NORMS: dict[str, Callable[[int], nn.Module]] = {**NORMS, "batch": nn.BatchNorm1d, "instance": nn.LayerNorm}


class SeparableConv(nn.Sequential):
    """A depthwise convolution, then a 1x1 one that mixes the channels, nothing in between.

    Chollet 2016, "Xception" (https://arxiv.org/abs/1610.02357). Keras gives the depthwise part no bias; ``depthwise_bias``
    does.
    """

    def __init__(
        self, fan_in: int, fan_out: int, kernel: int, pad: int = 0, *, stride: int = 1, depthwise_bias: bool = False
    ) -> None:
        depthwise = nn.Conv2d(fan_in, fan_in, kernel, stride, pad, groups=fan_in, bias=depthwise_bias)
        super().__init__(depthwise, nn.Conv2d(fan_in, fan_out, 1))


def activation_layer(name: str) -> nn.Module:
    """A new activation layer by name."""
    known("activation", name, ACTIVATIONS)
    return ACTIVATIONS[name]()


def dropouts(rate: float, *, maps: bool = False) -> list[nn.Module]:
    """A layer that drops values, or whole ``maps``; no layer where ``rate`` is 0."""
    return [nn.Dropout2d(rate) if maps else nn.Dropout(rate)] if rate else []


@dataclass(frozen=True, slots=True)
class Normalise:
    """How a layer's output is normalised and activated: which norm, which activation, which of them first."""

    norm: str
    activation: str
    norm_first: bool = False

    def __post_init__(self) -> None:
        known("norm", self.norm, NORMS)
        known("activation", self.activation, ACTIVATIONS)

    def check_averaged(self) -> None:
        """Refuse what leaves the same mean in every map of every image, before layers that read nothing but means."""
        if self.norm == "instance" and not self.norm_first:
            raise ConfigError(
                "norm `instance` after the activation gives maps of the same mean for every image, and the global pool "
                "reads means only; expected it before the activation, or another norm; set model.norm_first=true"
            )

    def layers(self, channels: int) -> list[nn.Module]:
        """New layers to follow a convolution with ``channels`` output maps."""
        return self._ordered(NORMS[self.norm](channels))

    def of_units(self, units: int) -> list[nn.Module]:
        """New layers to follow a dense layer of ``units``."""
        return self._ordered(UNIT_NORMS[self.norm](units))

    def _ordered(self, norm: nn.Module) -> list[nn.Module]:
        activation = ACTIVATIONS[self.activation]()
        if isinstance(norm, nn.Identity):
            return [activation]
        return [norm, activation] if self.norm_first else [activation, norm]


@dataclass
class MapSize:
    """The side in pixels of a square feature map, followed through a stack of layers."""

    side: int

    @classmethod
    def of(cls, image_shape: Sequence[int]) -> "MapSize":
        """That of square images ``(C, H, W)``."""
        if len(image_shape) != 3 or image_shape[1] != image_shape[2]:
            message = f"image_shape `{list(image_shape)}` is not square; expected [channels, side, side]; set model.image_shape"
            raise ConfigError(message)
        return cls(image_shape[1])

    def conv(self, kernel_size: int, pad: int, stride: int = 1) -> None:
        """Follow a convolution."""
        self._set((self.side + 2 * pad - kernel_size) // stride + 1, f"a {kernel_size}x{kernel_size} convolution")

    def pool(self, stride: int = 2) -> None:
        """Follow a 2x2 max-pool."""
        self._set((self.side - 2) // stride + 1, "a 2x2 pool")

    def _set(self, side: int, layer: str) -> None:
        if side < 1:
            raise ConfigError(
                f"model leaves no pixel: {layer} does not fit on a {self.side}x{self.side} map; expected a map of at "
                f"least 1x1 to be left; use fewer pools, smaller kernels, `same` padding or fewer layers"
            )
        self.side = side


Initial = Callable[[Tensor], Tensor]
# Glorot and Bengio 2010 (https://proceedings.mlr.press/v9/glorot10a.html), Keras' default; He et al. 2015
# (https://arxiv.org/abs/1502.01852); torch's own draws weights and biases from a uniform of 1 / sqrt(fan-in).
INITIALS: dict[str, Initial | None] = {
    "glorot": nn.init.xavier_uniform_,
    "he": lambda weight: nn.init.kaiming_normal_(weight, nonlinearity="relu"),
    "torch": None,
}
SETTINGS = ("init", "norm_eps", "norm_momentum")
LAYERS = (nn.Conv2d, nn.Linear)


def initialise(net: nn.Module, settings: Mapping[str, Any]) -> None:
    """Draw the weights of ``net`` anew as ``init`` says (biases 0), set ``norm_eps`` and ``norm_momentum`` of its norms.

    ``norm_momentum`` is torch's: the weight of the newest batch in the running statistics (Keras' 0.99 is 0.01).
    """
    how = str(settings.get("init", "torch"))
    known("init", how, INITIALS)
    draw = INITIALS[how]
    for layer in net.modules():
        if draw and isinstance(layer, LAYERS):
            draw(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        for setting in ("norm_eps", "norm_momentum"):
            name = setting.removeprefix("norm_")
            if setting in settings and hasattr(layer, name):
                setattr(layer, name, settings[setting])
