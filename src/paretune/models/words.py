"""The layers of a network that no layers describe in words, by its modules."""

from collections.abc import Iterator
from typing import Any

from torch import nn

# Nothing of these is left in a trained network.
SILENT = (nn.Identity, nn.Flatten, nn.Dropout, nn.Dropout2d)


def describe_network(network: nn.Module) -> str:
    """Every module without children in order; those that are applied several times
    stand once.
    """
    return ", ".join(
        _describe(module)
        for module in _find_leaves(network)
        if not isinstance(module, SILENT)
    )


def _find_leaves(network: nn.Module) -> Iterator[nn.Module]:
    for module in network.modules():
        if not any(module.children()):
            yield module


def _describe(module: Any) -> str:
    match module:
        case nn.Conv2d():
            return _describe_convolution(module)
        case nn.Linear():
            return f"dense {module.in_features}>{module.out_features}"
        case nn.MaxPool2d():
            return f"pool {module.kernel_size}"
        case nn.AvgPool2d():
            return f"mean pool {module.kernel_size}"
        case nn.LeakyReLU():
            return "leaky relu"
        case nn.AdaptiveAvgPool2d():
            return "average of each map"
        case nn.BatchNorm2d() | nn.BatchNorm1d():
            return f"batch norm {module.num_features}"
        case _:
            return type(module).__name__.lower()


def _describe_convolution(module: nn.Conv2d) -> str:
    is_depthwise = module.groups == module.in_channels > 1
    kind = "depthwise conv" if is_depthwise else "conv"
    kernel = "x".join(map(str, module.kernel_size))
    return f"{kind} {kernel} {module.in_channels}>{module.out_channels}"
