"""What a Hydra task function can know of the trial that it runs for, and tell it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from paretune.errors import Raced

__all__ = ["TrialHandle", "always", "current_trial", "running"]


def always(epoch: int, cost: float, score: float) -> bool:
    """Without a race every trial goes on."""
    return True


@dataclass(frozen=True, slots=True)
class TrialHandle:
    """A trial as its task function sees it: its sweep's name, its number, how often it started before, its draw."""

    sweep: str
    number: int
    attempt: int
    searched: Mapping[str, str]
    may_stay: Callable[[int, float, float], bool] = always

    def report(self, epoch: int, cost: float, score: float) -> None:
        """Tell what the trial costs and what it scores after ``epoch`` (from 1); the task need not catch what this raises.

        Raises :class:`~paretune.errors.Raced` at a rung of the race if the trial is to stop.
        """
        if not self.may_stay(epoch, cost, score):
            message = f"score {score:.4g} at a cost of {cost:,.6g} after epoch {epoch} cannot reach the front"
            raise Raced(message)


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
