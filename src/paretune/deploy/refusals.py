"""Refusals of operations that cannot be written in C, with the names of their layers."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from paretune.deploy.model import Deployable
from paretune.errors import ExportError

FLOAT_C = "--c"  # the options that ask for C
INT8_C = "--int8 with --c"


def require_known(
    is_known: bool, operation: str, alternative: str, option: str = FLOAT_C
) -> None:
    """Raise :class:`~paretune.errors.ExportError` about an ``operation`` that is not
    known, in whose place one could use an ``alternative``; ``option`` asked for C.
    """
    if not is_known:
        problem = f"operation `{operation}` cannot be written in C"
        refuse(problem, f"use {alternative}", option)


def refuse(problem: str, remedy: str, option: str) -> NoReturn:
    """Raise :class:`~paretune.errors.ExportError` about a ``problem`` of the network;
    ``option`` asked for what it stands in the way of.
    """
    raise ExportError(f"{problem}; {remedy}, or export without {option}")


@contextmanager
def naming_layer(model: Deployable, layer: str) -> Iterator[None]:
    """Have an :class:`~paretune.errors.ExportError` name the ``layer`` of ``model``
    that cannot be written, if it is known.
    """
    try:
        yield
    except ExportError as error:
        modules = dict(model.single_view.net.net.named_modules())
        name = layer.removeprefix("net.")
        if not name or name not in modules:
            raise
        kind = type(modules[name]).__name__
        raise ExportError(
            f"layer `{name}` ({kind}) cannot be exported: {error}"
        ) from error
