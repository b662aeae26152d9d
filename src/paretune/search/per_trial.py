"""What is worked out of a trial once, and asked for at every ask."""

from collections.abc import Callable
from typing import Generic, TypeVar

from optuna.trial import FrozenTrial, TrialState

T = TypeVar("T")
KEPT_STATES = (
    TrialState.COMPLETE,
    TrialState.PRUNED,
    TrialState.FAIL,
    TrialState.WAITING,
)


class PerTrial(Generic[T]):
    """A value of each trial that ``compute`` gives. Of one that is finished it is kept,
    as nothing of it changes any more, and of one that waits as long as it was not
    trained on.
    """

    def __init__(self, compute: Callable[[FrozenTrial], T]) -> None:
        self.compute = compute
        # By the trials' numbers, each beside the trial that it is of.
        self._values: dict[int, tuple[FrozenTrial, T]] = {}

    def of(self, trial: FrozenTrial) -> T:
        """The value of ``trial``."""
        kept = self._values.get(trial.number)
        if kept and _is_unchanged(kept[0], trial):
            return kept[1]
        value = self.compute(trial)
        if trial.state in KEPT_STATES:
            self._values[trial.number] = (trial, value)
        return value


def _is_unchanged(before: FrozenTrial, now: FrozenTrial) -> bool:
    """Whether these are the same trial, as far as it was trained."""
    if before is now:
        return True
    both_wait = before.state is now.state is TrialState.WAITING
    return both_wait and before.user_attrs == now.user_attrs


class PerObject(Generic[T]):
    """Values of objects that are themselves kept, told apart by their identity."""

    def __init__(self) -> None:
        self._values: dict[int, tuple[object, T]] = {}

    def get(self, owner: object) -> T | None:
        """The value of ``owner``; ``None`` if none was kept."""
        kept = self._values.get(id(owner))
        if kept is None:
            return None
        return kept[1]

    def keep(self, owner: object, value: T) -> None:
        """Keep a value, and its owner with it."""
        self._values[id(owner)] = (owner, value)
