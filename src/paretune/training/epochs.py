"""What happens between two epochs: the best weights are kept, and whoever listens hears the scores."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite, nan
from time import perf_counter
from typing import Any

import pytorch_lightning as pl
from torch import Tensor

from paretune.training.selection import Selection

__all__ = ["BestWeights", "Epoch", "EpochListener"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Epoch:
    """Scores after one epoch (numbered from 1): losses in nats, F1 (macro) and accuracy as fractions in [0, 1]."""

    number: int
    train_loss: float
    val_loss: float
    val_f1: float
    val_accuracy: float
    seconds: float


EpochListener = Callable[[Epoch], None]


class BestWeights(pl.Callback):
    """Keeps every epoch's scores, and a copy of the weights that ``selection`` asks for (the earliest of equals)."""

    def __init__(self, selection: Selection, listener: EpochListener | None = None) -> None:
        self.selection, self.listener = selection, listener
        self.epochs: list[Epoch] = []
        self.best: Epoch | None = None
        self.weights: dict[str, Tensor] = {}
        self._started_s = perf_counter()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the epoch's clock."""
        self._started_s = perf_counter()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Record the epoch, and copy the weights if they are the best so far."""
        scores = {key: float(value) for key, value in trainer.callback_metrics.items()}
        epoch = Epoch(
            number=trainer.current_epoch + 1,
            seconds=perf_counter() - self._started_s,
            **{key: scores.get(key, nan) for key in ("train_loss", "val_loss", "val_f1", "val_accuracy")},
        )
        self.epochs.append(epoch)
        if self._keeps(epoch):
            self.best = epoch
            average: Any = pl_module.average
            self.weights = {key: value.detach().clone() for key, value in average.scored.state_dict().items()}
        log.info(
            "epoch %d/%s  train loss %.4f  val loss %.4f  val F1 %.4f  %.1f s",
            epoch.number, trainer.max_epochs, epoch.train_loss, epoch.val_loss, epoch.val_f1, epoch.seconds,
        )  # fmt: skip
        if not isfinite(epoch.val_loss):
            trainer.should_stop = True  # diverged: more epochs cannot mend it
        if self.listener:
            self.listener(epoch)

    def _keeps(self, epoch: Epoch) -> bool:
        if self.best is None:
            return True
        if not isfinite(epoch.val_loss):
            return False
        if self.selection.epoch == "last":
            return True
        name = f"val_{self.selection.by}"
        return bool(getattr(epoch, name) > getattr(self.best, name))
