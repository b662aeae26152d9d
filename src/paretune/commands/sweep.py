"""``paretune sweep``: the sweep of a file ``sweeps/NAME.yaml``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from paretune import paths
from paretune.commands import train
from paretune.commands.mistakes import check_name, exit_on_mistake
from paretune.commands.parsing import parser_of
from paretune.errors import ConfigError
from paretune.overrides import as_typed, quoted


def cli() -> None:
    """Run ``paretune sweep NAME ...``: the sweep of ``sweeps/NAME.yaml``, as ``paretune
    train sweeps=NAME ...`` does.
    """
    names = (
        "of a file sweeps/NAME.yaml, here or of Paretune's own: "
        f"{', '.join(paths.sweep_names())}"
    )
    parser = parser_of(
        "paretune sweep",
        (
            "The sweep of sweeps/NAME.yaml. The same command goes on with it, up to "
            "its total of trials."
        ),
    )
    parser.add_argument("name", nargs="?", default="", metavar="NAME", help=names)
    settings = (
        "Hydra's, such as hydra.sweeper.n_trials=100; paretune train --help says what "
        "there is"
    )
    parser.add_argument(
        "overrides", nargs=argparse.REMAINDER, metavar="OVERRIDE", help=settings
    )
    options = parser.parse_args()
    with exit_on_mistake("paretune sweep"):
        if not _is_name(options.name):
            raise ConfigError(
                f"sweep `{options.name}` is not a name; expected one of "
                f"{', '.join(paths.sweep_names())}, first; without a file: "
                f"paretune train -m"
            )
        overrides = [
            override
            for override in options.overrides
            if override not in ("-m", "--multirun")
        ]
        sys.argv[1:] = ["hydra.mode=MULTIRUN", *bring_sweep([options.name, *overrides])]
    train.cli("paretune sweep")


def _is_name(argument: str) -> bool:
    return "=" not in argument and argument[:1] not in ("", "-", "+", "~")


def bring_sweep(arguments: Sequence[str]) -> list[str]:
    """The arguments with the name of a sweep at their head, if there is one, as
    overrides that bring it.

    A sweep of the working folder comes before Paretune's own of that name, which it may
    build on. Raises
    :class:`~paretune.errors.ConfigError`.
    """
    name, *overrides = arguments or [""]
    if not _is_name(name):
        return [*arguments]
    if name.endswith(".yaml") or name.startswith("sweeps/"):
        name = Path(name).stem
    chosen = as_typed(f"sweeps={name}", ["sweeps"])
    if any(
        override.startswith(("--config-dir", "-cd", "hydra.searchpath"))
        for override in overrides
    ):
        return [chosen, *overrides]
    check_name("sweep", name, paths.sweep_names())
    if paths.SWEEPS.parent.resolve() == Path.cwd():
        return [chosen, *overrides]
    theirs = quoted(f"file://{paths.SWEEPS.parent}")
    return [chosen, f"hydra.searchpath=[file://.,{theirs}]", *overrides]
