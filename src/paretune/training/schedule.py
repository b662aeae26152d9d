"""Learning-rate schedules, each a function of the optimizer and the length of the
training.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import cos, pi

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import (
    LambdaLR,
    LRScheduler,
    OneCycleLR,
    ReduceLROnPlateau,
    StepLR,
)

from paretune.errors import check_least


@dataclass(frozen=True, slots=True)
class TrainingLength:
    """How long a training may get, in optimizer steps."""

    steps_per_epoch: int
    max_epochs: int

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole training."""
        return self.steps_per_epoch * self.max_epochs


@dataclass(frozen=True, slots=True)
class Schedule:
    """A torch scheduler and when to step it: after each optimizer step, or after each
    epoch, perhaps by a score of it.
    """

    scheduler: LRScheduler | ReduceLROnPlateau
    each_step: bool = False
    score: str | None = None

    def after_step(self) -> None:
        """An optimizer step was made."""
        if self.each_step:
            self.scheduler.step()  # type: ignore[call-arg]

    def after_epoch(self, scores: Mapping[str, Tensor]) -> None:
        """An epoch ended with these scores, ``val_loss`` and ``val_accuracy`` among
        them.
        """
        if self.each_step:
            return
        if self.score:
            self.scheduler.step(float(scores[self.score]))  # type: ignore[arg-type]
        else:
            self.scheduler.step()  # type: ignore[call-arg]


ScheduleFactory = Callable[[Optimizer, TrainingLength], Schedule | None]


def constant(optimizer: Optimizer, length: TrainingLength) -> None:
    """No schedule: the optimizer's own learning rate throughout."""


def cosine(
    optimizer: Optimizer, length: TrainingLength, *, warmup_epochs: float = 0.0
) -> Schedule:
    """Linear warm-up, then half a cosine down to zero (Loshchilov and Hutter 2016,
    https://arxiv.org/abs/1608.03983).
    """
    warmup = round(warmup_epochs * length.steps_per_epoch)

    def factor(step_number: int) -> float:
        if step_number < warmup:
            return (step_number + 1) / (warmup + 1)
        progress = (step_number - warmup) / max(1, length.steps - warmup)
        return 0.5 * (1 + cos(pi * progress))

    return Schedule(LambdaLR(optimizer, factor), each_step=True)


def one_cycle(
    optimizer: Optimizer, length: TrainingLength, *, warmup_share: float = 0.3
) -> Schedule | None:
    """Up to the optimizer's rate over ``warmup_share`` of all steps (two at least),
    then down; no schedule for one or two steps.

    The momentum (of ``adam`` and its kind beta 1) of an optimizer that has one goes
    from 0.95 down to 0.85 and back.

    Smith 2018, "A disciplined approach to neural network hyper-parameters"
    (https://arxiv.org/abs/1803.09820).
    """
    peak = [group["lr"] for group in optimizer.param_groups]
    if length.steps <= 2:
        return None
    # Torch divides by the number of steps less one.
    share = max(warmup_share, 2 / length.steps)
    has_momentum = (
        bool(optimizer.defaults.get("momentum")) or "betas" in optimizer.defaults
    )
    cycle = OneCycleLR(
        optimizer, peak, length.steps, pct_start=share, cycle_momentum=has_momentum
    )
    return Schedule(cycle, each_step=True)


def step(
    optimizer: Optimizer, length: TrainingLength, *, every_epochs: int, factor: float
) -> Schedule:
    """Multiply the rate by ``factor`` every so many epochs."""
    check_least("scheduler.every_epochs", every_epochs, 1)
    return Schedule(StepLR(optimizer, every_epochs, gamma=factor))


def plateau(
    optimizer: Optimizer, length: TrainingLength, *, patience: int, factor: float
) -> Schedule:
    """Multiply the rate by ``factor`` when the validation loss has not fallen for
    ``patience`` epochs.
    """
    return Schedule(
        ReduceLROnPlateau(optimizer, factor=factor, patience=patience), score="val_loss"
    )
