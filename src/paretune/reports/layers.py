"""A network in words, layer by layer."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from paretune.errors import ConfigError
from paretune.models import build
from paretune.point import Point

__all__ = ["layers_of", "spelt_out"]

SHAPING = ("stem", "width", "steps", "pooled", "five", "one", "three", "merged")  # what a family has instead of widths


def layers_of(point: Point) -> str:
    """The settings that shape the network, in short: ``8-12-12 k3 batch`` is its widths, kernels and norm."""
    model = point.config.get("model", {})
    words = ["-".join(str(width) for width in model["widths"])] if model.get("widths") else []
    words += [f"{name} {_joined(model[name])}" for name in SHAPING if model.get(name)]
    words += [f"k{_joined(model['kernel_size'])}"] if "kernel_size" in model else []
    words += [model["norm"]] if model.get("norm", "none") != "none" else []
    words += [f"{name} {_joined(model[name])}" for name in ("neck", "head") if model.get(name)]
    return " ".join(words)


def _joined(value: Any) -> str:
    return "-".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def spelt_out(point: Point) -> str:
    """Every layer in order, such as ``conv 3x3 1>8, relu, batch norm 8, pool 2, ... dense 40>10``; shared ones once.

    Falls back on :func:`layers_of` where the family is not there any more.
    """
    try:
        with torch.device("meta"):
            net = build(point.config["model"])
    except (ConfigError, KeyError):
        return layers_of(point)
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
