"""A training that stops after an epoch and goes on later, perhaps in another process,
with the numbers that it would have had.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping
from torch import Tensor
from torch.optim import Optimizer

from paretune.errors import first_line
from paretune.training.epochs import BestWeights
from paretune.training.module import Classifier
from paretune.training.random_state import RandomState
from paretune.training.state import StateError, TrainingState

# Raised by torch and Lightning for the state of something else.
MISFITS = (RuntimeError, ValueError, LookupError, TypeError, AttributeError)


def is_paused(trainer: pl.Trainer, keeper: BestWeights) -> bool:
    """Whether a training stopped only because its listener asked for it."""
    early_stopping = _find_early_stopping(trainer)
    if early_stopping and early_stopping.wait_count >= early_stopping.patience:
        return False
    return keeper.is_paused


def take_state(
    trainer: pl.Trainer,
    module: Classifier,
    keeper: BestWeights,
    shuffling: torch.Generator,
    seconds: float,
) -> TrainingState:
    """The state of a training that has stopped after an epoch and took so many
    ``seconds``.
    """
    early_stopping = _find_early_stopping(trainer)
    device = trainer.strategy.root_device
    schedule = module.schedule
    return TrainingState(
        epochs=tuple(keeper.epochs),
        best=keeper.require_best(),
        best_weights=_copy(keeper.weights),
        seconds=seconds,
        seed=module.settings.seed,
        device=device.type,
        execution=module.execution,
        threads=torch.get_num_threads(),
        weights=_copy(module.net.state_dict()),
        average=_copy(module.average.state_dict()),
        optimizer=_copy(trainer.optimizers[0].state_dict()),
        schedule=_copy(schedule.scheduler.state_dict()) if schedule else None,
        early_stopping=_copy(early_stopping.state_dict()) if early_stopping else None,
        shuffling=shuffling.get_state(),
        augmentation=module.draws.get_state(),
        random=RandomState.take(device),
    )


class Resume(pl.Callback):
    """Puts a training where ``state`` was taken, before its next epoch begins.

    ``shuffling`` orders the training images. Raises
    :class:`~paretune.training.state.StateError` for the state of another network,
    optimizer or schedule.
    """

    def __init__(
        self, state: TrainingState, keeper: BestWeights, shuffling: torch.Generator
    ) -> None:
        self.resumed = state
        self.keeper = keeper
        self.shuffling = shuffling

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Load the state into all parts; the optimizer and its schedule are there by
        now.
        """
        assert isinstance(pl_module, Classifier)
        # What is loaded is changed in place later.
        state = deepcopy(self.resumed)
        with _tell_misfits():
            _load_module(pl_module, state)
            _load_optimizer(trainer.optimizers[0], state)
            _load_schedule(pl_module, state)
            _load_early_stopping(trainer, state)
            self.shuffling.set_state(state.shuffling)
            state.random.restore(trainer.strategy.root_device)
        self._load_progress(trainer, state)

    def _load_progress(self, trainer: pl.Trainer, state: TrainingState) -> None:
        self.keeper.epochs = list(state.epochs)
        self.keeper.best = state.best
        self.keeper.weights = state.best_weights
        # What Lightning counts epochs by, and reads from checkpoints of its own.
        progress = trainer.fit_loop.epoch_progress.current
        progress.processed = len(state.epochs)  # type: ignore[attr-defined]
        progress.completed = len(state.epochs)


def _load_module(module: Classifier, state: TrainingState) -> None:
    module.net.load_state_dict(state.weights)
    module.average.load_state_dict(state.average)
    module.draws.set_state(state.augmentation)


def _load_optimizer(optimizer: Optimizer, state: TrainingState) -> None:
    groups = state.optimizer["param_groups"]
    for group, stored in zip(optimizer.param_groups, groups, strict=True):
        # Torch takes the settings of another optimizer, and fails at the first step.
        # Some optimizers add to their own as they go.
        if not group.keys() <= stored.keys():
            raise ValueError("another optimizer")
    optimizer.load_state_dict(state.optimizer)


def _load_schedule(module: Classifier, state: TrainingState) -> None:
    if (module.schedule is None) != (state.schedule is None):
        raise ValueError("another schedule")
    if module.schedule and state.schedule is not None:
        module.schedule.scheduler.load_state_dict(state.schedule)


def _load_early_stopping(trainer: pl.Trainer, state: TrainingState) -> None:
    early_stopping = _find_early_stopping(trainer)
    if (early_stopping is None) != (state.early_stopping is None):
        raise ValueError("another patience")
    if early_stopping and state.early_stopping is not None:
        early_stopping.load_state_dict(state.early_stopping)


def _find_early_stopping(trainer: pl.Trainer) -> EarlyStopping | None:
    return trainer.early_stopping_callback


@contextmanager
def _tell_misfits() -> Iterator[None]:
    """Turns what torch says of a state of something else into one line."""
    try:
        yield
    except MISFITS as error:
        raise StateError(
            f"the training cannot go on: its state is that of another one "
            f"({first_line(error)}); begin it anew"
        ) from error


def _copy(value: Any) -> Any:
    """A copy in main memory of a value with tensors at any depth.

    Strides are kept: products of matrices that are stored otherwise round otherwise.
    """
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copy(item) for item in value]
    if isinstance(value, tuple):
        return tuple(_copy(item) for item in value)
    return value
