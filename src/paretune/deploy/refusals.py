"""What cannot be written in C is refused, and its layer named."""

from collections.abc import Iterator
from contextlib import contextmanager

from paretune.deploy.model import Deployable
from paretune.errors import ExportError

FLOAT_C = "--c"  # the options that ask for C
INT8_C = "--int8 with --c"


def require_known(
    is_known: bool, operation: str, expected: str, option: str = FLOAT_C
) -> None:
    """Raise :class:`~paretune.errors.ExportError` about an ``operation`` that is not
    known; ``option`` asked for it.
    """
    if not is_known:
        raise ExportError(
            f"operation `{operation}` cannot be written in C; expected {expected}; "
            f"export without {option}"
        )


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
