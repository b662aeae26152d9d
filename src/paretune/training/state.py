"""A training between two epochs, as data."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from paretune.errors import StoreError
from paretune.training.epochs import Epoch
from paretune.training.execution import Execution
from paretune.training.random_state import RandomState

Weights = dict[str, Tensor]
# Of a part of torch or Lightning that gives its state as a dict of plain values.
State = dict[str, Any]


class StateError(StoreError):
    """A training cannot go on from a state; it can begin anew."""


@dataclass(frozen=True, kw_only=True)
class TrainingState:
    """A training after an epoch: all that its further numbers depend on, besides its
    settings and images.

    Its tensors are copies in main memory. ``seconds`` are those that it took so far,
    ``threads`` those of torch while it ran. ``shuffling`` and ``augmentation`` are
    states of generators.
    """

    epochs: tuple[Epoch, ...]
    best: Epoch
    best_weights: Weights
    seconds: float

    seed: int
    device: str
    execution: Execution
    threads: int

    weights: Weights
    average: State
    optimizer: State
    schedule: State | None
    early_stopping: State | None

    shuffling: Tensor
    augmentation: Tensor
    random: RandomState
