"""``paretune worker``: work on a sweep that was started elsewhere."""

import sys

from paretune.commands import train
from paretune.commands.mistakes import exit_on_mistake
from paretune.commands.sweep import bring_sweep
from paretune.errors import ConfigError
from paretune.secrets import refuse_passwords

JOIN = "hydra.sweeper.join=true"


def cli() -> None:
    """Run ``paretune worker``: join the sweep that the same arguments started
    elsewhere, until it is over.
    """
    with exit_on_mistake("paretune worker"):
        refuse_passwords(*sys.argv[1:])
        if not sys.argv[1:]:
            raise ConfigError(
                "the sweep is missing; expected what it was started with; for "
                "instance: paretune worker under_2k"
            )
        sys.argv[1:] = ["-m", JOIN, *bring_sweep(sys.argv[1:])]
    train.cli("paretune worker")
