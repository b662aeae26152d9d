"""Architecture families: one file each, its class named in ``conf/model/<family>.yaml``.

Every family is a module from images ``(B, C, H, W)`` to logits ``(B, num_classes)``.
"""

from collections.abc import Mapping
from pydoc import ErrorDuringImport, locate
from typing import Any

import torch
from torch import nn

from paretune.budget import Footprint, count_parameters
from paretune.errors import ConfigError, first_line
from paretune.models._blocks import SETTINGS, initialise
from paretune.models.views import cost_of, seen

__all__ = ["build", "count", "family_of", "measure"]


def build(model: Mapping[str, Any]) -> nn.Module:
    """The network of a plain ``model`` config: ``_target_`` names its class, the other keys are its arguments.

    ``init`` (torch, glorot or he), ``norm_eps`` and ``norm_momentum`` work with any family: see
    :func:`paretune.models._blocks.initialise`; so does ``views``: see :class:`paretune.models.views.Views`. Raises
    :class:`~paretune.errors.ConfigError` if the class is not an ``nn.Module`` or refuses its arguments.
    """
    target = str(model.get("_target_"))
    try:
        family = locate(target)
    except ErrorDuringImport as error:
        raise ConfigError(
            f"model._target_ `{target}` cannot be imported ({first_line(error)}); expected a module without errors; mend it"
        ) from error
    if not (isinstance(family, type) and issubclass(family, nn.Module)):
        raise ConfigError(
            f"model._target_ `{target}` is not a network; expected the dotted path of an nn.Module class, such as "
            f"paretune.models.squeeze.Squeeze; set model._target_"
        )
    arguments = {key: value for key, value in model.items() if key not in ("_target_", *SETTINGS)}
    try:
        net = family(**arguments)
    except ConfigError:
        raise
    except (TypeError, ValueError, RuntimeError, IndexError) as error:
        raise ConfigError(
            f"model `{family.__name__}` refuses its settings ({first_line(error)}); see its signature in {target}"
        ) from error
    initialise(net, model)
    return seen(net, model)


def count(model: Mapping[str, Any]) -> int:
    """Trainable parameters of a plain ``model`` config, counted without allocating any (torch's meta device)."""
    with torch.device("meta"):
        return count_parameters(build(model))


def measure(model: Mapping[str, Any], dtype: str = "float32") -> Footprint:
    """All that a network of a plain ``model`` config costs in ``dtype``, counted without allocating or computing anything."""
    with torch.device("meta"):
        return cost_of(build(model), model["image_shape"], dtype)


def family_of(model: Mapping[str, Any]) -> str:
    """The family's name: its class in lower case, such as ``squeeze``."""
    return str(model["_target_"]).rpartition(".")[2].lower()
