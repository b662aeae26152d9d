"""Searching a space under a cap. Optuna lives here, and only here; nothing here knows
what a trial trains.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from paretune.errors import Raced

Choose = Callable[[], Mapping[str, Any]]


def always(epoch: int, values: Sequence[float]) -> bool:
    """Without a race or a pruner every trial goes on."""
    return True


def forget(standard_error: float) -> None:
    """Outside of a sweep nobody asks how sure a score is."""


def choose_alone(name: str, choose: Choose) -> dict[str, Any]:
    """The value of a trial that has no study to share it through."""
    return dict(choose())


@dataclass(frozen=True, slots=True)
class TrialHandle:
    """A trial as its task function sees it: its sweep's name, its number, how often it
    started before, its draw.

    Its worker runs about ``n_alike`` trials of its choice of config groups, for
    ``timeout_s`` at most. ``waited_at`` is the epoch after which it has waited last; 0
    if it never did. It has so many ``objectives``. ``recorded_in`` is the id of the
    sweep's parent run in MLflow; empty without one.
    """

    sweep: str
    number: int
    attempt: int
    searched: Mapping[str, str]
    may_stay: Callable[[int, Sequence[float]], bool] = always
    pauses: Callable[[int, Sequence[float]], bool] | None = None
    waited_at: int = 0
    share: Callable[[str, Choose], dict[str, Any]] = choose_alone
    n_alike: float = 1.0
    timeout_s: float | None = None
    note_error: Callable[[float], None] = forget
    objectives: int = 1
    recorded_in: str = ""

    def tell_standard_error(self, standard_error: float) -> None:
        """Tell the standard error of the trial's score at its end, such as one over few
        images has. The sampler ``front`` then believes lucky scores less.
        """
        self.note_error(standard_error)

    def report(self, epoch: int, *values: float) -> None:
        """Tell what the trial has after ``epoch`` (from 1): its cost and its score, or
        the value of a single objective.

        The task need not catch what this raises: :class:`~paretune.errors.Raced` if the
        trial is to stop, at a rung of the race or because the pruner says so;
        :class:`~paretune.errors.ConfigError` for another number of values than the
        sweep has objectives.
        """
        if self.may_stay(epoch, values):
            return
        numbers = [f"{value:,.6g}" for value in values]
        raise Raced(
            f"{', '.join(numbers)} after epoch {epoch} is not good enough to go on"
        )

    def report_or_wait(self, epoch: int, *values: float) -> bool:
        """Like :meth:`report`, for a task that can be left and taken up again: ``True``
        if the trial is to wait after this epoch.

        The task then keeps its state where a further attempt of the same trial finds
        it, and raises :class:`~paretune.errors.Paused`. That attempt may be in another
        process; a state that it does not find it makes anew.
        """
        if self.pauses is None:
            self.report(epoch, *values)
            return False
        return self.pauses(epoch, values)

    def shared(self, name: str, choose: Choose) -> dict[str, Any]:
        """The value ``name`` (plain data, as JSON has it) that all trials of the sweep
        share.

        Where the study has none yet, ``choose`` is called and what it returns is kept.
        Of two workers that choose at the same time, both get what was stored first.
        """
        return self.share(name, choose)


_current: ContextVar[TrialHandle | None] = ContextVar("paretune_trial", default=None)


def current_trial() -> TrialHandle | None:
    """The trial that this process is running now; ``None`` outside of a sweep."""
    return _current.get()


@contextmanager
def make_current(trial: TrialHandle) -> Iterator[TrialHandle]:
    """Make ``trial`` the current one inside the block."""
    token = _current.set(trial)
    try:
        yield trial
    finally:
        _current.reset(token)
