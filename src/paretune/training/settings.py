"""The settings of a training, checked."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from paretune.data.images import ImageData, Images
from paretune.errors import ConfigError
from paretune.schema import Selection, TrainerSettings
from paretune.settings import check
from paretune.training.distillation import Distillation
from paretune.training.execution import (
    PRECISIONS,
    Execution,
    autotune,
    available_threads,
    formats_for,
)
from paretune.training.schedule import ScheduleFactory

log = logging.getLogger(__name__)

OptimizerFactory = Callable[[Iterable[nn.Parameter]], Optimizer]
Augment = Callable[[Tensor, torch.Generator, float], Tensor]


@dataclass(frozen=True, kw_only=True)
class Training(TrainerSettings):
    """How to train: the settings of :class:`paretune.schema.TrainerSettings`, and what
    they are used with.

    With ``stop_after`` it ends after so many of its ``max_epochs``, which the schedule
    goes by. ``augment`` changes training images in [0, 255], with its own generator;
    over the last ``augment_rampdown_epochs`` its strength falls to 0.
    ``label_smoothing`` is the share of a label that goes to all classes alike (Szegedy
    et al. 2015, https://arxiv.org/abs/1512.00567); the training loss has it, scores do
    not. Raises
    :class:`~paretune.errors.ConfigError` for settings that cannot work.
    """

    optimizer: OptimizerFactory
    schedule: ScheduleFactory
    augment: Augment | None = None
    seed: int = 0
    stop_after: int | None = None
    distillation: Distillation = field(default_factory=Distillation)
    selection: Selection = field(default_factory=Selection)
    progress: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check("seed", self.seed)
        if self.device == "cuda" and not torch.cuda.is_available():
            raise ConfigError(
                "trainer.device `cuda` is not on this machine; expected auto or cpu; "
                "set trainer.device"
            )
        self._pinned()

    @property
    def torch_device(self) -> torch.device:
        """Where the training runs; ``auto`` is a GPU if there is one."""
        if self.device != "auto":
            return torch.device(self.device)
        available = {
            "mps": torch.backends.mps.is_available(),
            "cuda": torch.cuda.is_available(),
            "cpu": True,
        }
        return torch.device(
            next(name for name, is_there in available.items() if is_there)
        )

    def weights_of(self, data: ImageData) -> Tensor | None:
        """Weights ``(num_classes,)`` of the classes in the training loss, 1 on average
        over the training images.
        """
        if self.class_weights is None:
            return None
        counts = torch.bincount(data.train.labels, minlength=data.num_classes)
        return len(data.train) / (data.num_classes * counts.clamp(min=1)).float()

    def augment_strength(self, epoch: int) -> float:
        """How strong the augmentation is in ``epoch`` (from 0): 1, falling to 0 in the
        last one.
        """
        left = self.max_epochs - 1 - epoch
        return (
            min(1.0, left / self.augment_rampdown_epochs)
            if self.augment_rampdown_epochs
            else 1.0
        )

    def choose_execution(self, net: nn.Module, images: Images) -> Execution:
        """What is pinned; with ``autotune``, what is not is chosen by timing a copy of
        ``net`` on a batch of ``images``.

        Without it nothing is timed, so that the same config gives the same numbers on a
        machine: batch_last where it can be, else contiguous, both in fp32.
        """
        pinned, formats = (
            self._pinned(),
            formats_for(net, images.pixels.shape[1:], self.torch_device),
        )
        choices = self._choices(formats) if self.autotune else {}
        if not choices:
            free = (
                self.memory_format is None
                and pinned.precision == "fp32"
                and "batch_last" in formats
            )
            return replace(pinned, memory_format="batch_last") if free else pinned
        batch = images.take(slice(self.batch_size)).to(self.torch_device)
        execution, seconds = autotune(
            net, batch.pixels.to(torch.float32), batch.labels, pinned, choices
        )
        timings = ", ".join(f"{tried} {s * 1e3:.1f} ms" for tried, s in seconds.items())
        log.info("autotune chose %s a step (%s)", execution, timings)
        return execution

    def _pinned(self) -> Execution:
        return Execution(
            self.memory_format or "contiguous", self.precision or "fp32", self.threads
        )

    def _choices(self, formats: list[str]) -> dict[str, list[Any]]:
        """What autotune may choose, in the order of choosing."""
        threads = (
            sorted({1, available_threads()}) if self.torch_device.type == "cpu" else []
        )
        choices: dict[str, list[Any]] = {
            "memory_format": formats,
            "precision": [*PRECISIONS],
            "threads": threads,
        }
        return {
            name: values
            for name, values in choices.items()
            if getattr(self, name) is None and len(values) > 1
        }
