"""Learning-rate schedules, each a function of the optimizer and the length of the training.

Each returns what Lightning's ``configure_optimizers`` takes as ``lr_scheduler``, or ``None`` for no schedule.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, pi
from typing import Any

from torch.optim import Optimizer, lr_scheduler

__all__ = ["Length", "Schedule", "ScheduleFactory", "constant", "cosine", "one_cycle", "plateau", "step"]

Schedule = dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Length:
    """How long a training may get, in optimizer steps."""

    steps_per_epoch: int
    max_epochs: int

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole training."""
        return self.steps_per_epoch * self.max_epochs


ScheduleFactory = Callable[[Optimizer, Length], Schedule]


def constant(optimizer: Optimizer, length: Length) -> Schedule:
    """The optimizer's own learning rate throughout."""
    return None


def cosine(optimizer: Optimizer, length: Length, *, warmup_epochs: float = 0.0) -> Schedule:
    """Linear warm-up, then half a cosine down to zero (Loshchilov and Hutter 2016, https://arxiv.org/abs/1608.03983)."""
    warmup = round(warmup_epochs * length.steps_per_epoch)

    def factor(step_number: int) -> float:
        if step_number < warmup:
            return (step_number + 1) / (warmup + 1)
        return 0.5 * (1 + cos(pi * (step_number - warmup) / max(1, length.steps - warmup)))

    return {"scheduler": lr_scheduler.LambdaLR(optimizer, factor), "interval": "step"}


def one_cycle(optimizer: Optimizer, length: Length, *, warmup_share: float = 0.3) -> Schedule:
    """Up to the optimizer's rate over ``warmup_share`` of all steps, then down (Smith 2018, arxiv.org/abs/1803.09820)."""
    peak = [group["lr"] for group in optimizer.param_groups]
    cycle = lr_scheduler.OneCycleLR(optimizer, max_lr=peak, total_steps=length.steps, pct_start=warmup_share)
    return {"scheduler": cycle, "interval": "step"}


def step(optimizer: Optimizer, length: Length, *, every_epochs: int, factor: float) -> Schedule:
    """Multiply the rate by ``factor`` every so many epochs."""
    return {"scheduler": lr_scheduler.StepLR(optimizer, every_epochs, gamma=factor), "interval": "epoch"}


def plateau(optimizer: Optimizer, length: Length, *, patience: int, factor: float) -> Schedule:
    """Multiply the rate by ``factor`` when the validation loss has not fallen for ``patience`` epochs."""
    reducer = lr_scheduler.ReduceLROnPlateau(optimizer, factor=factor, patience=patience)
    return {"scheduler": reducer, "interval": "epoch", "monitor": "val_loss"}
