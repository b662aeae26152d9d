"""Override lines of Hydra whose values have to stay the text that a person typed."""

from collections.abc import Collection

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString, Sweep
from hydra.errors import HydraException

STUDY_NAME = "hydra.sweeper.study_name"


def quote(text: str) -> str:
    """``text`` as a value that Hydra reads as exactly this text."""
    return QuotedString(text, Quote.single).with_quotes()


def is_text(value: str) -> bool:
    """Whether Hydra reads this part of an override as text, as nothing (``null``) or as
    a sweep; not ``1.10``, ``on it's``.
    """
    try:
        read = _read_value(value)
    except HydraException:
        return False
    return read is None or isinstance(read, (str, Sweep))


def quote_option(line: str, groups: Collection[str]) -> str:
    """The override ``line``, in quotes if it chooses an option that Hydra would read as
    a number or a truth value: ``model=5``, which Hydra answers with a traceback.

    That is an option of one of ``groups``, or of a group below another:
    ``+sweeps/mine/models=193``.
    """
    key, equals, value = line.partition("=")
    group = key.lstrip("+")
    is_group = group in groups or "/" in group
    if not equals or not is_group:
        return line
    try:
        read = _read_value(value)
    except HydraException:
        return line
    if isinstance(read, (bool, int, float)):
        return f"{key}={quote(value)}"
    return line


def quote_name(line: str, names: Collection[str]) -> str:
    """The override ``line``, in quotes if it sets one of ``names`` to what Hydra would
    not read as text: ``name=1.10``.
    """
    key, equals, value = line.partition("=")
    if not equals or key.lstrip("+") not in names or is_text(value):
        return line
    return f"{key}={quote(value)}"


def _read_value(value: str) -> object:
    """The value that Hydra reads in the part of an override behind ``=``."""
    return OverridesParser.create().parse_override(f"value={value}").value()
