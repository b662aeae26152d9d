"""The log files that Hydra opens in a process and leaves open."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def closing_log_files() -> Iterator[None]:
    """Close what was opened meanwhile, so that the next command of this process does
    not drop it unclosed.
    """
    root = logging.getLogger()
    handlers = root.handlers[:]
    try:
        yield
    finally:
        for handler in set(root.handlers) - set(handlers):
            handler.close()
        root.handlers[:] = handlers
