"""What a Hydra task function can know of the trial that it runs for."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

__all__ = ["TrialHandle", "current_trial", "running"]


@dataclass(frozen=True, slots=True)
class TrialHandle:
    """A trial as its task function sees it: its sweep's name, its number, how often it started before, its draw."""

    sweep: str
    number: int
    attempt: int
    searched: Mapping[str, str]


_current: ContextVar[TrialHandle | None] = ContextVar("paretune_trial", default=None)


def current_trial() -> TrialHandle | None:
    """The trial that this process is running now; ``None`` outside of a sweep."""
    return _current.get()


@contextmanager
def running(trial: TrialHandle) -> Iterator[TrialHandle]:
    """Make ``trial`` the current one inside the block."""
    token = _current.set(trial)
    try:
        yield trial
    finally:
        _current.reset(token)
