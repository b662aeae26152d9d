"""``paretune data check``: what a data set holds, in seconds, before anything is
trained on it.

It takes what a training takes (data=folder data.path=pictures), or a folder or an .npz
file alone. It lists classes and splits, types, modes and sizes, what is left out and
why, every damaged picture, and copies in several splits or classes. The exit code is 2
if a training would stop.
"""

import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paretune import paths
from paretune.commands.mistakes import EXIT_CODE, check_text, exit_on_mistake
from paretune.commands.parsing import format_count, make_parser
from paretune.errors import ConfigError
from paretune.paths import printable
from paretune.settings import check_all

if TYPE_CHECKING:
    import argparse

    from rich.console import Console
    from rich.table import Table

    from paretune.data.survey import Survey

# What is done with the images of a split.
USES = {"train": "train", "val": "validate", "test": "test"}
MOST_LINES = 10  # of a heading
MOST_CLASSES = 30  # rows of the table
INDENT = 12
ALL_TOLD = "more: --all shows them"


@dataclass(frozen=True)
class Options:
    """The settings of the data, and how much of what is found is shown."""

    settings: tuple[str, ...]
    most_lines: int = MOST_LINES
    most_classes: int = MOST_CLASSES


def cli(arguments: Sequence[str] | None = None) -> None:
    """Run the command; a person's mistake is one line and exit code 2."""
    given = _make_parser().parse_args(arguments)
    options = Options(tuple(given.settings))
    if given.all:
        options = Options(options.settings, sys.maxsize, sys.maxsize)

    from hydra.errors import CompactHydraException
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    paths.import_from_working_folder()
    with exit_on_mistake(
        "paretune data check", CompactHydraException, OmegaConfBaseException, YAMLError
    ):
        _check(options)


def _check(options: Options) -> None:
    from paretune.data.survey import survey

    check_text(options.settings)
    overrides = write_overrides(options.settings)
    found = survey(_compose_data(overrides))
    _print(found, options)
    if found.mistakes:
        for mistake in found.mistakes:
            print(f"paretune data check: {mistake}", file=sys.stderr)
        raise SystemExit(EXIT_CODE)
    print(f"\na training can read it: paretune train {shlex.join(overrides)}".rstrip())


def write_overrides(settings: Sequence[str]) -> list[str]:
    """The settings, with what is a folder or an ``.npz`` file as such data. Raises
    :class:`~paretune.errors.ConfigError` for what is neither that nor a setting.
    """
    data_sets = [setting for setting in settings if _is_data(setting)]
    if len(data_sets) > 1:
        raise ConfigError(
            f"`{data_sets[0]}` and `{data_sets[1]}` are two data sets; check them one "
            "by one"
        )
    overrides: list[str] = []
    for setting in settings:
        if _is_data(setting):
            kind = "npz" if Path(setting).is_file() else "folder"
            overrides += [f"data={kind}", f"data.path={_quote_path(setting)}"]
        elif "=" in setting:
            overrides.append(setting)
        else:
            raise ConfigError(
                f"`{printable(setting)}` is neither a folder nor an .npz file, nor a "
                "setting such as data.path=pictures; check the path"
            )
    return overrides


def _is_data(setting: str) -> bool:
    """Whether a setting is a folder or an ``.npz`` file itself."""
    path = Path(setting)
    if path.suffix == ".npz" and path.is_file():
        return True
    is_path = "=" not in setting or setting.startswith(("/", "./", "../"))
    return is_path and path.is_dir()


def _quote_path(path: str) -> str:
    """A path as Hydra takes it in an override, whatever letters it has."""
    from paretune.overrides import is_text, quote

    has_plain_letters = all(char.isalnum() or char in "/._- " for char in path)
    has_single_spaces = path == " ".join(path.split())
    is_null = path.lower() == "null"
    if has_plain_letters and has_single_spaces and is_text(path) and not is_null:
        return path
    return quote(path)


def _compose_data(overrides: Sequence[str]) -> dict[str, Any]:
    """The ``data`` section that a training with these settings would have, as plain
    data.
    """
    from omegaconf import OmegaConf

    from paretune.commands.composing import composed

    with composed("train", overrides) as config:
        unresolved: Any = OmegaConf.to_container(config.data)
        check_all({"data": unresolved}, {"data": unresolved})
        data: Any = OmegaConf.to_container(config.data, resolve=True)
    return dict(data)


def _print(found: "Survey", options: Options) -> None:
    from rich.console import Console

    console = Console(markup=False, highlight=False, emoji=False, soft_wrap=True)
    n_images = sum(len(part) for part in found.parts.values())
    images = format_count(n_images, "image")
    classes = format_count(len(found.class_names), "class", "classes")
    console.print(f"{found.name}: {images}, {classes}")
    if found.class_names:
        console.print(_build_table(found, options.most_classes))
    for fact in found.facts:
        _print_lines(console, fact.heading, fact.lines, options.most_lines)
    _print_lines(console, "drawn", _describe_drawn(found), options.most_lines)
    _print_lines(console, "beware", found.warnings, options.most_lines)


def _print_lines(
    console: "Console", heading: str, lines: Sequence[str], most: int
) -> None:
    """The lines of a heading, the first beside it."""
    for number, line in enumerate(lines[:most]):
        beside = heading if number == 0 else ""
        console.print(f"{beside:<{INDENT}}{line}")
    if len(lines) > most:
        console.print(f"{'':<{INDENT}}and {len(lines) - most:,} {ALL_TOLD}")


def _describe_drawn(found: "Survey") -> list[str]:
    """A line on the splits that the data set itself does not have."""
    if not found.drawn:
        return []
    uses = " and to ".join(USES[split] for split in found.drawn)
    return [f"images to {uses}, as a training draws them"]


def _build_table(found: "Survey", most: int) -> "Table":
    """How many images there are, a row a class, a column a split."""
    from rich import box
    from rich.table import Table

    splits = [split for split in USES if split in found.parts]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("class")
    for split in splits:
        table.add_column(USES[split], justify="right")
    table.add_column("all", justify="right")

    for row in _count_by_class(found, splits, most):
        table.add_row(row.name, *row.format_numbers())
    if len(found.class_names) > most:
        table.add_row(f"and {len(found.class_names) - most:,} {ALL_TOLD}")
    totals = [len(found.parts[split]) for split in splits]
    total = _Row("all", totals)
    table.add_row(total.name, *total.format_numbers())
    return table


@dataclass(frozen=True)
class _Row:
    """The images of a class, by split."""

    name: str
    counts: Sequence[int]

    def format_numbers(self) -> list[str]:
        """The numbers of the splits and their sum."""
        return [f"{number:,}" for number in (*self.counts, sum(self.counts))]


def _count_by_class(
    found: "Survey", splits: Sequence[str], most: int
) -> Iterator[_Row]:
    for label, name in enumerate(found.class_names[:most]):
        counts: list[int] = []
        for split in splits:
            counts.append(int((found.parts[split].labels == label).sum()))
        yield _Row(name, counts)


def _make_parser() -> "argparse.ArgumentParser":
    parser = make_parser("paretune data", __doc__)
    parser.add_argument(
        "what",
        choices=["check"],
        metavar="check",
        help="check: say what a data set holds",
    )
    parser.add_argument(
        "settings",
        nargs="*",
        metavar="SETTING",
        help=(
            "settings such as data=folder data.path=pictures data.channels=1, or a "
            "folder or an .npz file alone"
        ),
    )
    parser.add_argument(
        "--all",
        action="store_true",
        help="every class and every name, not the first ones alone",
    )
    return parser
