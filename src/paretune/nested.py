"""Plain configs: nested mappings and lists, and what is at a path in them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from paretune.errors import ConfigError


def list_leaves(config: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Settings by their dotted names; a mapping without keys is one, too."""
    for name, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from list_leaves(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value


def has_value(config: Any, path: Sequence[str]) -> bool:
    """Whether something is at a path: the names of keys, the numbers of entries."""
    if not path:
        return True
    name, *rest = path
    if isinstance(config, Mapping):
        return name in config and has_value(config[name], rest)
    if isinstance(config, list | tuple) and name.isdigit():
        number = int(name)
        return number < len(config) and has_value(config[number], rest)
    return False


def set_value(config: Any, path: Sequence[str], value: Any) -> Any:
    """A copy of a config with another value at a path; what is not on the path is
    shared with ``config``.

    Raises :class:`~paretune.errors.ConfigError` for an entry that a list does not have.
    """
    if not path:
        return value
    name, *rest = path
    if isinstance(config, list):
        return _set_entry(config, name, rest, value)
    known = config if isinstance(config, dict) else {}
    return {**known, name: set_value(known.get(name), rest, value)}


def _set_entry(
    entries: Sequence[Any], name: str, path: Sequence[str], value: Any
) -> list[Any]:
    if not name.isdigit() or int(name) >= len(entries):
        raise ConfigError(
            f"entry `{name}` is not there; {list(entries)} has {len(entries)} entries, "
            "from 0; correct the search space"
        )
    changed = list(entries)
    changed[int(name)] = set_value(entries[int(name)], path, value)
    return changed
