"""Values that JSON can hold."""

from math import isfinite
from typing import Any


def replace_non_finite(value: Any) -> Any:
    """The same value, with ``None`` for every number that JSON has no word for."""
    if isinstance(value, dict):
        return {key: replace_non_finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return list(map(replace_non_finite, value))
    if isinstance(value, float) and not isfinite(value):
        return None
    return value
