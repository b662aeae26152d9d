"""The console: which log lines it shows, and what happens when nobody reads it any more
(``paretune train --help | head``).
"""

import logging
import os
import select
import signal
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

LIBRARIES = (sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))
OUR_LOGGERS = ("paretune", "hydra_plugins")
ENDED_BY_PIPE = 128 + signal.SIGPIPE  # as shells show it


class Console(logging.StreamHandler[TextIO]):
    """Log lines on the console.

    What libraries say below a warning is for log files alone, unless everything is
    asked for (``hydra.verbose=true``). Lines that nobody reads any more are dropped,
    without a traceback for each: the training goes on.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is shown."""
        return bool(super().filter(record)) and not _is_chatter(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Say nothing if the reader is gone."""
        if not isinstance(sys.exc_info()[1], BrokenPipeError):
            super().handleError(record)


def _is_chatter(record: logging.LogRecord) -> bool:
    if record.levelno >= logging.WARNING or logging.getLogger().level <= logging.DEBUG:
        return False
    return (
        record.pathname.startswith(LIBRARIES)
        and record.name.partition(".")[0] not in OUR_LOGGERS
    )


@contextmanager
def end_with_the_reader() -> Iterator[None]:
    """If what reads this process's output has gone, end as other programs do: silently,
    with exit code 141.
    """
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        if not _reader_is_gone():  # a socket's pipe, which is an error
            raise
        # For what is flushed when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(ENDED_BY_PIPE) from None


def _reader_is_gone() -> bool:
    poll = select.poll()
    poll.register(sys.stdout, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))
