"""What a search policy is: it says what a free worker trains next, and hears how that
went.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from studies.curves.question import Question


@dataclass(frozen=True)
class Step:
    """Work for one worker: train ``trial`` up to the end of epoch ``until``.

    A trial is one configuration (``params``, by the names of the space) with one seed.
    The first step of a trial begins it. A later one goes on where the last one ended,
    whoever had it, and whenever that was. Another first weight of a configuration is
    another trial.
    """

    trial: int
    params: Mapping[str, Any]
    seed: int
    until: int


@dataclass(frozen=True)
class Outcome:
    """A trial after a step.

    ``f1`` is the validation F1 after each of its epochs so far, ``cost`` what the front
    weighs against it, ``step_s`` the seconds of the step, ``epochs_s`` those of all its
    epochs so far, ``begin_s`` those before the first. ``now_s`` is the time.
    """

    step: Step
    f1: Sequence[float]
    cost: float
    step_s: float
    epochs_s: float
    begin_s: float
    now_s: float

    @property
    def epoch(self) -> int:
        """The epochs that it has been trained for."""
        return len(self.f1)

    @property
    def best(self) -> float:
        """The F1 of the best epoch so far."""
        return max(self.f1)


class Policy(Protocol):
    """A search, as the simulator asks it. All times are simulated seconds."""

    def ask(self, worker: int, now_s: float) -> Step | None:
        """What ``worker``, which is free, does now; ``None`` to have it wait until
        another one is done.
        """

    def tell(self, worker: int, outcome: Outcome) -> None:
        """``worker`` has done its step. It asks next."""


@dataclass(frozen=True)
class Setting:
    """What a policy is made for: the space, the epochs of a whole training, the number
    of workers, the seed of its draws, and known configurations, if it has any.
    """

    question: Question
    epochs: int
    workers: int
    seed: int
    portfolio: Sequence[Mapping[str, Any]] = ()


class MakePolicy(Protocol):
    """Makes a policy."""

    def __call__(self, setting: Setting) -> Policy:
        """A new one, which has seen nothing."""
