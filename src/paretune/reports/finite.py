"""Plain data that JSON can hold."""

from math import isfinite
from typing import Any

__all__ = ["finite"]


def finite(value: Any) -> Any:
    """The same with null for every number that JSON has no word for."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not isfinite(value) else value
