"""Image data sets, each a function that returns an
:class:`~paretune.data.images.ImageData`, named in ``conf/data/<name>.yaml``.
"""

from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from pydoc import locate
from typing import TYPE_CHECKING, Any

from paretune.errors import ConfigError, first_line

if TYPE_CHECKING:
    from paretune.data.images import ImageData

__all__ = ["fit_to_data", "load"]

# Settings that describe the images before they are read.
DECLARED = ("image_shape", "num_classes")


def load(data: Mapping[str, Any]) -> "ImageData":
    """The images of a plain ``data`` config: ``_target_`` names a function, the other
    keys are its arguments.

    ``image_shape`` and ``num_classes`` describe the images, so that models can be
    counted before they are read; a function may take them as arguments, too. Raises
    :class:`~paretune.errors.ConfigError` for arguments that the function refuses, and
    if the images are others than described.
    """
    taken = signature(_locate_function(data, "data")).parameters
    arguments = {
        name: value
        for name, value in data.items()
        if name not in DECLARED or name in taken
    }
    images: ImageData = _make(arguments, "data")
    _check_declared(data, images)
    return images


def _check_declared(data: Mapping[str, Any], images: "ImageData") -> None:
    """Raise :class:`~paretune.errors.ConfigError` if the images have another shape, or
    other classes, than the config says.
    """
    shape = list(images.train.pixels.shape[1:])
    image_shape = data.get("image_shape")
    if image_shape and list(image_shape) != shape:
        raise ConfigError(
            f"data.image_shape `{list(image_shape)}` is not that of the images; "
            f"expected {shape}; set data.image_shape"
        )
    num_classes = data.get("num_classes")
    if num_classes and num_classes != images.num_classes:
        raise ConfigError(
            f"data.num_classes `{num_classes}` is not that of the images; expected "
            f"{images.num_classes}; set data.num_classes"
        )


def fit_to_data(model: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    """The plain ``model`` config with the ``image_shape`` and ``num_classes`` of the
    data where it has none of its own.

    The images are read if their config does not say both.
    """
    missing = [name for name in DECLARED if name in model and model[name] is None]
    described = _describe_images(data, missing)
    filled = {name: described[name] for name in missing}
    if "image_shape" in filled:
        filled["image_shape"] = list(filled["image_shape"])
    return {**model, **filled}


def _describe_images(data: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """``image_shape`` and ``num_classes`` of the data, of those in ``names``."""
    described = dict(data)
    if data.get("class_names"):
        described.setdefault("num_classes", len(data["class_names"]))
    is_complete = all(described.get(name) is not None for name in names)
    if is_complete:
        return described
    images = load(data)
    return {
        "image_shape": images.train.pixels.shape[1:],
        "num_classes": images.num_classes,
    }


def _make(config: Mapping[str, Any], setting: str) -> Any:
    """Call the function or class named by ``_target_`` with the other keys, of which
    nested configs are made first.
    """
    target = str(config.get("_target_"))
    function = _locate_function(config, setting)
    arguments: dict[str, Any] = {}
    for name, value in config.items():
        if name == "_target_":
            continue
        is_nested = isinstance(value, Mapping) and "_target_" in value
        arguments[name] = _make(value, f"{setting}.{name}") if is_nested else value
    try:
        return function(**arguments)
    except TypeError as error:
        raise ConfigError(
            f"{setting} has settings that {target} refuses ({first_line(error)}); "
            "expected those of its signature; check conf/data"
        ) from error


def _locate_function(config: Mapping[str, Any], setting: str) -> Callable[..., Any]:
    """The function or class that ``_target_`` names."""
    target = str(config.get("_target_"))
    function = locate(target)
    if callable(function):
        return function
    raise ConfigError(
        f"{setting}._target_ `{target}` cannot be called; expected the dotted path of "
        f"a function that returns an ImageData; set {setting}._target_"
    )
