"""The last line of a command: the one that usually comes next."""

import shlex

from paretune import paths
from paretune.secrets import masked


def name_example(*, is_signal: bool) -> str:
    """A file that a person may have of what a model takes."""
    return "SIGNAL.npy" if is_signal else "PICTURE.png"


def next_command(command: str, *arguments: str, uri: str | None = None) -> str:
    """``Next: paretune COMMAND ARGUMENTS``, quoted for a shell.

    ``uri`` is that of the tracking store; it is named unless it is the one of this
    folder. Passwords in it are masked.
    """
    store: list[str] = []
    if uri and uri != paths.tracking_uri(paths.store()):
        store = ["--uri", masked(uri)]
    return f"Next: {shlex.join(['paretune', command, *arguments, *store])}"
