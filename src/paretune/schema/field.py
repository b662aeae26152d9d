"""One setting: its default, its help, and what it may be."""

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from typing import Any

from paretune.errors import ConfigError, check_choice, check_least

RULE = "rule"  # key of a field's metadata


@dataclass(frozen=True, slots=True)
class Rule:
    """The values that a setting may have, and a word on what it does.

    ``choices`` are all values there are; a number is from ``least`` to ``most`` (both
    included, ``None``: no end), without fractions if it is ``whole``, or ``above`` and
    ``below`` others (both left out). ``optional``: it may be null, too.
    """

    help: str
    choices: tuple[str | None, ...] = ()
    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None
    whole: bool = True
    optional: bool = False

    def check(self, setting: str, value: object) -> None:
        """Raise :class:`~paretune.errors.ConfigError` unless the ``value`` of
        ``setting`` is allowed.
        """
        if self.choices:
            check_choice(setting, value, self.choices)
        elif self.above is not None or self.below is not None:
            self._check_between(setting, value)
        elif self.least is not None:
            check_least(
                setting,
                value,
                self.least,
                most=self.most,
                whole=self.whole,
                null=self.optional,
            )

    def _check_between(self, setting: str, value: object) -> None:
        is_truth = isinstance(value, bool)
        if isinstance(value, (int, float)) and not is_truth and self._is_between(value):
            return
        raise ConfigError(
            f"{setting} `{value}` is invalid; expected {self._describe_range()}; set "
            f"{setting}"
        )

    def _is_between(self, value: float) -> bool:
        if self.above is not None and value <= self.above:
            return False
        if self.least is not None and value < self.least:
            return False
        return self.below is None or value < self.below

    def _describe_range(self) -> str:
        ends: list[str] = []
        if self.above is not None:
            ends.append(f"above {self.above:g}")
        if self.least is not None:
            ends.append(f"at least {self.least:g}")
        if self.below is not None:
            ends.append(f"below {self.below:g}")
        return " and ".join(ends)


def choice(default: str | None, choices: tuple[str | None, ...], help: str) -> Any:
    """A setting that is one of ``choices``."""
    return field(default=default, metadata={RULE: Rule(help, choices=choices)})


def whole_number(default: int, help: str, *, least: float) -> Any:
    """A setting that is a whole number."""
    return field(default=default, metadata={RULE: Rule(help, least=least)})


def optional_whole_number(default: int | None, help: str, *, least: float) -> Any:
    """A setting that is a whole number, or null."""
    return field(
        default=default, metadata={RULE: Rule(help, least=least, optional=True)}
    )


def number(
    default: float, help: str, *, least: float, most: float | None = None
) -> Any:
    """A setting that is a number."""
    return field(
        default=default,
        metadata={RULE: Rule(help, least=least, most=most, whole=False)},
    )


def number_between(
    default: float,
    help: str,
    *,
    least: float | None = None,
    above: float | None = None,
    below: float | None = None,
) -> Any:
    """A setting that is a number ``above`` and ``below`` others, which it may not
    be.
    """
    rule = Rule(help, least=least, above=above, below=below, whole=False)
    return field(default=default, metadata={RULE: rule})


def free(default: Any, help: str) -> Any:
    """A setting of which only the type is checked."""
    return field(default=default, metadata={RULE: Rule(help)})


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting by its dotted ``name``, with its ``default`` and its :class:`Rule`."""

    name: str
    default: object
    rule: Rule


def list_settings(schema: type, prefix: str) -> Iterator[Setting]:
    """All settings of a dataclass, those of its sections included, whose names begin
    with ``prefix``.
    """
    for member in fields(schema):
        name = f"{prefix}.{member.name}"
        nested = member.default_factory
        if is_dataclass(nested):
            yield from list_settings(nested, name)
        elif RULE in member.metadata:
            yield Setting(name, _find_default(member), member.metadata[RULE])


def _find_default(member: Field[Any]) -> object:
    if member.default is not MISSING:
        return member.default
    assert member.default_factory is not MISSING
    return member.default_factory()


def check_settings(settings: Any, prefix: str) -> None:
    """Raise :class:`~paretune.errors.ConfigError` for a value of a dataclass of
    settings that is not allowed.

    ``prefix`` is the name of its section.
    """
    for member in fields(settings):
        if RULE in member.metadata:
            member.metadata[RULE].check(
                f"{prefix}.{member.name}", getattr(settings, member.name)
            )


def collect_rules(sections: Mapping[str, type]) -> dict[str, Rule]:
    """The rules of all settings of ``sections`` (their names and dataclasses), by the
    settings' names.
    """
    rules: dict[str, Rule] = {}
    for prefix, schema in sections.items():
        for setting in list_settings(schema, prefix):
            rules[setting.name] = setting.rule
    return rules
