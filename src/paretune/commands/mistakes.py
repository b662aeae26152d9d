"""A person's mistakes, each told in a line; the command then ends with exit code 2."""

import logging
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from paretune.errors import ConfigError, ParetuneError, first_line
from paretune.paths import printable
from paretune.retry import fault_of
from paretune.settings import mend, one_line

FILE_ERRORS = (
    FileNotFoundError,
    FileExistsError,
    PermissionError,
    IsADirectoryError,
    NotADirectoryError,
)

log = logging.getLogger(__name__)


def check_name(what: str, name: str, names: Collection[str]) -> None:
    """Raise :class:`~paretune.errors.ConfigError`, with the nearest of the ``names``,
    unless the ``name`` of a thing is one of them.
    """
    if name not in names:
        advice = mend(name, names, f"choose a {what} that is there")
        raise ConfigError(
            f"{what} `{name}` is unknown; expected one of {', '.join(names)}; {advice}"
        )


def check_text(arguments: Iterable[str]) -> None:
    """Raise :class:`~paretune.errors.ConfigError` for arguments with bytes that are not
    UTF-8: no config or log could hold them.
    """
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise ConfigError(
                f"argument `{printable(argument)}` is not UTF-8, and neither configs "
                "nor logs can hold it; expected text; rename the file or "
                f"folder, or make a link to it whose name is text"
            ) from None


@contextmanager
def exit_on_mistake(command: str, *others: type[Exception]) -> Iterator[None]:
    """Print a person's mistake as one line that names the ``command``, and leave with
    exit code 2.

    That is a :class:`ParetuneError`, one of ``others`` (Hydra wraps ours in its own),
    or a file that cannot be read or written.
    """
    mistakes: tuple[type[Exception], ...] = (ParetuneError, *FILE_ERRORS, *others)
    try:
        yield
    except mistakes as error:
        log.debug("the traceback of the mistake", exc_info=True)
        print(
            f"{command}: {_message(error, named=not isinstance(error, others))}",
            file=sys.stderr,
        )
        raise SystemExit(2) from None
    except OSError as error:
        fault = fault_of(error)
        if fault is None:
            raise
        print(
            (
                f"{command}: file `{error.filename}` cannot be used: {fault.wrong}; "
                f"{fault.mend}"
            ),
            file=sys.stderr,
        )
        raise SystemExit(2) from None


def tell_mistakes(command: str, errors: Sequence[BaseException]) -> None:
    """Print each of a person's mistakes as one line that names the ``command``, and
    leave with exit code 2 if there are any.
    """
    for error in errors:
        print(f"{command}: {_message(error, named=True)}", file=sys.stderr)
    if errors:
        raise SystemExit(2)


def _message(error: BaseException, named: bool) -> str:
    """The message for a person; a file's error is ``named`` after the file unless it
    has a message of its own.
    """
    ours = error
    while ours and not isinstance(ours, ParetuneError):
        ours = ours.__cause__  # type: ignore[assignment]
    if ours:
        return str(ours).strip()
    if isinstance(error, FILE_ERRORS) and named:
        return (
            f"file `{error.filename}` cannot be used ({error.strerror}); expected one "
            "that may be read or written; check it"
        )
    if mark := getattr(error, "problem_mark", None):  # of YAML
        problem: Any = getattr(error, "problem", None)
        return (
            f"file `{mark.name}` cannot be read (line {mark.line + 1}, column "
            f"{mark.column + 1}: {problem}); expected YAML; correct it"
        )
    return one_line(
        str(error).strip(), first_line(error.__cause__) if error.__cause__ else ""
    )
