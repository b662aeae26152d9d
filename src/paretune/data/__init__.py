"""Image data sets, each a function that returns an
:class:`~paretune.data.images.ImageData`, named in ``conf/data/<name>.yaml``.
"""

from collections.abc import Callable, Mapping
from inspect import signature
from pydoc import locate
from typing import TYPE_CHECKING, Any

from paretune.errors import ConfigError, first_line

if TYPE_CHECKING:
    from paretune.data.images import ImageData

__all__ = ["fitted", "load"]

# What the images are said to be before they are read.
SAID = ("image_shape", "num_classes")


def load(data: Mapping[str, Any]) -> "ImageData":
    """The images of a plain ``data`` config: ``_target_`` names a function, the other
    keys are its arguments.

    ``image_shape`` and ``num_classes`` are what the images are said to be, so that
    models can be counted before they are read; a function may take them as arguments,
    too. Raises :class:`~paretune.errors.ConfigError` for arguments that the function
    refuses, and if the images are not what they are said to be.
    """
    taken = signature(_locate_function(data, "data")).parameters
    arguments = {
        name: value for name, value in data.items() if name not in SAID or name in taken
    }
    images: ImageData = _made(arguments, "data")
    _check_said(data, images)
    return images


def _check_said(data: Mapping[str, Any], images: "ImageData") -> None:
    """Raise :class:`~paretune.errors.ConfigError` if the images have another shape, or
    other classes, than was said.
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
            f"{images.num_classes}; "
            f"set data.num_classes"
        )


def fitted(model: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    """The plain ``model`` config with the ``image_shape`` and ``num_classes`` of the
    data where it has none of its own.

    The images are read if their config does not say both.
    """
    missing = [
        name
        for name in ("image_shape", "num_classes")
        if name in model and model[name] is None
    ]
    said = (
        {"num_classes": len(data["class_names"]), **data}
        if data.get("class_names")
        else data
    )
    if any(said.get(name) is None for name in missing):
        images = load(data)
        said = {
            "image_shape": images.train.pixels.shape[1:],
            "num_classes": images.num_classes,
        }
    filled = {name: said[name] for name in missing}
    if "image_shape" in filled:
        filled["image_shape"] = list(filled["image_shape"])
    return {**model, **filled}


def _made(config: Mapping[str, Any], setting: str) -> Any:
    """What the function or class named by ``_target_`` makes of the other keys, nested
    ones first.
    """
    target = str(config.get("_target_"))
    function = _locate_function(config, setting)
    arguments = {
        name: _made(value, f"{setting}.{name}")
        if isinstance(value, Mapping) and "_target_" in value
        else value
        for name, value in config.items()
        if name != "_target_"
    }
    try:
        return function(**arguments)
    except TypeError as error:
        message = (
            f"{setting} has settings that {target} refuses ({first_line(error)}); "
            "expected those of its signature"
        )
        raise ConfigError(f"{message}; check conf/data") from error


def _locate_function(config: Mapping[str, Any], setting: str) -> Callable[..., Any]:
    """The function or class that ``_target_`` names."""
    target = str(config.get("_target_"))
    function = locate(target)
    if callable(function):
        return function
    raise ConfigError(
        f"{setting}._target_ `{target}` cannot be called; expected the dotted path of "
        "a function that returns an "
        f"ImageData; set {setting}._target_"
    )
