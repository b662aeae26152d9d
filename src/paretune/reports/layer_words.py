"""The settings that shape a network, as a few words for a table."""

from collections.abc import Mapping
from typing import Any

# What a family has instead of widths.
SHAPING = ("stem", "width", "steps", "pooled", "five", "one", "three", "merged")


def format_layers(config: Mapping[str, Any]) -> str:
    """The settings that shape the network, in short: ``8-12-12 k3 batch`` is its
    widths, kernels and norm.
    """
    model = config.get("model", {})
    words = [
        *_widths_words(model),
        *_named_words(model, SHAPING),
        *_depthwise_words(model),
        *_kernel_words(model),
        *_pool_words(model),
        *_norm_words(model),
        *_named_words(model, ("neck", "head")),
        *_output_words(model),
        *_image_words(model),
    ]
    return " ".join(words)


def _widths_of(model: Mapping[str, Any]) -> list[Any]:
    """All widths, those beyond the depth too; empty if the family has none."""
    widths = model.get("widths")
    if isinstance(widths, list | tuple):
        return list(widths)
    if widths:
        return [widths]
    return []


def _depth_of(model: Mapping[str, Any]) -> int | None:
    """The number of layers that are built; of a family of one's own the setting may be
    anything.
    """
    depth = model.get("depth")
    if isinstance(depth, int):
        return depth
    return None


def _widths_words(model: Mapping[str, Any]) -> list[str]:
    widths = _widths_of(model)
    if not widths:
        return []
    built = widths[: _depth_of(model)]
    return [_join(built)]


def _named_words(model: Mapping[str, Any], names: tuple[str, ...]) -> list[str]:
    words: list[str] = []
    for name in names:
        value = model.get(name)
        if value:
            words.append(f"{name} {_join(value)}")
    return words


def _depthwise_words(model: Mapping[str, Any]) -> list[str]:
    kernels = model.get("depthwise_kernels")
    if not kernels:
        return []
    return [f"{kernels} kernels"]


def _kernel_words(model: Mapping[str, Any]) -> list[str]:
    if "kernel_size" not in model:
        return []
    sides = model["kernel_size"]
    if isinstance(sides, list | tuple):
        sides = _built_sides(model, sides)
    return [f"k{_join(sides)}"]


def _built_sides(model: Mapping[str, Any], sides: list[Any] | tuple[Any, ...]) -> Any:
    """The kernels of the layers that are built; one number where all of these are
    equal.
    """
    widths = _widths_of(model)
    depth = _depth_of(model)
    if not depth or not widths:
        return sides
    first = int(bool(model.get("stem")))
    built = [*sides[: first + depth], *sides[first + len(widths) :]]
    if len(set(built)) == 1:
        return built[0]
    return built


def _pool_words(model: Mapping[str, Any]) -> list[str]:
    depth = _depth_of(model)
    pools = model.get("pool_after")
    if not depth or not isinstance(pools, list | tuple):
        return []
    last = depth + bool(model.get("stem"))
    built = [layer for layer in pools if layer <= last]
    return [f"pools {_join(built)}"]


def _norm_words(model: Mapping[str, Any]) -> list[str]:
    norm = model.get("norm")
    if not isinstance(norm, str) or norm == "none":
        return []
    return [norm]


def _output_words(model: Mapping[str, Any]) -> list[str]:
    return ["class maps"] if model.get("class_maps") else []


def _image_words(model: Mapping[str, Any]) -> list[str]:
    """How the image is looked at."""
    words: list[str] = []
    image_pool = model.get("image_pool")
    if isinstance(image_pool, int) and image_pool > 1:
        words.append(f"image pool {image_pool}")
    views = model.get("views")
    if isinstance(views, int) and views > 1:
        words.append(f"{views} views")
    return words


def _join(value: Any) -> str:
    """The text of a value; of several with dashes between them."""
    if isinstance(value, list | tuple):
        return "-".join(map(str, value))
    return str(value)
