"""The command line that Hydra reads: ``hydra.main`` takes it from ``sys.argv`` alone."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


@contextmanager
def command_line(arguments: Sequence[str]) -> Iterator[None]:
    """A context in which ``sys.argv`` has these ``arguments``."""
    before = sys.argv[1:]
    sys.argv[1:] = arguments
    try:
        yield
    finally:
        sys.argv[1:] = before
