"""The settings of a training, checked."""

import logging
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from paretune.data.images import Images
from paretune.errors import ConfigError
from paretune.training.execution import Execution, autotune, available_threads
from paretune.training.module import Augment, Averaging, OptimizerFactory
from paretune.training.schedule import ScheduleFactory


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
        admitted = {"epoch": ("best", "last"), "by": ("f1", "accuracy"), "split": ("validation", "test")}
        for name, values in admitted.items():
            value = getattr(self, name)
            if value not in values:
                message = f"selection.{name} `{value}` is unknown; expected {' or '.join(values)}; set selection.{name}"
                raise ConfigError(message)

    @property
    def rule(self) -> str:
        """The rule in words."""
        if self.epoch == "last":
            return "last epoch" + (" on test" if self.split == "test" else "")
        return f"best epoch by {self.by} on {self.split}"


DEVICES = ("auto", "cpu", "cuda")

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Training:
    """How to train: the factories, and the fields of ``conf/trainer/default.yaml``."""

    optimizer: OptimizerFactory
    schedule: ScheduleFactory
    augment: Augment | None = None
    seed: int = 0
    max_epochs: int = 10
    batch_size: int = 128
    eval_batch_size: int = 500
    patience: int | None = None
    min_delta: float = 0.0
    scaling: str = "standard"
    label_smoothing: float = 0.0
    augment_rampdown_epochs: int = 0
    averaging: Averaging = field(default_factory=Averaging)
    selection: Selection = field(default_factory=Selection)
    device: str = "auto"
    autotune: bool = False
    memory_format: str | None = None
    precision: str | None = None
    threads: int | None = None
    progress: bool = False

    def __post_init__(self) -> None:
        for name in ("max_epochs", "batch_size", "eval_batch_size"):
            if not _whole(getattr(self, name), 1):
                self._refuse(name, "trains nothing", "at least 1, a whole number")
        for name in ("patience", "threads"):
            if getattr(self, name) is not None and not _whole(getattr(self, name), 1):
                self._refuse(name, "is none", "at least 1, a whole number, or null")
        if not _whole(self.augment_rampdown_epochs, 0):
            self._refuse("augment_rampdown_epochs", "is none", "at least 0, a whole number")
        if not 0 <= self.label_smoothing <= 1:
            self._refuse("label_smoothing", "is no share", "0 to 1")
        if self.device not in DEVICES or (self.device == "cuda" and not torch.cuda.is_available()):
            message = f"trainer.device `{self.device}` is not on this machine; expected one of {', '.join(DEVICES)}; set trainer.device"
            raise ConfigError(message)
        self._pinned()

    def _refuse(self, name: str, wrong: str, expected: str) -> None:
        message = f"trainer.{name} `{getattr(self, name)}` {wrong}; expected {expected}; set trainer.{name}"
        raise ConfigError(message)

    def layout_for(self, net: nn.Module, images: Images) -> Execution:
        """The pinned layout; with ``autotune``, what is not pinned is chosen by timing ``net`` on a batch."""
        pinned = self._pinned()
        batch = images.take(slice(self.batch_size))
        choices = self._choices(batch.pixels.device)
        if not choices:
            return pinned
        layout, seconds = autotune(net, batch.pixels.to(torch.float32), batch.labels, pinned, choices)
        timings = ", ".join(f"{tried} {s * 1e3:.1f} ms" for tried, s in seconds.items())
        log.info("autotune chose %s a step (%s)", layout, timings)
        return layout

    def _choices(self, device: torch.device) -> dict[str, list[Any]]:
        """What autotune may choose, in the order of choosing."""
        if not self.autotune:
            return {}
        choices: dict[str, list[Any]] = {
            "memory_format": ["contiguous", "channels_last"] if self.memory_format is None else [],
            "precision": ["fp32", "bf16"] if self.precision is None else [],
            "threads": sorted({1, available_threads()}) if self.threads is None and device.type == "cpu" else [],
        }
        return {name: values for name, values in choices.items() if len(values) > 1}

    def _pinned(self) -> Execution:
        return Execution(self.memory_format or "contiguous", self.precision or "fp32", self.threads)


def _whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and value >= least
