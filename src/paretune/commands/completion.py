"""Completion in bash, fish and zsh: ``paretune -sc install=bash``."""

import os
import re
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout, suppress
from io import StringIO

from paretune import paths
from paretune.commands.table import COMMANDS, Command, run_command
from paretune.errors import ConfigError


def complete(arguments: Sequence[str]) -> None:
    """Hydra's shell completion (``install=bash``, ``query=bash``, ...) for ``paretune
    COMMAND``.

    Of the line that is typed, in ``COMP_LINE``, Hydra sees what follows the command.

    Raises :class:`~paretune.errors.ConfigError` for another shell.
    """
    if not any(
        re.fullmatch(r"(install|uninstall|query)=(bash|fish|zsh)", argument)
        for argument in arguments
    ):
        raise ConfigError(
            f"completion `{' '.join(arguments)}` is unknown; expected install, "
            "uninstall or query of bash, fish or zsh; for instance: "
            f"paretune -sc install=bash"
        )
    if any(argument.startswith("query=") for argument in arguments):
        line = re.match(r"\s*\S+\s+(\S+)\s+(.*)", os.environ.get("COMP_LINE", ""))
        if not line:
            return print(*COMMANDS)
        name, rest = line.groups()
        command = COMMANDS.get(name, Command("unknown"))
        if not command.takes_overrides and rest.split(" ")[-1].startswith("-"):
            return print(*_options(name))
        if command.takes_sweep and not re.search(r"\s", rest):
            return print(*_list_sweeps())
        if not command.takes_overrides:
            return None
        os.environ["COMP_LINE"] = "paretune " + re.sub(
            r"^([^\s=+~-][^\s=]*)(?=\s)", r"sweeps=\1", rest
        )
    sys.argv[1:] = ["-sc", *arguments]
    return run_command("train")


def _list_sweeps() -> list[str]:
    """The sweeps that have a file, and those that have run here."""
    run = {folder.name for folder in (paths.store() / "outputs").glob("*")} - {"runs"}
    return sorted({*paths.sweep_names(), *run})


def _options(command: str) -> list[str]:
    """The long options that the command's help lists."""
    sys.argv[1:] = ["--help"]
    with redirect_stdout(StringIO()) as text, suppress(SystemExit):
        if command in COMMANDS:
            run_command(command)
    return sorted({*re.findall(r"(?<=\s)--[a-z][\w-]*", text.getvalue())})
