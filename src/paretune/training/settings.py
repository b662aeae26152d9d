"""The settings of a training, checked."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from paretune.data.images import ImageData, Images
from paretune.errors import ConfigError
from paretune.settings import check
from paretune.training.distillation import Distillation
from paretune.training.execution import PRECISIONS, Execution, autotune, available_threads, formats_for
from paretune.training.schedule import ScheduleFactory

log = logging.getLogger(__name__)

OptimizerFactory = Callable[[Iterable[nn.Parameter]], Optimizer]
Augment = Callable[[Tensor, torch.Generator, float], Tensor]


@dataclass(frozen=True)
class Averaging:
    """Which average is scored and kept: ``ema`` or ``swa``; ``None`` for none.

    ``ema``: after every optimizer step the average moves to the weights by 1 - ``decay`` (Polyak and Juditsky 1992,
    https://doi.org/10.1137/0330046), after step n of the beginning by 9 / (n + 9) if that is more, so that a score after few
    epochs is not that of the first weights. ``swa``: the mean over the epochs from the share ``start`` of the training on (Izmailov
    et al. 2018, https://arxiv.org/abs/1803.05407). Running statistics of norms are averaged, too.
    """

    kind: str | None = None
    decay: float = 0.999
    start: float = 0.75

    def __post_init__(self) -> None:
        check("trainer.averaging.kind", self.kind)
        for name in ("decay", "start"):
            setting, value = f"trainer.averaging.{name}", getattr(self, name)
            if not isinstance(value, int | float) or not 0 <= value < 1:
                raise ConfigError(f"{setting} `{value}` is invalid; expected at least 0 and below 1; set {setting}")


@dataclass(frozen=True)
class Restarts:
    """How many networks are drawn: each is trained for the first ``epochs`` of the training, and the best on validation to its end.

    Of a network with few parameters some first weights end far below others, and are behind early (docs/front.md). It takes
    ``starts`` times ``epochs`` more.
    """

    starts: int = 1
    epochs: int = 3

    def __post_init__(self) -> None:
        for setting in fields(self):
            check(f"trainer.restarts.{setting.name}", getattr(self, setting.name))


@dataclass(frozen=True)
class Selection:
    """Which epoch's weights are kept (``best`` or ``last``), the best by what (``f1`` or ``accuracy``), and on which ``split``.

    ``split`` is ``validation``, or ``test``: many published recipes keep no validation split and report the best or the last
    epoch on the test set. That is for comparing with them, in single runs; no sweep may do it.
    """

    epoch: str = "best"
    by: str = "f1"
    split: str = "validation"

    def __post_init__(self) -> None:
        for setting in fields(self):
            check(f"selection.{setting.name}", getattr(self, setting.name))

    @property
    def rule(self) -> str:
        """The rule in words."""
        if self.epoch == "last":
            return "last epoch" + (" on test" if self.split == "test" else "")
        return f"best epoch by {self.by} on {self.split}"


@dataclass(frozen=True, kw_only=True)
class Training:
    """How to train: the factories, and the fields of ``conf/trainer/default.yaml``.

    With ``stop_after`` it ends after so many of its ``max_epochs``, which the schedule goes by. ``augment`` changes training images in [0, 255], with its own generator; over the last ``augment_rampdown_epochs`` its
    strength falls to 0. ``label_smoothing`` is the share of a label that goes to all classes alike (Szegedy et al. 2015,
    https://arxiv.org/abs/1512.00567); the training loss has it, scores do not. ``class_weights`` ``balanced`` has every class count
    the same in the training loss, however many images it has.
    """

    optimizer: OptimizerFactory
    schedule: ScheduleFactory
    augment: Augment | None = None
    seed: int = 0
    max_epochs: int = 10
    stop_after: int | None = None
    batch_size: int = 128
    eval_batch_size: int = 500
    patience: int | None = None
    min_delta: float = 0.0
    scaling: str = "standard"
    label_smoothing: float = 0.0
    class_weights: str | None = None
    augment_rampdown_epochs: int = 0
    averaging: Averaging = field(default_factory=Averaging)
    distillation: Distillation = field(default_factory=Distillation)
    restarts: Restarts = field(default_factory=Restarts)
    selection: Selection = field(default_factory=Selection)
    device: str = "auto"
    autotune: bool = False
    memory_format: str | None = None
    precision: str | None = None
    threads: int | None = None
    progress: bool = False

    def __post_init__(self) -> None:
        for setting in fields(self):
            check(f"trainer.{setting.name}", getattr(self, setting.name))
        if self.device == "cuda" and not torch.cuda.is_available():
            raise ConfigError("trainer.device `cuda` is not on this machine; expected auto or cpu; set trainer.device")
        self._pinned()

    @property
    def torch_device(self) -> torch.device:
        """Where the training runs; ``auto`` is a GPU if there is one."""
        if self.device != "auto":
            return torch.device(self.device)
        available = {"mps": torch.backends.mps.is_available(), "cuda": torch.cuda.is_available(), "cpu": True}
        return torch.device(next(name for name, is_there in available.items() if is_there))

    def weights_of(self, data: ImageData) -> Tensor | None:
        """Weights ``(num_classes,)`` of the classes in the training loss, 1 on average over the training images."""
        if self.class_weights is None:
            return None
        counts = torch.bincount(data.train.labels, minlength=data.num_classes)
        return len(data.train) / (data.num_classes * counts.clamp(min=1)).float()

    def augment_strength(self, epoch: int) -> float:
        """How strong the augmentation is in ``epoch`` (from 0): 1, falling to 0 in the last one."""
        left = self.max_epochs - 1 - epoch
        return min(1.0, left / self.augment_rampdown_epochs) if self.augment_rampdown_epochs else 1.0

    def choose_execution(self, net: nn.Module, images: Images) -> Execution:
        """What is pinned; with ``autotune``, what is not is chosen by timing a copy of ``net`` on a batch of ``images``.

        Without it nothing is timed, so that the same config gives the same numbers on a machine: batch_last where it can be,
        else contiguous, both in fp32.
        """
        pinned, formats = self._pinned(), formats_for(net, images.pixels.shape[1:], self.torch_device)
        choices = self._choices(formats) if self.autotune else {}
        if not choices:
            free = self.memory_format is None and pinned.precision == "fp32" and "batch_last" in formats
            return replace(pinned, memory_format="batch_last") if free else pinned
        batch = images.take(slice(self.batch_size)).to(self.torch_device)
        execution, seconds = autotune(net, batch.pixels.to(torch.float32), batch.labels, pinned, choices)
        timings = ", ".join(f"{tried} {s * 1e3:.1f} ms" for tried, s in seconds.items())
        log.info("autotune chose %s a step (%s)", execution, timings)
        return execution

    def _pinned(self) -> Execution:
        return Execution(self.memory_format or "contiguous", self.precision or "fp32", self.threads)

    def _choices(self, formats: list[str]) -> dict[str, list[Any]]:
        """What autotune may choose, in the order of choosing."""
        threads = sorted({1, available_threads()}) if self.torch_device.type == "cpu" else []
        choices: dict[str, list[Any]] = {"memory_format": formats, "precision": [*PRECISIONS], "threads": threads}
        return {name: values for name, values in choices.items() if getattr(self, name) is None and len(values) > 1}
