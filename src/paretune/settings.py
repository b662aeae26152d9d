"""What settings may be, known without torch: a wrong one is told within a second,
before anything heavy is imported.
"""

import os
import re
import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import Any

from paretune.costs import COSTS
from paretune.errors import ConfigError
from paretune.schema import SECTIONS, Rule, collect_rules

OTHERS = {
    "cost": Rule("what the front weighs against F1", choices=tuple(COSTS)),
    "data.splitting.how": Rule(
        "how validation images are drawn", choices=("last", "stratified")
    ),
    "optimizer.lr": Rule("learning rate", least=0, whole=False, optional=True),
    "seed": Rule(
        "of first weights, order of images and augmentation", least=0, most=2**32 - 1
    ),
}
RULES = collect_rules(SECTIONS) | OTHERS
SETTINGS = tuple(
    name for name, rule in RULES.items() if rule.choices or rule.least is not None
)
# Settings that do nothing while another one, their switch, is off; and what it is then.
SWITCHES: dict[str, tuple[str, object]] = {
    "trainer.averaging.decay": ("trainer.averaging.kind", None),
    "trainer.averaging.start": ("trainer.averaging.kind", None),
    "trainer.distillation.temperature": ("trainer.distillation.teacher", None),
    "trainer.distillation.weight": ("trainer.distillation.teacher", None),
    "trainer.min_delta": ("trainer.patience", None),
    "trainer.restarts.epochs": ("trainer.restarts.starts", 1),
}
# What should be at the paths that a person gives.
PATHS = {
    "data.path": "your pictures or arrays",
    "trainer.distillation.teacher": "the weights.pt of a Paretune run",
}
# Nodes whose keys are arguments of the function that their `_target_` names, or
# anybody's own.
NEEDS_QUOTES = re.compile(r"[\s'\"\\#&;()<>|$`]|^$")
# Of a folder; file systems have 255, and Paretune writes files with longer names beside
# it.
LONGEST_NAME_BYTES = 200
OPEN = ("augment", "data", "model", "optimizer", "published", "scheduler", "space")


def check(setting: str, value: object) -> None:
    """Raise :class:`~paretune.errors.ConfigError` if the ``value`` of ``setting`` is
    none of its choices, out of its range or not there.
    """
    if setting in RULES:
        RULES[setting].check(setting, value)
    if setting in PATHS and value is not None and not Path(str(value)).exists():
        raise ConfigError(
            f"{setting} `{value}` is not there; expected {PATHS[setting]}; check the "
            "path"
        )
    if setting == "name" and value is not None:
        _check_name(value)


def _check_name(name: object) -> None:
    if not isinstance(name, str):
        raise ConfigError(
            f"name `{name}` is no text in the config file; put it in quotes, such as "
            f"name: '{name}'"
        )
    if not is_folder(name) or name.partition("/")[0] == "runs" or "," in name:
        raise ConfigError(
            f"name `{name}` is invalid; expected one for a folder of its own, without "
            "a comma; "
            f"not over {LONGEST_NAME_BYTES} bytes, and with no - in front; choose "
            "another name"
        )


def is_folder(name: str) -> bool:
    """Whether ``name`` is that of a folder below another, which no other name leads to:
    not ``../x``, ``a//b``.

    It is no longer than file systems allow, and does not begin like an option of a
    command.
    """
    parts = PurePosixPath(name).parts
    is_plain = bool(parts) and "/".join(parts) == name and ".." not in parts
    fits = all(len(os.fsencode(part)) <= LONGEST_NAME_BYTES for part in parts)
    return is_plain and fits and not name.startswith("-")


def check_all(config: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """Raise :class:`~paretune.errors.ConfigError` for the first wrong setting of a
    plain ``config``.

    That is one which ``defaults``, the same config before a person changed it, does not
    have, or whose default is of another kind, or which is none of its choices or out of
    its range.
    """
    known = dict(_leaves(defaults))
    for setting, value in _leaves(config):
        if value == "???" or (setting in PATHS and value == ""):
            raise ConfigError(f"{setting} is missing; expected a value; set {setting}")
        if setting not in known and setting.partition(".")[0] not in OPEN:
            if parts := [name for name in known if name.startswith(f"{setting}.")]:
                raise ConfigError(
                    f"{setting} `{value}` is invalid; expected settings below it; set "
                    f"such as {parts[0]}"
                )
            raise ConfigError(
                f"setting `{setting}` is unknown; expected one that --cfg job shows; "
                f"{mend(setting, known, 'leave it out')}"
            )
        if isinstance(value, str) and "${" in value:  # is what it refers to
            continue
        check(setting, value)
        expected = _expected(known.get(setting), value)
        if expected:
            raise ConfigError(
                f"{setting} `{value}` is invalid; expected {expected}; set {setting}"
            )


def without_effect(
    config: Mapping[str, Any], defaults: Mapping[str, Any], named: Collection[str] = ()
) -> list[str]:
    """A line for each setting of ``config`` that a person has ``named``, or changed
    from the ``defaults``, though its switch is off.
    """
    values, usual = dict(_leaves(config)), dict(_leaves(defaults))
    lines = []
    for setting, (switch, off) in SWITCHES.items():
        is_wanted = setting in named or (
            setting in usual and values.get(setting) != usual[setting]
        )
        if setting in values and is_wanted and values.get(switch) == off:
            state = "null" if off is None else off
            lines.append(
                f"{setting} `{values[setting]}` has no effect while {switch} is "
                f"{state}; set {switch}, too"
            )
    return lines


def _leaves(config: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Settings by their dotted names; a mapping without keys is one, too."""
    for name, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value


def _expected(default: object, value: object) -> str | None:
    """What was expected in place of ``value``, if it is of another kind than the
    ``default``; ``null`` fits all.
    """
    if default is None or value is None:
        return None
    if isinstance(default, bool):
        return None if isinstance(value, bool) else "true or false"
    if isinstance(default, (int, float)):
        return "a number" if isinstance(value, (str, bool, Mapping)) else None
    if isinstance(default, (list, tuple)):
        return None if isinstance(value, (list, tuple)) else "a list such as [4,8]"
    return None


def one_line(text: str, cause: str = "") -> str:
    """Hydra's message about an override in our form, on one line; ``cause`` is what
    OmegaConf said of it.
    """
    if found := re.search(
        r"Could not find '(.+)/([^/']*)'\n+Available options in '.+':\n((?:\t.*\n?)+)",
        text,
    ):
        group, option, options = found[1], found[2], found[3].split()
        return (
            f"{group} `{option}` is unknown; expected one of {', '.join(options)}; "
            f"{mend(option, options, f'set {group}')}"
        )
    if found := re.search(
        r"Could not override '(.+)'\.\nTo append to your config use \+\S+?=(.*)", text
    ):
        if found[1] == "sweeps":
            return (
                f"sweeps `{found[2]}` is not in this folder; expected a file "
                f"sweeps/{found[2]}.yaml; write it, or go to its folder"
            )
        shown, advice = (
            "hydra" if found[1].startswith("hydra.") else "job",
            mend(found[1], SETTINGS, "correct its name"),
        )
        return (
            f"setting `{found[1]}` is unknown; expected one that --cfg {shown} shows; "
            f"{advice}"
        )
    if found := re.search(
        (
            r"Could not override '(.+)'\.\s*No match in the defaults list\.\s*To "
            r"append .* use (\S+)"
        ),
        text,
    ):
        return (
            f"group `{found[1]}` has no option to be replaced; expected a plus before "
            f"it; write {found[2]}"
        )
    if found := re.match(r"Error parsing override '(.*)'\n(.*)", text):
        return (
            f"override `{found[1]}` cannot be read ({found[2]}); expected key=value "
            "without spaces; put other texts in quotes"
        )
    if found := re.search(
        r"raised while composing config:\s*(.*?)\s*full_key: (\S+)", text, re.DOTALL
    ):
        return _describe_composed(found[2], found[1])
    if found := re.fullmatch(r"Error merging override \+*([^=]+)=(.*)", text):
        return _describe_wrong_value(found[1], found[2], cause)
    return " ".join(line.strip() for line in text.splitlines() if line.strip())


def line_of(overrides: Iterable[str]) -> str:
    """The ``overrides`` in a line, of which a shell, and ``shlex.split``, makes them
    again; quotes only where these need them.
    """
    return " ".join(
        shlex.quote(override) if NEEDS_QUOTES.search(override) else override
        for override in overrides
    )


def _describe_composed(setting: str, cause: str) -> str:
    """A setting of a config file that Hydra did not take, by what OmegaConf said of
    it.
    """
    if re.match(r"Key '.*' not in", cause):
        advice = mend(setting, SETTINGS, "leave it out")
        return (
            f"setting `{setting}` is unknown; expected one that --cfg job shows; "
            f"{advice}"
        )
    value = re.search(r"Value '(.*)' of type", cause)
    return _describe_wrong_value(setting, value[1] if value else "null", cause)


def _describe_wrong_value(setting: str, value: str, cause: str) -> str:
    """A value that Hydra did not take: by the rule of the setting if it has one, else
    by what OmegaConf said of it.
    """
    typed = None if value == "null" else value
    try:
        check(setting, typed)
    except ConfigError as error:
        return str(error)
    return (
        f"{setting} `{value}` is invalid ({cause}); expected a value of its kind; set "
        f"{setting}"
    )


def mend(name: str, names: Iterable[str], otherwise: str) -> str:
    """What to do about a ``name`` that is none of the ``names``: take the shortest that
    ends with it, the nearest, or ``otherwise``.
    """
    known = [*names]
    longer = [long for long in known if long.endswith(name) and len(name) > 1]
    nearest = sorted(longer, key=len) or get_close_matches(name, known, n=1)
    return f"did you mean {nearest[0]}?" if nearest else otherwise
