"""Completion in bash, fish and zsh: ``paretune -sc install=bash``."""

import os
import re
from collections.abc import Sequence
from contextlib import redirect_stdout, suppress
from io import StringIO

from paretune import paths
from paretune.commands.table import COMMANDS, run_command
from paretune.errors import ConfigError

SHELLS = re.compile(r"(install|uninstall|query)=(bash|fish|zsh)")
TYPED = re.compile(r"\s*\S+\s+(?P<command>\S+)\s+(?P<rest>.*)")
ADDED_RECIPE = "+recipe="
SWEEP_NAME = re.compile(r"^([^\s=+~-][^\s=]*)(?=\s)")


def complete(arguments: Sequence[str]) -> None:
    """Hydra's shell completion (``install=bash``, ``query=bash``, ...) for ``paretune
    COMMAND``.

    The shell has put the line that is typed into ``COMP_LINE``. Raises
    :class:`~paretune.errors.ConfigError` for another shell.
    """
    if not any(SHELLS.fullmatch(argument) for argument in arguments):
        raise ConfigError(
            f"completion `{' '.join(arguments)}` is unknown; write install, uninstall "
            "or query of bash, fish or zsh, such as paretune -sc install=bash"
        )
    if any(argument.startswith("query=") for argument in arguments):
        offered = _list_offers(os.environ.get("COMP_LINE", ""))
        if offered is not None:
            print(*offered)
            return
    run_command("train", ["-sc", *arguments])


def _list_offers(line: str) -> list[str] | None:
    """The words that may come next in the ``line``; ``None`` where Hydra knows them.

    Hydra then finds in ``COMP_LINE`` what follows the command.
    """
    typed = TYPED.match(line)
    if not typed:
        return [*COMMANDS]
    rest = typed["rest"]
    words = rest.split(" ")
    command = COMMANDS.get(typed["command"])
    if command is None:
        return []
    if words[-1].startswith("-") and not command.takes_overrides:
        return _list_options(typed["command"])
    if words[-2:-1] == ["--recipe"]:
        return paths.recipe_names()
    if words[-1].startswith(ADDED_RECIPE):
        return [f"{ADDED_RECIPE}{name}" for name in paths.recipe_names()]
    if command.takes_sweep and not re.search(r"\s", rest):
        return _list_sweeps()
    if not command.takes_overrides:
        return []
    os.environ["COMP_LINE"] = "paretune " + SWEEP_NAME.sub(r"sweeps=\1", rest)
    return None


def _list_sweeps() -> list[str]:
    """The sweeps that have a file, and those that have run here."""
    folders = {folder.name for folder in (paths.store() / "outputs").glob("*")}
    return sorted({*paths.sweep_names(), *folders} - {"runs"})


def _list_options(command: str) -> list[str]:
    """The long options that the command's help lists."""
    with redirect_stdout(StringIO()) as text, suppress(SystemExit):
        run_command(command, ["--help"])
    return sorted({*re.findall(r"(?<=\s)--[a-z][\w-]*", text.getvalue())})
