"""The epochs of a training: their scores, and the weights of the best one."""

import logging
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from math import isfinite, nan
from time import perf_counter

import pytorch_lightning as pl
from torch import Tensor

from paretune.errors import ParetuneError
from paretune.schema import Selection
from paretune.training.module import Classifier

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Epoch:
    """Scores after one epoch (numbered from 1): losses in nats, F1 (macro) and accuracy
    as fractions in [0, 1].
    """

    number: int
    train_loss: float
    val_loss: float
    val_f1: float
    val_accuracy: float
    seconds: float


# Its answer True pauses the training after this epoch.
EpochListener = Callable[[Epoch], bool | None]


class DivergedError(ParetuneError, RuntimeError):
    """The loss became NaN or infinite before the first epoch ended."""


class BestWeights(pl.Callback):
    """Keeps every epoch's scores, and a copy of the weights that ``selection`` asks for
    (the earliest of equals); stops where the ``listener`` asks for a pause.
    """

    def __init__(
        self, selection: Selection, listener: EpochListener | None = None
    ) -> None:
        self.selection = selection
        self.listener = listener
        self.epochs: list[Epoch] = []
        self.best: Epoch | None = None
        self.weights: dict[str, Tensor] = {}
        self.is_paused = False
        self._started_s = perf_counter()

    def on_train_epoch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule
    ) -> None:
        """Start the epoch's clock."""
        self._started_s = perf_counter()

    def on_validation_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule
    ) -> None:
        """Record the epoch, and copy the weights if they are the best so far."""
        assert isinstance(pl_module, Classifier)
        epoch = self._read_epoch(trainer)
        self.epochs.append(epoch)
        if self._is_best(epoch):
            self.best = epoch
            self.weights = deepcopy(pl_module.average.scored.state_dict())
        self._log(epoch, trainer.max_epochs)
        if not isfinite(epoch.val_loss):
            # Diverged: more epochs cannot mend it.
            trainer.should_stop = True
        if self.listener and self.listener(epoch):
            self._pause(trainer)

    def require_best(self) -> Epoch:
        """The best epoch. Raises :class:`DivergedError` if none ended with a finite
        loss.
        """
        if self.best is None or not isfinite(self.best.val_loss):
            raise DivergedError(
                "training diverged: no epoch ended with a finite validation loss; "
                "lower optimizer.lr"
            )
        return self.best

    def _pause(self, trainer: pl.Trainer) -> None:
        """Stop, unless this was the last epoch anyway."""
        is_last = trainer.current_epoch + 1 == trainer.max_epochs
        if not is_last and not trainer.should_stop:
            self.is_paused = True
            trainer.should_stop = True

    def _read_epoch(self, trainer: pl.Trainer) -> Epoch:
        scores = trainer.callback_metrics
        return Epoch(
            number=trainer.current_epoch + 1,
            train_loss=float(scores.get("train_loss", nan)),
            val_loss=float(scores.get("val_loss", nan)),
            val_f1=float(scores.get("val_f1", nan)),
            val_accuracy=float(scores.get("val_accuracy", nan)),
            seconds=perf_counter() - self._started_s,
        )

    def _is_best(self, epoch: Epoch) -> bool:
        if self.best is None:
            return True
        if not isfinite(epoch.val_loss):
            return False
        if self.selection.epoch == "last":
            return True
        return read_score(epoch, self.selection) > read_score(self.best, self.selection)

    def _log(self, epoch: Epoch, max_epochs: int | None) -> None:
        log.info(
            "epoch %d/%s  train loss %.4f  %s loss %.4f  F1 %.4f  %.1f s",
            epoch.number,
            max_epochs,
            epoch.train_loss,
            "test" if self.selection.split == "test" else "val",
            epoch.val_loss,
            epoch.val_f1,
            epoch.seconds,
        )


def read_score(epoch: Epoch, selection: Selection) -> float:
    """The score that epochs are compared by."""
    score: float = getattr(epoch, f"val_{selection.by}")
    return score
