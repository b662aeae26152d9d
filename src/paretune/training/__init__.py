"""Training one network (Lightning and torchmetrics live here, and only here), and a
trained network on disk.

A checkpoint is ``weights.pt``: the weights, the plain config and the scaling of the
images, safe to load. What a training that was paused goes on from is another file: see
:mod:`paretune.training.state_file`.
"""

from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import is_zipfile

import torch
from torch import nn

from paretune.atomic import atomically
from paretune.data.images import Scaling
from paretune.errors import StoreError, first_line
from paretune.models import build
from paretune.trust import Trust

__all__ = ["explain", "load", "save"]

# Raised by torch and by what reads a checkpoint's content for a file of another kind.
UNREADABLE = (
    OSError,
    RuntimeError,
    LookupError,
    EOFError,
    ValueError,
    TypeError,
    AttributeError,
    UnpicklingError,
)


def save(
    path: Path, net: nn.Module, config: Mapping[str, Any], scaling: Scaling
) -> None:
    """Write ``net``'s weights, the plain ``config`` it was made from and its images'
    scaling, whole or not at all.
    """
    weights = {name: weight.cpu() for name, weight in net.state_dict().items()}
    content = {
        "state_dict": weights,
        "config": dict(config),
        "scaling": (scaling.mean, scaling.std),
    }
    with atomically(path) as partial:
        torch.save(content, partial)


def load(
    path: Path, trust: Trust | None = None
) -> tuple[nn.Module, dict[str, Any], Scaling]:
    """The network, in evaluation mode, the config it was made from, and what its images
    were scaled by.

    Nothing in the file is executed (``weights_only=True``), and of the code that its
    config names only what is trusted: by default that of Paretune and of the working
    folder's config files. Raises :class:`~paretune.errors.StoreError`.
    """
    try:
        content = torch.load(path, weights_only=True, map_location="cpu")
        (trust or Trust()).check(content["config"], f"weights `{path}`")
        net = build(content["config"]["model"])
        _check_names(net, content["state_dict"], path)
        net.load_state_dict(content["state_dict"])
        scaling = Scaling(*content["scaling"])
    except UNREADABLE as error:
        raise StoreError(
            f"checkpoint `{path}` cannot be read ({explain(error, path)}); expected "
            "the weights.pt of a Paretune run"
        ) from error
    return net.eval(), content["config"], scaling


def explain(error: Exception, path: Path) -> str:
    """Why a file that torch wrote cannot be read."""
    # Torch would advise to let a foreign file execute code.
    if isinstance(error, UnpicklingError):
        return "no weights"
    is_of_file = isinstance(error, RuntimeError | OSError | EOFError)
    if is_of_file and path.is_file() and not is_zipfile(path):
        return f"it is cut off or damaged, {path.stat().st_size:,} bytes are left"
    return first_line(error)


def _check_names(net: nn.Module, weights: Mapping[str, Any], path: Path) -> None:
    """Raise :class:`~paretune.errors.StoreError` for weights whose names are not those
    of the network.
    """
    expected = net.state_dict().keys()
    if weights.keys() == expected:
        return
    unknown = sorted(weights.keys() ^ expected)
    raise StoreError(
        f"checkpoint `{path}` has other parameters than its network, such as "
        f"{unknown[0]}; expected the weights.pt of a Paretune run and the code that it "
        "was trained with"
    )
