"""``paretune data check``: what a data set holds, in seconds, before anything is
trained on it.

It takes what a training takes (data=folder data.path=pictures), or a folder or an .npz
file alone. It lists classes and splits, types, modes and sizes, what is left out and
why, every damaged picture, and copies in several splits or classes. The exit code is 2
if a training would stop.
"""

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paretune import paths, schema
from paretune.commands.mistakes import check_text, exit_on_mistake
from paretune.commands.parsing import counted, parser_of
from paretune.errors import ConfigError
from paretune.paths import printable
from paretune.settings import check_all

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from paretune.data.survey import Survey

SPLITS = {"train": "train", "val": "validate", "test": "test"}
SHOWN = 10  # lines of a heading
CLASSES = 30  # rows of the table
INDENT = 12


def cli(arguments: Sequence[str] | None = None) -> None:
    """Run the command; a person's mistake is one line and exit code 2."""
    parser = parser_of("paretune data", __doc__)
    parser.add_argument(
        "what",
        choices=["check"],
        metavar="check",
        help="check: say what a data set holds",
    )
    settings = (
        "settings such as data=folder data.path=pictures data.channels=1, or a folder "
        "or an .npz file alone"
    )
    parser.add_argument("settings", nargs="*", metavar="SETTING", help=settings)
    parser.add_argument(
        "--all",
        action="store_true",
        help="every class and every name, not the first ones alone",
    )
    options = parser.parse_args(arguments)

    from hydra.errors import CompactHydraException
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    paths.import_from_working_folder()
    with exit_on_mistake(
        "paretune data check", CompactHydraException, OmegaConfBaseException, YAMLError
    ):
        _check(options)


def _check(options: argparse.Namespace) -> None:
    from paretune.data.survey import survey

    check_text(options.settings)
    overrides = _overrides(options.settings)
    result = survey(_data_config(overrides))
    _print(
        result,
        SHOWN if not options.all else sys.maxsize,
        CLASSES if not options.all else sys.maxsize,
    )
    if result.mistakes:
        for mistake in result.mistakes:
            print(f"paretune data check: {mistake}", file=sys.stderr)
        raise SystemExit(2)
    print(f"\na training can read it: paretune train {shlex.join(overrides)}".rstrip())


def _overrides(settings: Sequence[str]) -> list[str]:
    """The settings, with what is a folder or an ``.npz`` file as such data."""
    overrides: list[str] = []
    folders = [setting for setting in settings if _is_data(setting)]
    if len(folders) > 1:
        raise ConfigError(
            f"`{folders[0]}` and `{folders[1]}` are two data sets; expected one; "
            "check them one by one"
        )
    for setting in settings:
        path = Path(setting)
        if _is_data(setting) and path.is_file():
            overrides += ["data=npz", f"data.path={_quoted(setting)}"]
        elif _is_data(setting):
            overrides += ["data=folder", f"data.path={_quoted(setting)}"]
        elif "=" not in setting:
            raise ConfigError(
                f"`{printable(setting)}` is neither a folder nor an .npz file, nor a "
                "setting; expected such as data=folder "
                f"data.path=pictures; check the path"
            )
        else:
            overrides.append(setting)
    return overrides


def _is_data(setting: str) -> bool:
    """Whether a setting is a folder or an ``.npz`` file itself."""
    path = Path(setting)
    if path.suffix == ".npz" and path.is_file():
        return True
    return path.is_dir() and (
        "=" not in setting or setting.startswith(("/", "./", "../"))
    )


def _quoted(path: str) -> str:
    """A path as Hydra takes it in an override, whatever letters it has."""
    from paretune.overrides import is_text, quoted

    is_plain = all(
        char.isalnum() or char in "/._- " for char in path
    ) and path == " ".join(path.split())
    is_null = path.lower() == "null"
    return path if is_plain and is_text(path) and not is_null else quoted(path)


def _data_config(overrides: Sequence[str]) -> dict[str, Any]:
    """The ``data`` section that a training with these settings would have, as plain
    data.
    """
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    own = (
        f"hydra.searchpath=[file://.,'file://{os.getcwd()}/conf']"
        if Path("conf").is_dir()
        else None
    )
    schema.register()
    with initialize_config_dir(str(paths.CONF), version_base="1.3"):
        config = compose("train", overrides=[*([own] if own else []), *overrides])
    data: Any = OmegaConf.to_container(config.data)
    check_all({"data": data}, {"data": data})
    plain: dict[str, Any] = OmegaConf.to_container(config.data, resolve=True)  # type: ignore[assignment]
    return plain


def _print(result: "Survey", lines: int, classes: int) -> None:
    from rich.console import Console

    console = Console(markup=False, highlight=False, emoji=False, soft_wrap=True)
    images = counted(sum(len(part) for part in result.parts.values()), "image")
    console.print(f"{result.name}: {images}, {_classes(len(result.class_names))}")
    if result.class_names:
        _print_table(console, result, classes)
    for fact in result.facts:
        _print_lines(console, fact.heading, fact.lines, lines)
    _print_lines(console, "drawn", _drawn(result), lines)
    _print_lines(console, "beware", result.warnings, lines)


def _classes(number: int) -> str:
    return "1 class" if number == 1 else f"{number:,} classes"


def _print_lines(
    console: "Console", heading: str, told: Sequence[str], most: int
) -> None:
    """The lines of a heading, the first beside it."""
    for number, line in enumerate(told[:most]):
        console.print(f"{'' if number else heading:<{INDENT}}{line}")
    if len(told) > most:
        console.print(f"{'':<{INDENT}}and {len(told) - most:,} more: --all shows them")


def _drawn(result: "Survey") -> list[str]:
    """Which splits the data set itself does not have."""
    if not result.drawn:
        return []
    return [
        (
            f"images to {' and to '.join(SPLITS[split] for split in result.drawn)}, "
            "as a training draws them"
        )
    ]


def _print_table(console: "Console", result: "Survey", most: int) -> None:
    splits = [split for split in SPLITS if split in result.parts]
    table = _table(["class", *(SPLITS[split] for split in splits), "all"])
    for label, name in list(enumerate(result.class_names))[:most]:
        table.add_row(
            name,
            *_counts(
                [int((result.parts[split].labels == label).sum()) for split in splits]
            ),
        )
    if len(result.class_names) > most:
        table.add_row(f"and {len(result.class_names) - most:,} more: --all shows them")
    table.add_row("all", *_counts([len(result.parts[split]) for split in splits]))
    console.print(table)


def _counts(numbers: Sequence[int]) -> list[str]:
    """The numbers of the splits and their sum."""
    return [f"{number:,}" for number in (*numbers, sum(numbers))]


def _table(columns: Sequence[str]) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="left" if column == "class" else "right")
    return table
