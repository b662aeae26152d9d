"""Parameters that are part of a configuration only where another one has certain values, such as the width of a fourth layer."""

import operator
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.types import Override
from hydra.errors import OverrideParseException

from paretune.errors import ConfigError
from paretune.search.distributions import value_of

COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq, "!=": operator.ne, "<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt,
}  # fmt: skip
FORM = re.compile(rf"if\s+(\S+?)\s*({'|'.join(COMPARISONS)})\s*(\S+)")
EXPECTED = "expected `if`, a parameter, a comparison and a value, such as tag('if model.depth > 3', ...)"


@dataclass(frozen=True, slots=True)
class Condition:
    """Which values of the parameter ``name`` let another one be part of a configuration."""

    name: str
    comparison: str
    value: Any

    def holds(self, params: Mapping[str, Any]) -> bool:
        """Whether ``params`` have such a value; not if they have none at all.

        Raises :class:`~paretune.errors.ConfigError` for a value that the condition's cannot be compared with.
        """
        try:
            return self.name in params and COMPARISONS[self.comparison](value_of(params[self.name]), self.value)
        except TypeError as error:
            raise ConfigError(
                f"condition `{self}` compares with `{params[self.name]}` ({error}); {EXPECTED}"
            ) from error

    def __str__(self) -> str:
        return f"if {self.name} {self.comparison} {self.value}"


def condition_of(entry: Override) -> Condition | None:
    """What a tag of this entry of a space asks for; ``None`` without such a tag.

    Raises :class:`~paretune.errors.ConfigError` for one that cannot be read.
    """
    tags = [tag for tag in getattr(entry.value(), "tags", ()) if tag.split(" ")[0] == "if"]
    if not tags:
        return None
    if len(tags) == 1 and (match := FORM.fullmatch(tags[0])):
        name, comparison, value = match.groups()
        with suppress(OverrideParseException):
            return Condition(name, comparison, value_of(value))
    raise ConfigError(f"condition `{' '.join(sorted(tags))}` of `{entry.input_line}` cannot be read; {EXPECTED}")
