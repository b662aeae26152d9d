"""The layers of a network in words."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from paretune.models import build


def layer_list(model: Mapping[str, Any]) -> str:
    """Every layer of a plain ``model`` config in order, such as ``conv 3x3 1>8, relu, batch norm 8, pool 2, ... dense 40>10``.

    Shared ones stand once. Raises :class:`~paretune.errors.ConfigError` like :func:`paretune.models.build`.
    """
    with torch.device("meta"):
        net = build(model)
    leaves = (module for module in net.modules() if not any(module.children()))
    return ", ".join(_named(leaf) for leaf in leaves if not isinstance(leaf, UNSAID))


def _conv(layer: Any) -> str:
    kind = "depthwise conv" if layer.groups == layer.in_channels > 1 else "conv"
    return f"{kind} {'x'.join(map(str, layer.kernel_size))} {layer.in_channels}>{layer.out_channels}"


UNSAID = (nn.Identity, nn.Flatten, nn.Dropout, nn.Dropout2d)  # nothing of it is left in a trained network

NAMES: dict[type[nn.Module], Callable[[Any], str]] = {
    nn.Conv2d: _conv,
    nn.Linear: lambda layer: f"dense {layer.in_features}>{layer.out_features}",
    nn.MaxPool2d: lambda layer: f"pool {layer.kernel_size}",
    nn.LeakyReLU: lambda layer: "leaky relu",
    nn.AdaptiveAvgPool2d: lambda layer: "average of each map",
    nn.BatchNorm2d: lambda layer: f"batch norm {layer.num_features}",
    nn.BatchNorm1d: lambda layer: f"batch norm {layer.num_features}",
}


def _named(leaf: nn.Module) -> str:
    return NAMES[type(leaf)](leaf) if type(leaf) in NAMES else type(leaf).__name__.lower()
