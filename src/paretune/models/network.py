"""The network that runs a list of layers, and how its weights start."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from torch import Tensor, cat, nn

from paretune.errors import check_choice
from paretune.layers.names import name_layers
from paretune.layers.shapes import infer_shape, infer_shape_after
from paretune.layers.types import Layer, Layers, Parallel, Repeat, Shape
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
        modules, _ = _make_modules(layers, image_shape)
        super().__init__(modules)
        self.layers = layers
        self.image_shape = image_shape


class Repeated(nn.Module):
    """Layers with the same weights at each step, and each step's own layers: see
    :class:`paretune.layers.types.Repeat`.
    """

    def __init__(self, layer: Repeat, shape: Shape) -> None:
        super().__init__()
        shared, _ = _make_modules(layer.shared, shape)
        self.shared = nn.Sequential(shared)
        self.n_steps = len(layer.steps)
        for number, layers in enumerate(layer.steps, 1):
            own, shape = _make_modules(layers, infer_shape_after(layer.shared, shape))
            self.add_module(f"step{number}", nn.Sequential(own))
        self.shape = shape

    def forward(self, features: Tensor) -> Tensor:
        """Maps ``(B, C, H, W)`` after the last step."""
        for number in range(1, self.n_steps + 1):
            features = self.get_submodule(f"step{number}")(self.shared(features))
        return features


class Branches(nn.Module):
    """Layers side by side on the same maps, joined: see
    :class:`paretune.layers.types.Parallel`.
    """

    def __init__(self, layer: Parallel, shape: Shape) -> None:
        super().__init__()
        self.n_branches = len(layer.branches)
        maps = 0
        end = shape
        for number, layers in enumerate(layer.branches, 1):
            modules, end = _make_modules(layers, shape)
            self.add_module(f"branch{number}", nn.Sequential(modules))
            maps += end[0]
        self.shape: Shape = (maps, *end[1:])

    def forward(self, features: Tensor) -> Tensor:
        """Maps ``(B, C, H, W)`` of all branches, in their order."""
        ends = [
            self.get_submodule(f"branch{number}")(features)
            for number in range(1, self.n_branches + 1)
        ]
        return cat(ends, dim=1)


def _make_modules(
    layers: Iterable[Layer], shape: Shape
) -> tuple[OrderedDict[str, nn.Module], Shape]:
    """The modules of ``layers`` by their names, for values of ``shape``, and the shape
    of what they give.
    """
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    for name, layer in name_layers(layers):
        match layer:
            case Repeat():
                repeated = Repeated(layer, shape)
                modules[name], shape = repeated, repeated.shape
            case Parallel():
                branches = Branches(layer, shape)
                modules[name], shape = branches, branches.shape
            case _:
                modules[name], shape = (
                    make_module(layer, shape),
                    infer_shape(layer, shape),
                )
    return modules, shape


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
    for module in net.modules():
        if draw and isinstance(module, (nn.Conv2d, nn.Linear)):
            draw(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        for name in ("eps", "momentum"):
            if f"norm_{name}" in settings and hasattr(module, name):
                setattr(module, name, settings[f"norm_{name}"])
