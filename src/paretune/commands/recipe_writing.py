"""A training as a recipe: a file of ``conf/recipe``, by which ``paretune train
+recipe=NAME`` trains the same model in the same way again.

It names an option for each group of configs and the settings that differ from it.
"""

import re
import shlex
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from paretune import paths
from paretune.commands.composing import compose_again
from paretune.data import DECLARED
from paretune.nested import list_leaves
from paretune.overrides import quote
from paretune.start import to_plain

RECIPE_GROUPS = ("model", "data", "optimizer", "scheduler", "augment")
RECIPE_SECTIONS = ("trainer", "selection")  # which have no options to choose from
IN_LINES = ("model", "trainer", "published")
LINE_WIDTH = 118
WITH_TEACHER = (
    "The teacher that it learnt from is not brought along: set "
    "trainer.distillation.teacher=weights.pt."
)
READ_AS_IT_IS = re.compile(r"[\w./-]+")  # by a shell and by Hydra

Config = Mapping[str, Any]  # of a training, as plain data


@dataclass(frozen=True)
class Described:
    """A training by its ``config``, under the ``name`` that its recipe is to have.

    ``about`` are sentences for the head of the file; ``published`` are the figures that
    are known of the model.
    """

    name: str
    config: Config
    about: Sequence[str] = ()
    published: Mapping[str, Any] = field(default_factory=dict)

    @property
    def has_teacher(self) -> bool:
        """Whether the model learnt from another one, too."""
        return bool(self._distillation.get("teacher"))

    @property
    def command(self) -> str:
        """The command that trains the same with the same seed."""
        choice = f"+recipe={self.name}"
        if not READ_AS_IT_IS.fullmatch(self.name):
            choice = f"+recipe={quote(self.name)}"
        seed = self.config.get("seed", 0)
        line = f"paretune train {shlex.quote(choice)} seed={seed}"
        if self.has_teacher:
            file = Path(self._distillation["teacher"]).name
            line += f" {shlex.quote(f'trainer.distillation.teacher={file}')}"
        return line

    @property
    def _distillation(self) -> Mapping[str, Any]:
        trainer = self.config.get("trainer", {})
        distillation: Mapping[str, Any] = trainer.get("distillation", {})
        return distillation


@dataclass(frozen=True)
class _Choice:
    """An ``option`` of a group, and the settings that are ``changes`` to it; without an
    option these are all.
    """

    option: str | None
    changes: Mapping[str, Any]

    @property
    def n_changes(self) -> int:
        return len(list(list_leaves(self.changes)))


def format_recipe(training: Described) -> str:
    """The text of the recipe.

    Left out are the seed, the cap and a teacher's file. A stored config may be older
    than a section.
    """
    config = _leave_out_teacher(training.config)
    choices: dict[str, _Choice] = {}
    for group in RECIPE_GROUPS:
        if group in config:
            choices[group] = _choose_option(group, config[group])
    lines = ["# @package _global_", *_comment(training), "defaults:"]
    for group, choice in choices.items():
        lines.append(f"  - override /{group}: {_write_option(choice.option)}")
    lines.append("")
    for name, content in _list_sections(training, config, choices):
        if content:
            lines += _write_section(name, content).splitlines()
    return "\n".join(lines) + "\n"


def _list_sections(
    training: Described, config: Config, choices: Mapping[str, _Choice]
) -> Iterator[tuple[str, Any]]:
    """The settings of the recipe by their sections; some may be empty."""
    yield "recipe", training.name
    for group, choice in choices.items():
        yield group, choice.changes
    for name in RECIPE_SECTIONS:
        yield name, find_changes(config.get(name, {}), _compose_section(name))
    yield "published", training.published


def _comment(training: Described) -> Iterator[str]:
    about = [*training.about]
    if training.has_teacher:
        about.append(WITH_TEACHER)
    text = " ".join(about)
    for line in textwrap.wrap(text, LINE_WIDTH, break_on_hyphens=False):
        yield f"# {line}"


def _write_option(option: str | None) -> str:
    if option is None:
        return "null"
    return yaml.safe_dump(option, allow_unicode=True).splitlines()[0]


def _write_section(name: str, content: object) -> str:
    """A section of the file; one that may hold many settings has a line for each."""
    if name not in IN_LINES or not isinstance(content, Mapping):
        return _write(name, content)
    lines = [_write(key, value) for key, value in content.items()]
    return f"{name}:\n{textwrap.indent(''.join(lines), '  ')}"


def _write(name: str, content: object) -> str:
    is_nested = isinstance(content, (Mapping, list))
    return yaml.safe_dump(
        {name: content},
        default_flow_style=None if is_nested else False,
        sort_keys=False,
        allow_unicode=True,
        width=LINE_WIDTH,
    )


def _leave_out_teacher(config: Config) -> Config:
    trainer = dict(config.get("trainer", {}))
    if "distillation" in trainer:
        trainer["distillation"] = {**trainer["distillation"], "teacher": None}
    return {**config, "trainer": trainer}


def _choose_option(group: str, section: Mapping[str, Any]) -> _Choice:
    """The option that a section of a config differs least from."""
    choices: list[_Choice] = []
    for option in _list_options(group, section.get("_target_")):
        usual = _compose_section(group, option)
        if usual.get("_target_") == section.get("_target_"):
            choices.append(_Choice(option, _find_changes_of_option(section, usual)))
    # Where nobody has an option for it, a part of any other would be left over.
    return min(choices, key=lambda one: one.n_changes, default=_Choice(None, section))


def _find_changes_of_option(
    section: Mapping[str, Any], usual: Mapping[str, Any]
) -> dict[str, Any]:
    changes = find_changes(section, usual)
    for name in DECLARED:
        if usual.get(name, "") is None:  # which is that of the data
            changes.pop(name, None)
    return changes


def find_changes(
    section: Mapping[str, Any], usual: Mapping[str, Any]
) -> dict[str, Any]:
    """The settings of a section that are others than ``usual``, nested as they are."""
    changes: dict[str, Any] = {}
    for name, value in section.items():
        before = usual.get(name)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            if inner := find_changes(value, before):
                changes[name] = inner
        elif name not in usual or value != before:
            changes[name] = value
    return changes


def _list_options(group: str, target: str | None) -> list[str]:
    """The options of a group, Paretune's and the working folder's, that may have this
    ``_target_``.
    """
    named = re.compile(rf"_target_:\s*['\"]?{re.escape(str(target))}\b")
    options: set[str] = set()
    for parent in (paths.CONF, Path("conf")):
        for path in parent.glob(f"{group}/*.yaml"):
            text = path.read_text(encoding="utf-8")
            # An option that builds on another names no target.
            if named.search(text) or "_target_" not in text:
                options.add(path.stem)
    return sorted(options)


def _compose_section(section: str, option: str | None = None) -> dict[str, Any]:
    """A section of the config of ``paretune train``, with this option of its group."""
    return _compose_in(Path.cwd(), section, option)


@cache
def _compose_in(folder: Path, section: str, option: str | None) -> dict[str, Any]:
    """The same, of the working ``folder``, which has options of its own."""
    lines = [] if option is None else [f"{section}={quote(option)}"]
    plain: dict[str, Any] = to_plain(compose_again("train", lines)[section])
    return plain
