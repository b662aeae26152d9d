"""Linear algebra on one thread.

The surrogate's matrices are small. Threads of BLAS gain nothing on them, and lose much
where each of several workers has as many threads as there are cores: they wait for one
another, an ask takes two to four times as long.
"""

from contextlib import AbstractContextManager
from functools import cache

from threadpoolctl import ThreadpoolController


@cache
def _find_libraries() -> ThreadpoolController:
    """The libraries of this process, which are looked for once: numpy and scipy are
    imported by then.
    """
    return ThreadpoolController()


def on_one_thread() -> AbstractContextManager[object]:
    """A block in which BLAS uses one thread."""
    block: AbstractContextManager[object] = _find_libraries().limit(
        limits=1, user_api="blas"
    )
    return block
