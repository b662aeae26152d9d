"""``paretune``: every command under one name.

Only what a command needs is imported, and not before it is known: the list of commands,
a misspelt one and ``--version`` answer at once.
"""

import atexit
import gc
import sys

from paretune import __version__
from paretune.commands.completion import complete
from paretune.commands.mistakes import check_name, exit_on_mistake
from paretune.commands.table import COMMANDS, run_command
from paretune.console import end_with_the_reader
from paretune.errors import ConfigError
from paretune.secrets import refuse_passwords


def main() -> None:
    """Run the command that the first argument names; without one, list them. One that
    does not exist ends with exit code 2.
    """
    # The last garbage collection would walk all that torch and MLflow have made, for a
    # second or two, just before the memory goes back to the system.
    atexit.register(gc.freeze)
    with end_with_the_reader():
        _main()


def _main() -> None:
    name, *arguments = sys.argv[1:] or ["--help"]
    if name in COMMANDS:
        run_command(name, arguments)
    elif name in ("-h", "--help", "help"):
        print(describe_commands())
    elif name == "--version":
        print(f"paretune {__version__}")
    elif name in ("-sc", "--shell-completion"):
        with exit_on_mistake("paretune"):
            complete(arguments)
    else:
        with exit_on_mistake("paretune"):
            refuse_passwords(name)
            _refuse(name)


def describe_commands() -> str:
    """The text that ``paretune`` alone prints: a line for each command."""
    commands = "\n".join(
        f"  {name:<9}{command.about}" for name, command in COMMANDS.items()
    )
    return (
        "How small can a network be and still score? Pareto fronts of parameters "
        "against F1.\n\n"
        f"paretune COMMAND ...\n\n{commands}\n\n"
        "paretune COMMAND --help says more; paretune --version; completion: eval "
        '"$(paretune -sc install=bash)"'
    )


def _refuse(name: str) -> None:
    if "=" in name or name.startswith("-"):
        raise ConfigError(
            f"argument `{name}` stands before the command; the commands are "
            f"{', '.join(COMMANDS)}; for instance: paretune train {name}"
        )
    check_name("command", name, COMMANDS)
