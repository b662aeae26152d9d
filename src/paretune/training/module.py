"""The LightningModule round any family."""

from collections.abc import Callable, Iterable
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score

from paretune.data.images import ImageData
from paretune.training.schedule import Length, ScheduleFactory

__all__ = ["Classifier", "OptimizerFactory"]

OptimizerFactory = Callable[[Iterable[nn.Parameter]], Optimizer]
Batch = tuple[Tensor, Tensor]


class Classifier(pl.LightningModule):
    """Trains ``net`` with cross-entropy on pixels that it normalises batch by batch, on the device.

    After each epoch the trainer's ``callback_metrics`` hold ``train_loss``, ``val_loss``, ``val_f1`` (macro) and
    ``val_accuracy``. Sums stay tensors until then, so no step waits for the device.
    """

    def __init__(
        self,
        net: nn.Module,
        data: ImageData,
        *,
        optimizer: OptimizerFactory,
        schedule: ScheduleFactory,
        length: Length,
    ) -> None:
        super().__init__()
        self.net = net
        self.length = length
        self.make_optimizer, self.make_schedule = optimizer, schedule
        self.mean, self.std = data.mean, data.std
        self.scores = MetricCollection(
            {
                "f1": MulticlassF1Score(data.num_classes, average="macro", validate_args=False),
                "accuracy": MulticlassAccuracy(data.num_classes, average="micro", validate_args=False),
            }
        )
        self.loss_sum, self.images_seen = torch.zeros(()), 0

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits ``(B, num_classes)`` of pixels uint8 ``(B, C, H, W)``."""
        logits: Tensor = self.net((pixels.to(self.dtype) - self.mean) / self.std)
        return logits

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Cross-entropy of one batch, in nats."""
        loss = cross_entropy(self(batch[0]), batch[1])
        self._add(loss.detach(), len(batch[1]))
        return loss

    def on_train_epoch_start(self) -> None:
        """Start the epoch's sum."""
        self._reset()

    def on_validation_epoch_start(self) -> None:
        """Close the training epoch's sum (validation runs inside it) and start the validation's."""
        if self.images_seen:
            self.log("train_loss", self.loss_sum / self.images_seen)
        self._reset()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Add one batch to the scores."""
        logits = self(batch[0])
        self.scores.update(logits, batch[1])
        self._add(cross_entropy(logits, batch[1]), len(batch[1]))

    def on_validation_epoch_end(self) -> None:
        """Publish the epoch's scores."""
        scores = {f"val_{name}": value for name, value in self.scores.compute().items()}
        self.log_dict({"val_loss": self.loss_sum / self.images_seen, **scores})
        self.scores.reset()
        self._reset()

    def configure_optimizers(self) -> Any:
        """The optimizer over the parameters that train, and its schedule if it has one."""
        optimizer = self.make_optimizer([p for p in self.net.parameters() if p.requires_grad])
        schedule = self.make_schedule(optimizer, self.length)
        return optimizer if schedule is None else {"optimizer": optimizer, "lr_scheduler": schedule}

    def _add(self, mean_loss: Tensor, images: int) -> None:
        self.loss_sum = self.loss_sum + mean_loss * images
        self.images_seen += images

    def _reset(self) -> None:
        self.loss_sum, self.images_seen = torch.zeros((), device=self.device), 0
