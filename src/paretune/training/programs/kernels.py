"""The kernels of :mod:`paretune.batch_last`, kept in the user's cache folder."""

import logging
import shlex
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from functools import cache

from paretune import paths
from paretune.batch_last import Library, build_library, find_compiler
from paretune.cache import make_room, mark_used
from paretune.errors import first_line

# Of a compiler's complaint.
MOST_CHARACTERS = 300

log = logging.getLogger(__name__)


@cache
def load_kernels() -> Library | None:
    """The library, compiled if the cache has none; ``None``, and one line in the log,
    where that is not possible.

    The compiler is ``CXX``, with its flags if it has some, else g++ or clang++.
    """
    compiler = find_compiler()
    if not compiler:
        log.info(
            "no C++ compiler is on the PATH, so trainings run without the batch-last "
            "kernels; install g++ for them"
        )
        return None
    try:
        return _load(compiler)
    # A RuntimeError: there is no home folder.
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        reason = getattr(error, "stderr", None) or first_line(error)
        log.warning(
            "`%s` cannot compile the batch-last kernels (%s); trainings run without "
            "them",
            shlex.join(compiler),
            reason.strip()[:MOST_CHARACTERS],
        )
        return None


def _load(compiler: Sequence[str]) -> Library:
    built = build_library(compiler, paths.cache())
    if built.is_new:
        with suppress(OSError):
            make_room(built.path)
    else:
        mark_used(built.path)
    return Library(built.path)
