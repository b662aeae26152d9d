"""Settings that several families share, checked."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from paretune.errors import ConfigError

__all__ = ["known", "pads", "per_layer", "positive"]

T = TypeVar("T", int, float, str)

PADDINGS = ("same", "valid")


def per_layer(name: str, value: T | Sequence[T], layers: int) -> list[T]:
    """``value`` for each layer: a single value serves all, a list must hold one entry a layer."""
    if isinstance(value, (str, int, float)):
        return [value] * layers
    if len(value) != layers:
        message = (
            f"{name} `{list(value)}` has {len(value)} entries for {layers} layers; expected {layers} entries "
            f"or a single value; set model.{name}"
        )
        raise ConfigError(message)
    return list(value)


def positive(name: str, widths: Sequence[int]) -> list[int]:
    """``widths`` checked to be whole numbers of at least 1."""
    if any(width != int(width) or width < 1 for width in widths):
        message = (
            f"{name} `{list(widths)}` holds what is no size; expected whole numbers of at least 1; set model.{name}"
        )
        raise ConfigError(message)
    return [int(width) for width in widths]


def pads(padding: str | Sequence[str], kernel_sizes: Sequence[int]) -> list[int]:
    """Pixels of zero padding on each side, layer by layer.

    ``same`` keeps the size of the map (an even kernel makes it one larger), ``valid`` adds none.
    """
    positive("kernel_size", kernel_sizes)
    kinds = per_layer("padding", padding, len(kernel_sizes))
    for kind in kinds:
        known("padding", kind, PADDINGS)
    return [size // 2 if kind == "same" else 0 for kind, size in zip(kinds, kernel_sizes, strict=True)]


def known(what: str, name: str, names: Iterable[str]) -> None:
    """Raise :class:`~paretune.errors.ConfigError` if ``name`` is none of ``names``."""
    if name not in list(names):
        message = f"{what} `{name}` is unknown; expected one of {', '.join(names)}; set model.{what}"
        raise ConfigError(message)
