"""Architecture families: one file each, its class named in
``conf/model/<family>.yaml``.

A family is a dataclass of settings whose ``layers()`` are the network, from images
``(B, C, H, W)`` to logits ``(B, num_classes)``; counting it takes no torch. Any other
``nn.Module`` class serves as well: it is built to be counted.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pydoc import ErrorDuringImport, locate
from typing import TYPE_CHECKING, Any

from paretune import layers
from paretune.costs import Footprint
from paretune.errors import ConfigError, first_line
from paretune.layers.image_pool import add_image_pool, check_image_pool, pool_shape
from paretune.layers.shapes import read_image_shape
from paretune.layers.types import Layers, Shape
from paretune.layers.views import check_views, count_views
from paretune.layers.windows import flatten_windows, is_signal
from paretune.models.family import Family

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Described", "build", "count", "describe", "family_of", "measure"]

# These work with any family: see ``build``.
COMMON_SETTINGS = ("image_pool", "init", "norm_eps", "norm_momentum", "views")


@dataclass(frozen=True)
class Described:
    """A network that is a list of layers, and the images ``(C, H, W)`` that it
    takes.
    """

    layers: Layers
    image_shape: Shape


def build(model: Mapping[str, Any]) -> "nn.Module":
    """The network of a plain ``model`` config: ``_target_`` names its class, the other
    keys are its settings.

    ``init`` (torch, glorot or he), ``norm_eps`` and ``norm_momentum`` work with any
    family: see
    :func:`paretune.models.network.initialise`; so does ``views``: see
    :class:`paretune.models.views.Views`; so does ``image_pool``, which pools each image
    before the first layer: see :mod:`paretune.layers.image_pool`. Raises
    :class:`~paretune.errors.ConfigError` if the class is neither a family nor an
    ``nn.Module``, or refuses its settings.
    """
    from paretune.models.network import Network, initialise
    from paretune.models.views import Views

    views = model.get("views", 1)
    check_views(views)
    made = _make(model)
    if isinstance(made, Described):
        made = Network(made.layers, made.image_shape)
    initialise(made, model)
    if views == 1:
        return made
    return Views(made, views, is_flat=is_signal(model["image_shape"]))


def count(model: Mapping[str, Any]) -> int:
    """Trainable parameters of a plain ``model`` config, counted without allocating
    any.
    """
    made = _make_on_meta(model)
    if isinstance(made, Described):
        return layers.count_parameters(made.layers, made.image_shape)
    from paretune.models.tracing import count_parameters

    return count_parameters(made)


def measure(model: Mapping[str, Any], dtype: str = "float32") -> Footprint:
    """All that a network of a plain ``model`` config costs in ``dtype``, counted
    without allocating or computing anything.

    Raises :class:`~paretune.errors.ConfigError` like :func:`build`.
    """
    views = model.get("views", 1)
    check_views(views)
    made = _make_on_meta(model)
    if isinstance(made, Described):
        once = layers.measure(made.layers, made.image_shape, dtype)
        return count_views(once, views, made.image_shape, dtype)
    from paretune.models.tracing import measure_network

    return count_views(
        measure_network(made, model["image_shape"], dtype),
        views,
        model["image_shape"],
        dtype,
    )


def describe(model: Mapping[str, Any]) -> str:
    """Every layer of a plain ``model`` config in order, such as ``conv 3x3 1>8, relu,
    ... dense 40>10``.

    Shared ones stand once. Raises :class:`~paretune.errors.ConfigError` like
    :func:`build`.
    """
    made = _make_on_meta(model)
    if isinstance(made, Described):
        return layers.describe(made.layers, made.image_shape)
    from paretune.models.words import describe_network

    return describe_network(made)


def family_of(model: Mapping[str, Any]) -> str:
    """The family's name: its class in lower case, such as ``squeeze``."""
    return str(model["_target_"]).rpartition(".")[2].lower()


def _make_on_meta(model: Mapping[str, Any]) -> "Described | nn.Module":
    """Like :func:`_make`; a network that is no list of layers is built without
    allocating its weights.
    """
    family = _locate_family(model)
    if issubclass(family, Family):
        return _describe_layers(family, model)
    import torch

    with torch.device("meta"):
        return _make(model)


def _make(model: Mapping[str, Any]) -> "Described | nn.Module":
    """The layers of a network of a family, or the network itself of another class."""
    family = _locate_family(model)
    if issubclass(family, Family):
        return _describe_layers(family, model)
    return _make_foreign(family, model)


def _describe_layers(family: type[Family], model: Mapping[str, Any]) -> Described:
    image_pool = _read_image_pool(model)
    settings: Family = _call(family, model)
    image_shape = read_image_shape(settings.image_shape)
    pooled_shape = pool_shape(image_shape, image_pool)
    with _name_family(family, model):
        layers_of_pooled = replace(settings, image_shape=pooled_shape).layers()
    described = add_image_pool(layers_of_pooled, image_pool)
    if is_signal(image_shape):
        described = flatten_windows(described)
    return Described(described, image_shape)


def _make_foreign(family: type, model: Mapping[str, Any]) -> "nn.Module":
    """The network of a class that is no family; it is told the shape that images have
    behind their pool.
    """
    image_pool = _read_image_pool(model)
    network: nn.Module
    if image_pool == 1:
        network = _call(family, model)
        return network
    from paretune.models.image_pool import Pooled

    image_shape = read_image_shape(model["image_shape"])
    pooled_shape = pool_shape(image_shape, image_pool)
    network = _call(family, {**model, "image_shape": list(pooled_shape)})
    return Pooled(network, image_pool, is_flat=is_signal(image_shape))


def _read_image_pool(model: Mapping[str, Any]) -> int:
    """The setting ``image_pool``, checked."""
    image_pool: int = model.get("image_pool", 1)
    check_image_pool(image_pool)
    return image_pool


def _locate_family(model: Mapping[str, Any]) -> type:
    """The class that ``_target_`` names."""
    target = str(model.get("_target_"))
    try:
        family = locate(target)
    except ErrorDuringImport as error:
        raise ConfigError(
            f"model._target_ `{target}` cannot be imported ({first_line(error)}); "
            "mend the error in that module"
        ) from error
    if isinstance(family, type) and _is_network(family):
        return family
    raise ConfigError(
        f"model._target_ `{target}` is not a network; expected the dotted path of an "
        "nn.Module class, such as paretune.models.squeeze.Squeeze; set model._target_"
    )


def _is_network(family: type) -> bool:
    if issubclass(family, Family):
        return True
    from torch import nn

    return issubclass(family, nn.Module)


def _call(family: type, model: Mapping[str, Any]) -> Any:
    """The class called with the settings of the config that are its own."""
    settings = {
        name: value
        for name, value in model.items()
        if name not in ("_target_", *COMMON_SETTINGS)
    }
    with _name_family(family, model):
        return family(**settings)


@contextmanager
def _name_family(family: type, model: Mapping[str, Any]) -> Iterator[None]:
    """Turns an error that a family raises for its settings into a
    :class:`~paretune.errors.ConfigError` that names it.
    """
    try:
        yield
    except ConfigError:
        raise
    except (TypeError, ValueError, RuntimeError, IndexError) as error:
        raise ConfigError(
            f"model `{family.__name__}` refuses its settings ({first_line(error)}); "
            f"see its signature in {model['_target_']}"
        ) from error
