"""The settings of a training, checked."""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from math import ceil
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
    UNBOUNDED,
    Execution,
    TimingBudget,
    autotune,
    count_choices,
    count_threads_at_start,
    find_formats,
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
        self._make_pinned()

    @property
    def torch_device(self) -> torch.device:
        """Where the training runs; ``auto`` is a GPU if there is one."""
        if self.device != "auto":
            return torch.device(self.device)
        if torch.backends.mps.is_available():
            return torch.device("mps")
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("cpu")

    @property
    def last_epoch(self) -> int:
        """Where it ends, if it is not stopped before."""
        return min(self.max_epochs, self.stop_after or self.max_epochs)

    def weigh_classes(self, data: ImageData) -> Tensor | None:
        """Weights ``(num_classes,)`` of the classes in the training loss, 1 on average
        over the training images.
        """
        if self.class_weights is None:
            return None
        counts = torch.bincount(data.train.labels, minlength=data.num_classes)
        return len(data.train) / (data.num_classes * counts.clamp(min=1)).float()

    def compute_augment_strength(self, epoch: int) -> float:
        """How strong the augmentation is in ``epoch`` (from 0): 1, falling to 0 in the
        last one.
        """
        if not self.augment_rampdown_epochs:
            return 1.0
        epochs_left = self.max_epochs - 1 - epoch
        return min(1.0, epochs_left / self.augment_rampdown_epochs)

    def choose_execution(
        self, net: nn.Module, images: Images, budget: TimingBudget = UNBOUNDED
    ) -> Execution:
        """The pinned settings; with ``autotune``, those that are free are chosen by
        timing a copy of ``net`` on a batch of ``images``, if the ``budget`` allows it.

        Without it nothing is timed, so that the same config gives the same numbers on a
        machine: batch_last where it can be, else contiguous, both in fp32.
        """
        formats = find_formats(net, images.pixels.shape[1:], self.torch_device)
        usual = self._make_usual(formats)
        choices = self._list_choices(formats) if self.autotune else {}
        if not choices:
            return usual
        if not budget.allows(count_choices(choices)):
            log.info(
                "it computes in %s; autotune would take longer than it saves", usual
            )
            return usual
        batch = images.take(slice(self.batch_size)).to(self.torch_device)
        pixels = batch.pixels.to(torch.float32)
        chosen, seconds = autotune(net, pixels, batch.labels, usual, choices, budget)
        timings = [
            f"{execution} {step_s * 1e3:.1f} ms"
            for execution, step_s in seconds.items()
        ]
        log.info("autotune chose %s a step (%s)", chosen, ", ".join(timings))
        return chosen

    def count_steps(self, n_images: int) -> int:
        """Optimizer steps of a training on so many images, if it is not stopped."""
        return self.max_epochs * ceil(n_images / self.batch_size)

    def _make_usual(self, formats: Sequence[str]) -> Execution:
        """The pinned settings, and what is usual where they are free."""
        pinned = self._make_pinned()
        is_free = self.memory_format is None and pinned.precision == "fp32"
        if is_free and "batch_last" in formats:
            return replace(pinned, memory_format="batch_last")
        return pinned

    def _make_pinned(self) -> Execution:
        """The settings as they are, plain ones where they are free."""
        return Execution(
            self.memory_format or "contiguous", self.precision or "fp32", self.threads
        )

    def _list_choices(self, formats: Sequence[str]) -> dict[str, Sequence[Any]]:
        """Values that autotune may choose from, in the order of choosing."""
        choices: dict[str, Sequence[Any]] = {}
        if self.memory_format is None and len(formats) > 1:
            choices["memory_format"] = formats
        if self.precision is None:
            choices["precision"] = PRECISIONS
        threads = sorted({1, count_threads_at_start()})
        is_on_cpu = self.torch_device.type == "cpu"
        if self.threads is None and is_on_cpu and len(threads) > 1:
            choices["threads"] = threads
        return choices
