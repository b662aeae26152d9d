"""Parameters that are part of a configuration only where another one has certain
values.

Such as the width of a fourth layer, where the depth may be less than four.
"""

import operator
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.types import Override
from hydra.errors import OverrideParseException

from paretune.errors import ConfigError
from paretune.search.grammar import read_value

COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
CONDITION_PATTERN = re.compile(rf"if\s+(\S+?)\s*({'|'.join(COMPARISONS)})\s*(\S+)")
CONDITION_FORM = (
    "expected `if`, a parameter, a comparison and a value, such as tag('if "
    "model.depth > 3', ...)"
)


@dataclass(frozen=True, slots=True)
class Condition:
    """The values of the parameter ``name`` with which another one is part of a
    configuration.
    """

    name: str
    comparison: str
    value: Any

    def holds(self, params: Mapping[str, Any]) -> bool:
        """Whether ``params`` have such a value; not if they have none at all.

        Raises :class:`~paretune.errors.ConfigError` for a value that the condition's
        cannot be compared with.
        """
        if self.name not in params:
            return False
        compare = COMPARISONS[self.comparison]
        try:
            value = read_value(params[self.name])
            return compare(value, self.value)
        except TypeError as error:
            raise ConfigError(
                f"condition `{self}` compares with `{params[self.name]}` ({error}); "
                f"{CONDITION_FORM}"
            ) from error

    def __str__(self) -> str:
        return f"if {self.name} {self.comparison} {self.value}"


def read_condition(entry: Override) -> Condition | None:
    """The condition that a tag of this entry of a space sets; ``None`` without such a
    tag.

    Raises :class:`~paretune.errors.ConfigError` for one that cannot be read.
    """
    tags = getattr(entry.value(), "tags", ())
    conditions = [tag for tag in tags if tag.split(" ")[0] == "if"]
    if not conditions:
        return None
    if len(conditions) == 1:
        condition = _parse_condition(conditions[0])
        if condition is not None:
            return condition
    text = " ".join(sorted(conditions))
    raise ConfigError(
        f"condition `{text}` of `{entry.input_line}` cannot be read; {CONDITION_FORM}"
    )


def _parse_condition(tag: str) -> Condition | None:
    match = CONDITION_PATTERN.fullmatch(tag)
    if match is None:
        return None
    name, comparison, value = match.groups()
    with suppress(OverrideParseException):
        return Condition(name, comparison, read_value(value))
    return None
