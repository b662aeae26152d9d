"""The errors a person can cause, and can mend.

::

    ParetuneError
    ├── ConfigError   a setting that cannot work as it is written
    │   └── CapError  a model with more parameters than the cap allows
    ├── ExportError   a model that cannot be written, or says something else once it is
    ├── DataError     data files that are missing, damaged or of another kind
    ├── StoreError    a study or a tracking store that is missing or does not fit the question
    └── SweepError    a sweep that gave up

    Raced             no mistake: a trial that was stopped early because it cannot reach the front

Every message is one line: *thing* `value` is *wrong how*; expected *what*; *do this*.
The commands print it alone and leave with exit code 2.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = [
    "CapError", "ConfigError", "DataError", "ExportError", "ParetuneError", "Raced", "StoreError", "SweepError",
    "exit_on_mistake", "first_line",
]  # fmt: skip


FILE_ERRORS = (FileNotFoundError, FileExistsError, PermissionError, IsADirectoryError, NotADirectoryError)

log = logging.getLogger(__name__)


class ParetuneError(Exception):
    """Root of all errors that Paretune raises on purpose."""


class ConfigError(ParetuneError, ValueError):
    """A setting cannot work as it is written."""


class CapError(ConfigError):
    """A model has more trainable parameters than the cap allows."""


class DataError(ParetuneError, OSError):
    """Data files are missing, damaged or of another kind."""


class ExportError(ParetuneError):
    """A model cannot be written in a format, or gives other answers once it is."""


class StoreError(ParetuneError):
    """A study or a tracking store is missing, or does not fit the question asked of it."""


class SweepError(ParetuneError):
    """A sweep gave up: too many of its trials failed."""


class Raced(Exception):  # noqa: N818 - no error
    """A trial was stopped at a rung because its curve cannot reach the front any more."""


def first_line(error: BaseException) -> str:
    """What the error says first; its name if it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


@contextmanager
def exit_on_mistake(command: str, *others: type[Exception]) -> Iterator[None]:
    """A person's mistake as one line of ``command``'s and exit code 2.

    That is a :class:`ParetuneError`, one of ``others`` (Hydra wraps ours in its own), or a file that cannot be had.
    """
    mistakes: tuple[type[Exception], ...] = (ParetuneError, *FILE_ERRORS, *others)
    try:
        yield
    except mistakes as error:
        log.debug("where it came from", exc_info=True)
        print(f"{command}: {_said(error, named=not isinstance(error, others))}", file=sys.stderr)
        raise SystemExit(2) from None


def _said(error: BaseException, named: bool) -> str:
    """The message for a person; a file's error is ``named`` after the file unless it has a message of its own."""
    ours = error
    while ours and not isinstance(ours, ParetuneError):
        ours = ours.__cause__  # type: ignore[assignment]
    if ours:
        return str(ours).strip()
    if isinstance(error, FILE_ERRORS) and named:
        return f"file `{error.filename}` cannot be used ({error.strerror}); expected one that may be read or written; check it"
    return str(error).strip()
