"""``paretune worker``: work on a sweep that was started elsewhere, until it is over."""

import sys
from collections.abc import Sequence

from paretune.commands import train
from paretune.commands.mistakes import exit_on_mistake
from paretune.commands.sweep import bring_sweep
from paretune.errors import ConfigError
from paretune.secrets import refuse_passwords

JOIN = "hydra.sweeper.join=true"


def cli(arguments: Sequence[str] | None = None) -> None:
    """Join the sweep that the same arguments started; a person's mistake is one line
    and exit code 2.
    """
    given = sys.argv[1:] if arguments is None else arguments
    with exit_on_mistake("paretune worker"):
        refuse_passwords(*given)
        if not given:
            raise ConfigError(
                "the sweep is missing; give the arguments that it was started with, "
                "such as paretune worker under_2k"
            )
        lines = ["-m", JOIN, *bring_sweep(given)]
    train.cli(lines, command="paretune worker")
