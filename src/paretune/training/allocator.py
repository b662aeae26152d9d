"""Memory that a step frees is needed by the next one: do not hand it back to the system in between."""

import ctypes
import sys
from functools import cache

__all__ = ["keep_freed_memory"]

# glibc's mallopt(3) parameters
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST_MMAP_THRESHOLD = 32 * 2**20
KEPT_BYTES = 512 * 2**20


@cache  # once a process
def keep_freed_memory() -> bool:
    """Have glibc keep up to 512 MB of freed memory; returns whether it could be asked.

    By default it unmaps each freed activation of a few megabytes, and the kernel hands out zeroed pages for it again in
    the next step: a fifth to a half of the time of a small convolutional network.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):  # another libc, such as musl
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, LARGEST_MMAP_THRESHOLD) and mallopt(M_TRIM_THRESHOLD, KEPT_BYTES))
