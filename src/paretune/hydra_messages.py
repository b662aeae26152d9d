"""Hydra's messages about a command line that it cannot read, on one line and in the
words of Paretune's own.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from paretune.errors import ConfigError
from paretune.settings import SETTINGS, advise, check

Describe = Callable[[re.Match[str]], str]


@dataclass(frozen=True)
class _Form:
    """A message of Hydra's, and what is said in its place."""

    pattern: re.Pattern[str]
    describe: Describe


def translate(text: str, cause: str = "") -> str:
    """Hydra's message on one line; ``cause`` is what OmegaConf said of it."""
    for form in FORMS:
        if found := form.pattern.search(text):
            return form.describe(found)
    if found := WRONG_VALUE.fullmatch(text):
        return _describe_value(found["setting"], found["value"], cause)
    return " ".join(line.strip() for line in text.splitlines() if line.strip())


def _describe_option(found: re.Match[str]) -> str:
    group = found["group"]
    option = found["option"]
    options = found["options"].split()
    return (
        f"{group} `{option}` is unknown; expected one of {', '.join(options)}; "
        f"{advise(option, options, f'set {group}')}"
    )


def _describe_sweep(found: re.Match[str]) -> str:
    name = found["name"]
    return (
        f"sweeps `{name}` is not in this folder, which has no file sweeps/{name}.yaml; "
        "write it, or go to its folder"
    )


def _describe_hydra_setting(found: re.Match[str]) -> str:
    return _describe_unknown(found["setting"], "hydra", "correct its name")


def _describe_setting(found: re.Match[str]) -> str:
    return _describe_unknown(found["setting"], "job", "correct its name")


def _describe_unknown(setting: str, shown_by: str, otherwise: str) -> str:
    return (
        f"setting `{setting}` is unknown; expected one that --cfg {shown_by} shows; "
        f"{advise(setting, SETTINGS, otherwise)}"
    )


def _describe_addition(found: re.Match[str]) -> str:
    return (
        f"group `{found['group']}` has no option to be replaced; put a plus before it: "
        f"{found['addition']}"
    )


def _describe_syntax(found: re.Match[str]) -> str:
    return (
        f"override `{found['line']}` cannot be read ({found['reason']}); write "
        "key=value without spaces, and put other texts in quotes"
    )


def _describe_composed(found: re.Match[str]) -> str:
    """A setting of a config file that Hydra did not take, by what OmegaConf said of
    it.
    """
    setting = found["setting"]
    cause = found["cause"]
    if re.match(r"Key '.*' not in", cause):
        return _describe_unknown(setting, "job", "leave it out")
    value = re.search(r"Value '(.*)' of type", cause)
    return _describe_value(setting, value[1] if value else "null", cause)


def _describe_value(setting: str, value: str, cause: str) -> str:
    """A value that Hydra did not take: by the rule of the setting if it has one, else
    by what OmegaConf said of it.
    """
    typed = None if value == "null" else value
    try:
        check(setting, typed)
    except ConfigError as error:
        return str(error)
    return f"{setting} `{value}` is invalid ({cause}); correct it"


WRONG_VALUE = re.compile(r"Error merging override \+*(?P<setting>[^=]+)=(?P<value>.*)")


def _list_forms() -> Iterable[_Form]:
    not_there = r"Could not override '{}'\.\nTo append to your config use \+\S+?="
    yield _Form(
        re.compile(
            r"Could not find '(?P<group>.+)/(?P<option>[^/']*)'\n+"
            r"Available options in '.+':\n(?P<options>(?:\t.*\n?)+)"
        ),
        _describe_option,
    )
    yield _Form(
        re.compile(not_there.format("sweeps") + "(?P<name>.*)"), _describe_sweep
    )
    yield _Form(
        re.compile(not_there.format(r"(?P<setting>hydra\..+)")),
        _describe_hydra_setting,
    )
    yield _Form(re.compile(not_there.format("(?P<setting>.+)")), _describe_setting)
    yield _Form(
        re.compile(
            r"Could not override '(?P<group>.+)'\.\s*No match in the defaults list\.\s*"
            r"To append .* use (?P<addition>\S+)"
        ),
        _describe_addition,
    )
    yield _Form(
        re.compile(r"\AError parsing override '(?P<line>.*)'\n(?P<reason>.*)"),
        _describe_syntax,
    )
    yield _Form(
        re.compile(
            r"raised while composing config:\s*(?P<cause>.*?)\s*"
            r"full_key: (?P<setting>\S+)",
            re.DOTALL,
        ),
        _describe_composed,
    )


FORMS = tuple(_list_forms())
