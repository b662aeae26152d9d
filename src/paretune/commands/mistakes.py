"""A person's mistakes, each told in a line; the command then ends with exit code 2."""

import logging
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

from paretune.errors import ConfigError, ParetuneError, first_line
from paretune.extras import describe_missing
from paretune.hydra_messages import translate
from paretune.paths import printable
from paretune.retry import fault_of
from paretune.settings import advise

EXIT_CODE = 2
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
        advice = advise(name, names, f"choose a {what} that is there")
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
                "nor logs can hold it; rename the file or folder, or make a link to it "
                "whose name is text"
            ) from None


@contextmanager
def exit_on_mistake(command: str, *others: type[Exception]) -> Iterator[None]:
    """Print a person's mistake as one line that names the ``command``, and leave with
    exit code 2.

    That is a :class:`ParetuneError`, one of ``others`` (Hydra wraps ours in its own),
    a file that cannot be read or written, or a package of an extra that is missing.
    """
    try:
        yield
    except others as error:
        log.debug("the traceback of the mistake", exc_info=True)
        _leave(command, _describe_wrapped(error))
    except (ParetuneError, *FILE_ERRORS) as error:
        log.debug("the traceback of the mistake", exc_info=True)
        _leave(command, _describe(error))
    except ModuleNotFoundError as error:
        missing = describe_missing(error)
        if missing is None:
            raise
        _leave(command, missing)
    except OSError as error:
        fault = fault_of(error)
        if fault is None:
            raise
        _leave(
            command,
            f"file `{error.filename}` cannot be used: {fault.wrong}; {fault.mend}",
        )


def _leave(command: str, message: str) -> NoReturn:
    print(f"{command}: {message}", file=sys.stderr)
    raise SystemExit(EXIT_CODE) from None


def print_mistakes(command: str, errors: Sequence[Exception]) -> None:
    """Print each of a person's mistakes as one line that names the ``command``, and
    leave with exit code 2 if there are any.
    """
    for error in errors:
        print(f"{command}: {_describe(error)}", file=sys.stderr)
    if errors:
        raise SystemExit(EXIT_CODE)


def _describe(error: Exception) -> str:
    """The message of an error of ours, or of a file that cannot be used."""
    if isinstance(error, FILE_ERRORS) and not isinstance(error, ParetuneError):
        return f"file `{error.filename}` cannot be used ({error.strerror}); check it"
    return str(error).strip()


def _describe_wrapped(error: Exception) -> str:
    """The message of an error of a library: that of ours which it wraps, if there is
    one.
    """
    cause: BaseException | None = error
    while cause and not isinstance(cause, ParetuneError):
        cause = cause.__cause__
    if cause:
        return str(cause).strip()
    if mark := getattr(error, "problem_mark", None):
        return (
            f"file `{mark.name}` is not YAML (line {mark.line + 1}, column "
            f"{mark.column + 1}: {getattr(error, 'problem', None)}); correct it"
        )
    said_by_cause = ""
    if error.__cause__:
        said_by_cause = first_line(error.__cause__)
    return translate(str(error).strip(), said_by_cause)
