"""The network that runs a list of layers, and how its weights start."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from torch import Tensor, cat, nn

from paretune.errors import check_choice
from paretune.layers.names import name_layers, name_parts
from paretune.layers.types import Layer, Layers, Parallel, Repeat, Shape
from paretune.layers.unroll import Application, Join, once_each, unroll
from paretune.models.modules import make_module


class Network(nn.Sequential):
    """Layers one after another, from images ``(B, C, H, W)`` to logits ``(B,
    num_classes)``.

    Parameters are called after their layers: ``conv1.weight``,
    ``repeat1.step2.norm1.bias`` (see
    :mod:`paretune.layers.names`). ``layers`` and ``image_shape`` are kept: what is
    written of the network comes from them.
    """

    def __init__(self, layers: Layers, image_shape: Shape) -> None:
        modules = _make_modules(unroll(layers, image_shape))
        super().__init__(_arrange(layers, "", modules))
        self.layers = layers
        self.image_shape = image_shape


class Repeated(nn.Module):
    """Layers with the same weights at each step, and each step's own layers: see
    :class:`paretune.layers.types.Repeat`.
    """

    def __init__(self, parts: Mapping[str, nn.Module]) -> None:
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, features: Tensor) -> Tensor:
        """Maps ``(B, C, H, W)`` after the last step."""
        shared, *steps = self.children()
        for step in steps:
            features = step(shared(features))
        return features


class Branches(nn.Module):
    """Layers side by side on the same maps, joined: see
    :class:`paretune.layers.types.Parallel`.
    """

    def __init__(self, parts: Mapping[str, nn.Module]) -> None:
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, features: Tensor) -> Tensor:
        """Maps ``(B, C, H, W)`` of all branches, in their order."""
        return cat([branch(features) for branch in self.children()], dim=1)


def _make_modules(line: Iterable[Application]) -> dict[str, nn.Module]:
    """The module of each layer that has none within, by the layer's name."""
    modules: dict[str, nn.Module] = {}
    for application in once_each(line):
        layer = application.layer
        if not isinstance(layer, Join):
            modules[application.name] = make_module(layer, application.shape_in)
    return modules


def _arrange(
    layers: Iterable[Layer], prefix: str, modules: Mapping[str, nn.Module]
) -> OrderedDict[str, nn.Module]:
    """The modules of ``layers``, whose names begin with ``prefix``, by what is left of
    their names.
    """
    arranged: OrderedDict[str, nn.Module] = OrderedDict()
    for name, layer in name_layers(layers):
        match layer:
            case Repeat():
                parts = _arrange_parts(layer, f"{prefix}{name}.", modules)
                arranged[name] = Repeated(parts)
            case Parallel():
                parts = _arrange_parts(layer, f"{prefix}{name}.", modules)
                arranged[name] = Branches(parts)
            case _:
                arranged[name] = modules[f"{prefix}{name}"]
    return arranged


def _arrange_parts(
    layer: Repeat | Parallel, prefix: str, modules: Mapping[str, nn.Module]
) -> dict[str, nn.Module]:
    return {
        name: nn.Sequential(_arrange(layers, f"{prefix}{name}.", modules))
        for name, layers in name_parts(layer)
    }


# Glorot and Bengio 2010 (https://proceedings.mlr.press/v9/glorot10a.html), Keras'
# default; He et al. 2015 (https://arxiv.org/abs/1502.01852); torch's own draws weights
# and biases from a uniform of 1 / sqrt(fan-in).
INITIALS: dict[str, Callable[[Tensor], Tensor] | None] = {
    "glorot": nn.init.xavier_uniform_,
    "he": partial(nn.init.kaiming_normal_, nonlinearity="relu"),
    "torch": None,
}


def initialise(net: nn.Module, settings: Mapping[str, Any]) -> None:
    """Draw the weights of ``net`` anew as ``init`` says (biases 0), set ``norm_eps``
    and ``norm_momentum`` of its norms.

    ``norm_momentum`` is torch's: the weight of the newest batch in the running
    statistics (Keras' 0.99 is 0.01). Raises
    :class:`~paretune.errors.ConfigError` for an unknown ``init``.
    """
    init = settings.get("init", "torch")
    check_choice("model.init", init, INITIALS)
    draw = INITIALS[init]
    if draw:
        _draw_weights(net, draw)
    for name in ("eps", "momentum"):
        if f"norm_{name}" in settings:
            _set_everywhere(net, name, settings[f"norm_{name}"])


def _draw_weights(net: nn.Module, draw: Callable[[Tensor], Tensor]) -> None:
    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            draw(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def _set_everywhere(net: nn.Module, name: str, value: float) -> None:
    """Set an attribute of all modules that have it."""
    for module in net.modules():
        if hasattr(module, name):
            setattr(module, name, value)
