"""``paretune sweep``: the sweep of sweeps/NAME.yaml, as ``paretune train sweeps=NAME``
runs it. The same command goes on with it, up to its total of trials.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from paretune import paths
from paretune.commands import train
from paretune.commands.checking import SEARCHING
from paretune.commands.mistakes import check_name, exit_on_mistake
from paretune.commands.parsing import make_parser
from paretune.errors import ConfigError
from paretune.overrides import quote, quote_name

ABOUT = (
    "The sweep of sweeps/NAME.yaml. The same command goes on with it, up to its total "
    "of trials."
)
MULTIRUN_OPTIONS = ("-m", "--multirun")


def cli(arguments: Sequence[str] | None = None) -> None:
    """Run the command; a person's mistake is one line and exit code 2."""
    given = _make_parser().parse_args(arguments)
    with exit_on_mistake("paretune sweep"):
        if not _is_name(given.name):
            raise ConfigError(
                f"sweep `{given.name}` is not a name; the first argument is one of "
                f"{', '.join(paths.sweep_names())}; without a file: paretune train -m"
            )
        overrides: list[str] = []
        for override in given.overrides:
            if override not in MULTIRUN_OPTIONS:
                overrides.append(override)
        lines = ["hydra.mode=MULTIRUN", *bring_sweep([given.name, *overrides])]
    train.cli(lines, command="paretune sweep")


def bring_sweep(arguments: Sequence[str]) -> list[str]:
    """The arguments with the name of a sweep at their head, if there is one, as
    overrides that bring it.

    A sweep of the working folder comes before Paretune's own of that name, which it may
    build on. Raises :class:`~paretune.errors.ConfigError` for an unknown name.
    """
    if not arguments or not _is_name(arguments[0]):
        return [*arguments]
    name, *overrides = arguments
    if name.endswith(".yaml") or name.startswith("sweeps/"):
        name = Path(name).stem
    chosen = quote_name(f"sweeps={name}", ["sweeps"])
    if any(override.startswith(SEARCHING) for override in overrides):
        return [chosen, *overrides]
    check_name("sweep", name, paths.sweep_names())
    if paths.SWEEPS.parent.resolve() == Path.cwd():
        return [chosen, *overrides]
    own = quote(f"file://{paths.SWEEPS.parent}")
    return [chosen, f"hydra.searchpath=[file://.,{own}]", *overrides]


def _is_name(argument: str) -> bool:
    return "=" not in argument and argument[:1] not in ("", "-", "+", "~")


def _make_parser() -> argparse.ArgumentParser:
    parser = make_parser("paretune sweep", ABOUT)
    names = ", ".join(paths.sweep_names())
    parser.add_argument(
        "name",
        nargs="?",
        default="",
        metavar="NAME",
        help=f"of a file sweeps/NAME.yaml, here or of Paretune's own: {names}",
    )
    parser.add_argument(
        "overrides",
        nargs=argparse.REMAINDER,
        metavar="OVERRIDE",
        help=(
            "Hydra's, such as hydra.sweeper.n_trials=100; paretune train --help says "
            "what there is"
        ),
    )
    return parser
