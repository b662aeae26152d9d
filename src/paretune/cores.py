"""The processors of this machine."""

import os


def count_cores() -> int:
    """Processors that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux has it, macOS has not
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def count_threads(n_jobs: int) -> int:
    """Threads of each of ``n_jobs`` workers, which share this machine."""
    return max(1, count_cores() // n_jobs)
