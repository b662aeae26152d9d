"""Layers that several families share, and the checks of their settings."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, TypeVar, cast

from torch import Tensor, cat, empty, nn, ones, zeros
from torch.func import functional_call
from torch.nn.functional import conv2d, layer_norm

from paretune.errors import ConfigError, check_choice, check_least

T = TypeVar("T", int, float, str)
V = TypeVar("V")


def per_layer(name: str, value: T | Sequence[T], layers: int) -> list[T]:
    """``value`` for each layer: a single value serves all, a list must hold one entry a layer."""
    if isinstance(value, (str, int, float)):
        return [value] * layers
    if len(value) != layers:
        raise ConfigError(
            f"model.{name} `{list(value)}` has {len(value)} entries for {layers} layers; expected {layers} entries "
            f"or a single value; set model.{name}"
        )
    return list(value)


def kept(value: V, depth: int | None, layers: int, before: int = 0) -> V:
    """A setting of ``layers`` layers, ``before`` others and some after them, for the first ``depth`` of the layers alone."""
    check_least("model.depth", depth, 1, most=layers, null=True)
    if depth is None or not isinstance(value, (list, tuple)):
        return value
    return cast("V", [*value[: before + depth], *value[before + layers :]])


def sizes(name: str, values: Sequence[int]) -> list[int]:
    """``values`` checked to be whole numbers of at least 1."""
    for value in values:
        check_least(f"model.{name}", value, 1)
    return list(values)


def kernels(kernel_size: int | Sequence[int], padding: str | Sequence[str], layers: int) -> list[tuple[int, int]]:
    """Kernel size and pixels of zero padding on each side, layer by layer.

    ``same`` keeps the size of the map (an even kernel makes it one larger), ``valid`` adds none.
    """
    sides = sizes("kernel_size", per_layer("kernel_size", kernel_size, layers))
    kinds = per_layer("padding", padding, layers)
    for kind in kinds:
        check_choice("model.padding", kind, ("same", "valid"))
    return [(side, side // 2 if kind == "same" else 0) for side, kind in zip(sides, kinds, strict=True)]


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
        self.weight, self.bias, self.eps = nn.Parameter(ones(1)), nn.Parameter(zeros(1)), 1e-5

    def forward(self, features: Tensor) -> Tensor:
        """Features ``(B, ...)``, normalised."""
        return layer_norm(features, features.shape[1:], eps=self.eps) * self.weight + self.bias


class RepeatMaps(nn.Module):
    """The maps that come in over and over until there are ``maps`` of them; with fewer, the first of them. No parameters."""

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.maps = maps

    def forward(self, features: Tensor) -> Tensor:
        """Maps ``(B, maps, ...)`` of features ``(B, C, ...)``."""
        return _repeated(features, self.maps)


def _repeated(features: Tensor, maps: int) -> Tensor:
    channels = features.shape[1]
    repeated = features if channels >= maps else cat([features] * -(-maps // channels), dim=1)
    return repeated if repeated.shape[1] == maps else repeated[:, :maps]


def _group_norm(channels: int) -> nn.Module:
    """As many groups of two or more channels, four at most, as divide them (Wu and He 2018, https://arxiv.org/abs/1803.08494).

    A group of one channel would be an instance norm.
    """
    groups = next((groups for groups in (4, 3, 2) if channels % groups == 0 and channels > groups), 1)
    return nn.GroupNorm(groups, channels)


Norms = Mapping[str, Callable[[int], nn.Module]]
NORMS: Norms = {
    "batch": nn.BatchNorm2d,
    "group": _group_norm,
    "instance": partial(nn.InstanceNorm2d, affine=True),
    "none": lambda channels: nn.Identity(),
    "scalar": lambda channels: ScalarNorm(),
}
UNIT_NORMS: Norms = {**NORMS, "batch": nn.BatchNorm1d, "instance": nn.LayerNorm}


class SharedDepthwise(nn.Conv2d):
    """A depthwise convolution of ``maps`` maps with only ``kernels`` kernels: map ``m`` is filtered by kernel ``m % kernels``.

    Kernels of one depthwise convolution are much alike (Haase and Amthor 2020, https://arxiv.org/abs/2003.13549).
    """

    def __init__(self, maps: int, kernels: int, kernel_size: int, *, padding: int = 0) -> None:
        super().__init__(1, kernels, kernel_size, padding=padding, bias=False)
        self.groups = self.in_channels = self.out_channels = maps

    def forward(self, features: Tensor) -> Tensor:
        """Features ``(B, maps, H, W)``, filtered."""
        weight = _repeated(self.weight.transpose(0, 1), self.groups).transpose(0, 1)
        return conv2d(features, weight, padding=self.padding, groups=self.groups)


class SeparableConv(nn.Sequential):
    """A depthwise convolution, then a 1x1 one that mixes the channels, nothing in between.

    Chollet 2016, "Xception" (https://arxiv.org/abs/1610.02357). Keras gives the depthwise part no bias; ``depthwise_bias``
    does; ``bias`` is that of the other part. Other ``settings`` are those of ``nn.Conv2d``.
    """

    def __init__(
        self,
        fan_in: int,
        fan_out: int,
        kernel: int,
        *,
        depthwise_bias: bool = False,
        bias: bool = True,
        kernels: int | None = None,
        **settings: Any,
    ) -> None:
        depthwise = (
            nn.Conv2d(fan_in, fan_in, kernel, groups=fan_in, bias=depthwise_bias, **settings)
            if kernels is None
            else SharedDepthwise(fan_in, kernels, kernel, **settings)
        )
        super().__init__(depthwise, nn.Conv2d(fan_in, fan_out, 1, bias=bias))


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
        check_choice("model.norm", self.norm, NORMS)
        check_choice("model.activation", self.activation, ACTIVATIONS)

    def check_averaged(self) -> None:
        """Refuse what leaves the same mean in every map of every image, before layers that read nothing but means."""
        if self.norm == "instance" and not self.norm_first:
            raise ConfigError(
                "model.norm `instance` after the activation gives maps of the same mean for every image, and the global pool "
                "reads means only; expected it before the activation, or another norm; set model.norm_first=true"
            )

    def layers(self, channels: int, norms: Norms = NORMS) -> list[nn.Module]:
        """New layers to follow a convolution with ``channels`` output maps; with ``UNIT_NORMS``, a dense layer."""
        norm, activation = norms[self.norm](channels), ACTIVATIONS[self.activation]()
        ordered = [norm, activation] if self.norm_first else [activation, norm]
        return [layer for layer in ordered if not isinstance(layer, nn.Identity)]


class Stack(nn.Module):
    """A network that is one stack of layers."""

    def __init__(self, layers: Iterable[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(B, num_classes)`` of images ``(B, C, H, W)``."""
        logits: Tensor = self.layers(images)
        return logits


def dense(units: Sequence[int], normalise: Normalise, dropout: float | Sequence[float] = 0.0) -> list[nn.Module]:
    """A dense layer from each number of units to the next, each normalised, activated and followed by its dropout."""
    layers: list[nn.Module] = []
    for (fan_in, fan_out), rate in zip(pairwise(units), per_layer("dropout", dropout, len(units) - 1), strict=True):
        layers += [nn.Linear(fan_in, fan_out), *normalise.layers(fan_out, UNIT_NORMS), *dropouts(rate)]
    return layers


def map_shape(layers: Iterable[nn.Module], image_shape: Sequence[int]) -> tuple[int, ...]:
    """Shape ``(C, H, W)`` of the maps that ``layers`` make of images of ``image_shape``, by a dry run on torch's meta device.

    Nothing is computed there: weights and random state stay as they are. Only layers with a kernel run, the others keep
    the shape (and norms are slow on meta). Raises :class:`~paretune.errors.ConfigError` where a layer does not fit.
    """
    if len(image_shape) != 3:
        raise ConfigError(
            f"model.image_shape `{list(image_shape)}` is invalid; expected [channels, height, width]; set model.image_shape"
        )
    maps = empty(1, *image_shape, device="meta")
    for layer in (part for block in layers for part in block.modules() if hasattr(part, "kernel_size")):
        weights = {name: weight.to("meta") for name, weight in layer.named_parameters()}
        try:
            maps = functional_call(layer, weights, (maps,))
        except RuntimeError as error:
            kernel: Any = layer.kernel_size
            named = f"{kernel}x{kernel} pool" if isinstance(kernel, int) else f"{kernel[0]}x{kernel[1]} convolution"
            raise ConfigError(
                f"model leaves no pixel: a {named} does not fit on a {maps.shape[2]}x{maps.shape[3]} map; expected a map of at "
                f"least 1x1 to be left; use fewer pools, smaller kernels, `same` padding or fewer layers"
            ) from error
    return tuple(maps.shape[1:])


# Glorot and Bengio 2010 (https://proceedings.mlr.press/v9/glorot10a.html), Keras' default; He et al. 2015
# (https://arxiv.org/abs/1502.01852); torch's own draws weights and biases from a uniform of 1 / sqrt(fan-in).
INITIALS: dict[str, Callable[[Tensor], Tensor] | None] = {
    "glorot": nn.init.xavier_uniform_,
    "he": partial(nn.init.kaiming_normal_, nonlinearity="relu"),
    "torch": None,
}
SETTINGS = ("init", "norm_eps", "norm_momentum", "views")


def initialise(net: nn.Module, settings: Mapping[str, Any]) -> None:
    """Draw the weights of ``net`` anew as ``init`` says (biases 0), set ``norm_eps`` and ``norm_momentum`` of its norms.

    ``norm_momentum`` is torch's: the weight of the newest batch in the running statistics (Keras' 0.99 is 0.01).
    """
    init = settings.get("init", "torch")
    check_choice("model.init", init, INITIALS)
    draw = INITIALS[init]
    for layer in net.modules():
        if draw and isinstance(layer, (nn.Conv2d, nn.Linear)):
            draw(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        for name in ("eps", "momentum"):
            if f"norm_{name}" in settings and hasattr(layer, name):
                setattr(layer, name, settings[f"norm_{name}"])
