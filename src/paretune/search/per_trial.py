"""What is worked out of a trial once, and asked for at every ask."""

from collections.abc import Callable
from typing import Generic, TypeVar

from optuna.trial import FrozenTrial

T = TypeVar("T")


class PerTrial(Generic[T]):
    """A value of each trial that ``compute`` gives. It is kept as long as nothing of
    the trial changes.
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
        self._values[trial.number] = (trial, value)
        return value


def _is_unchanged(before: FrozenTrial, now: FrozenTrial) -> bool:
    """Whether these are the same trial, and nothing of it has changed."""
    if before is now or now.state.is_finished():
        return before is now
    return (
        before.state is now.state
        and before.params == now.params
        and before.user_attrs == now.user_attrs
        and before.system_attrs == now.system_attrs
    )


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
