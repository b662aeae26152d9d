"""Checks of settings, without torch: a wrong one is told within a second, before
anything heavy is imported.
"""

import os
import re
import shlex
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import Any

from paretune.costs import COSTS
from paretune.errors import ConfigError
from paretune.nested import list_leaves
from paretune.schema import SECTIONS, Rule, collect_rules

# Of settings that have no dataclass.
RULES_ELSEWHERE = {
    "cost": Rule("what the front weighs against F1", choices=tuple(COSTS)),
    "hours": Rule("of all stages of paretune auto", above=0, whole=False),
    "seeds": Rule("trainings of each model that paretune auto confirms", least=1),
    "train_on": Rule(
        "the images that paretune auto confirms with",
        choices=("train", "train+val", None),
    ),
    "data.splitting.how": Rule(
        "how validation images are drawn", choices=("last", "stratified")
    ),
    "optimizer.lr": Rule("learning rate", least=0, whole=False, optional=True),
    "seed": Rule(
        "of first weights, order of images and augmentation", least=0, most=2**32 - 1
    ),
}
RULES = collect_rules(SECTIONS) | RULES_ELSEWHERE
SETTINGS = tuple(
    name for name, rule in RULES.items() if rule.choices or rule.least is not None
)
# What should be at the paths that a person gives.
PATHS = {
    "data.path": "your pictures or arrays",
    "trainer.distillation.teacher": "the weights.pt of a Paretune run",
}
# Nodes whose keys are arguments of the function that their `_target_` names, or
# anybody's own.
OPEN_SECTIONS = (
    "augment",
    "data",
    "model",
    "optimizer",
    "published",
    "scheduler",
    "space",
)
MISSING_VALUE = "???"  # as OmegaConf writes it
# Of a folder; file systems have 255, and Paretune writes files with longer names beside
# it.
LONGEST_NAME_BYTES = 200
# Parameters up to which `optimizer=auto` is full_matrix: up to there it was measured.
FULL_MATRIX_WINS = 3000
NEEDS_QUOTES = re.compile(r"[\s'\"\\#&;()<>|$`]|^$")


@dataclass(frozen=True)
class Switch:
    """A setting without which others do nothing, and its value when it is ``off``."""

    name: str
    off: object = None


SWITCHES = {
    "trainer.averaging.decay": Switch("trainer.averaging.kind"),
    "trainer.averaging.start": Switch("trainer.averaging.kind"),
    "trainer.distillation.temperature": Switch("trainer.distillation.teacher"),
    "trainer.distillation.weight": Switch("trainer.distillation.teacher"),
    "trainer.min_delta": Switch("trainer.patience"),
    "trainer.restarts.epochs": Switch("trainer.restarts.starts", off=1),
}


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
    is_reserved = name.partition("/")[0] == "runs"
    if not is_folder_name(name) or is_reserved or "," in name:
        raise ConfigError(
            f"name `{name}` is invalid; choose one for a folder of its own, without a "
            f"comma or .. or // in it, not over {LONGEST_NAME_BYTES} bytes, and with "
            "no - in front"
        )


def is_folder_name(name: str) -> bool:
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
    known = dict(list_leaves(defaults))
    for setting, value in list_leaves(config):
        if value == MISSING_VALUE or (setting in PATHS and value == ""):
            raise ConfigError(f"{setting} is missing; set {setting}")
        if setting not in known and setting.partition(".")[0] not in OPEN_SECTIONS:
            raise ConfigError(_describe_unknown(setting, value, known))
        is_reference = isinstance(value, str) and "${" in value
        if not is_reference:
            check(setting, value)
            _check_kind(setting, value, known.get(setting))


def _describe_unknown(setting: str, value: object, known: Collection[str]) -> str:
    below = [name for name in known if name.startswith(f"{setting}.")]
    if below:
        return (
            f"{setting} `{value}` is invalid; it is a section of settings, such as "
            f"{below[0]}; set one of these"
        )
    return (
        f"setting `{setting}` is unknown; expected one that --cfg job shows; "
        f"{advise(setting, known, 'leave it out')}"
    )


def _check_kind(setting: str, value: object, default: object) -> None:
    """Raise :class:`~paretune.errors.ConfigError` if the ``value`` is of another kind
    than the ``default``; ``None`` fits all.
    """
    kind = _describe_kind(default)
    if kind is None or value is None or _is_like(value, default):
        return
    raise ConfigError(f"{setting} `{value}` is invalid; expected {kind}; set {setting}")


def _describe_kind(default: object) -> str | None:
    match default:
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case list() | tuple():
            return "a list such as [4,8]"
    return None


def _is_like(value: object, default: object) -> bool:
    match default:
        case bool():
            return isinstance(value, bool)
        case int() | float():
            return not isinstance(value, (str, bool, Mapping))
    return isinstance(value, (list, tuple))


def list_without_effect(
    config: Mapping[str, Any], defaults: Mapping[str, Any], named: Collection[str] = ()
) -> list[str]:
    """A line for each setting of ``config`` that a person has ``named``, or changed
    from the ``defaults``, though its switch is off.
    """
    values = dict(list_leaves(config))
    usual = dict(list_leaves(defaults))
    lines: list[str] = []
    for setting, switch in SWITCHES.items():
        if setting not in values or values.get(switch.name) != switch.off:
            continue
        is_changed = setting in usual and values[setting] != usual[setting]
        if setting in named or is_changed:
            state = "null" if switch.off is None else switch.off
            lines.append(
                f"{setting} `{values[setting]}` has no effect while {switch.name} is "
                f"{state}; set {switch.name}, too"
            )
    return lines


def join_overrides(overrides: Iterable[str]) -> str:
    """The ``overrides`` in a line, of which a shell, and ``shlex.split``, makes them
    again; quotes only where these need them.
    """
    words: list[str] = []
    for override in overrides:
        needs_quotes = NEEDS_QUOTES.search(override)
        words.append(shlex.quote(override) if needs_quotes else override)
    return " ".join(words)


def advise(name: str, names: Iterable[str], otherwise: str) -> str:
    """Advice about a ``name`` that is none of the ``names``: to take the shortest that
    ends with it, the nearest, or to do ``otherwise``.
    """
    known = [*names]
    longer = [long for long in known if long.endswith(name) and len(name) > 1]
    nearest = sorted(longer, key=len) or get_close_matches(name, known, n=1)
    return f"did you mean {nearest[0]}?" if nearest else otherwise
