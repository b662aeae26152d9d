"""Classes and functions that a setting names."""

from collections.abc import Callable
from typing import Any

from paretune.errors import ConfigError


def import_named(get: Callable[[str], Any], field: str, path: str) -> Any:
    """The class or function at the dotted ``path`` that is set as ``field``, by Hydra's
    ``get``.

    Raises :class:`~paretune.errors.ConfigError` if it cannot be imported.
    """
    try:
        return get(path)
    except Exception as error:  # Hydra lets through whatever importing raises
        message = (
            f"{field} `{path}` cannot be imported ({error}); correct the dotted path "
            f"in hydra.sweeper.{field}"
        )
        raise ConfigError(message.replace("\n", " ")) from error
