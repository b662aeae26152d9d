"""The LightningModule round any family."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score

from paretune.data.images import ImageData
from paretune.training.layout import Layout
from paretune.training.schedule import Length, Schedule, ScheduleFactory

__all__ = ["Classifier", "Learning", "OptimizerFactory"]

OptimizerFactory = Callable[[Iterable[nn.Parameter]], Optimizer]
Augment = Callable[[Tensor, torch.Generator], Tensor]
Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Learning:
    """What turns gradients into steps; ``augment`` changes training images in [0, 255], with its own generator."""

    optimizer: OptimizerFactory
    schedule: ScheduleFactory
    length: Length
    batch_size: int
    augment: Augment | None = None
    seed: int = 0


class Classifier(pl.LightningModule):
    """Trains ``net`` with cross-entropy on pixels that it normalises on the device.

    A Lightning step is a run of consecutive optimizer steps: the trainer's loop costs as much as a whole step of a small
    network, so it is paid once for many of them. Optimizer and schedule are stepped here, in the order of a plain loop.

    After each epoch the trainer's ``callback_metrics`` hold ``train_loss``, ``val_loss``, ``val_f1`` (macro) and
    ``val_accuracy``. Sums stay tensors until then, so no step waits for the device. Scores are computed in fp32.
    """

    def __init__(self, net: nn.Module, data: ImageData, learning: Learning, layout: Layout) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.net, self.learning, self.layout = net, learning, layout
        self.mean, self.std = data.mean, data.std
        self.draws = torch.Generator().manual_seed(learning.seed)
        self.schedule: Schedule | None = None
        self.scores = MetricCollection(
            {
                "f1": MulticlassF1Score(data.num_classes, average="macro", validate_args=False),
                "accuracy": MulticlassAccuracy(data.num_classes, average="micro", validate_args=False),
            }
        )
        self.loss_sum, self.images_seen = torch.zeros(()), 0

    def normalised(self, pixels: Tensor, augment: Augment | None = None) -> Tensor:
        """Images of mean 0 and deviation 1 over the training split, of pixels uint8 ``(B, C, H, W)``."""
        images = pixels.to(torch.float32)
        if augment:
            images = augment(images, self.draws)
        return self.layout.images(images.sub_(self.mean).div_(self.std))

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Optimizer steps over the consecutive batches that make up ``batch``."""
        images = self.normalised(batch[0], self.learning.augment)
        size = self.learning.batch_size
        optimizer = self.optimizers(use_pl_optimizer=False)
        for part, labels in zip(torch.split(images, size), torch.split(batch[1], size), strict=True):
            self._optimize(optimizer, part, labels)

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
        logits = self.net(self.normalised(batch[0]))
        self.scores.update(logits, batch[1])
        self._add(cross_entropy(logits, batch[1]), len(batch[1]))

    def on_validation_epoch_end(self) -> None:
        """Publish the epoch's scores."""
        scores = {f"val_{name}": value for name, value in self.scores.compute().items()}
        self.log_dict({"val_loss": self.loss_sum / self.images_seen, **scores})
        self.scores.reset()

    def on_train_epoch_end(self) -> None:
        """Step a schedule that goes by epochs; the validation is over by now."""
        if self.schedule:
            self.schedule.after_epoch(self.trainer.callback_metrics["val_loss"])

    def configure_optimizers(self) -> Any:
        """The optimizer over the parameters that train; its schedule is kept here."""
        optimizer = self.learning.optimizer([p for p in self.net.parameters() if p.requires_grad])
        self.schedule = self.learning.schedule(optimizer, self.learning.length)
        return optimizer

    def _optimize(self, optimizer: Any, images: Tensor, labels: Tensor) -> None:
        with self.layout.autocast(images.device):
            logits = self.net(images)
        loss = cross_entropy(logits.float(), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
        if self.schedule:
            self.schedule.after_step()
        self._add(loss.detach(), len(labels))

    def _add(self, mean_loss: Tensor, images: int) -> None:
        self.loss_sum += mean_loss * images
        self.images_seen += images

    def _reset(self) -> None:
        self.loss_sum, self.images_seen = torch.zeros((), device=self.device), 0
