"""The LightningModule round any family."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score

from paretune.data.images import Scaling
from paretune.errors import ConfigError
from paretune.training.execution import Execution
from paretune.training.schedule import Schedule, ScheduleFactory, TrainingLength

KINDS = ("ema", "swa")


@dataclass(frozen=True)
class Averaging:
    """Which average is scored and kept: ``ema`` or ``swa``; ``None`` for none.

    ``ema``: after every optimizer step the average moves to the weights by 1 - ``decay`` (Polyak and Juditsky 1992,
    https://doi.org/10.1137/0330046). ``swa``: the mean over the epochs from the share ``start`` of the training on (Izmailov
    et al. 2018, https://arxiv.org/abs/1803.05407). Running statistics of norms are averaged, too.
    """

    kind: str | None = None
    decay: float = 0.999
    start: float = 0.75

    def __post_init__(self) -> None:
        if self.kind is not None and self.kind not in KINDS:
            message = f"averaging `{self.kind}` is unknown; expected ema, swa or null; set trainer.averaging.kind"
            raise ConfigError(message)
        for name in ("decay", "start"):
            if not 0 <= getattr(self, name) < 1:
                message = f"trainer.averaging.{name} `{getattr(self, name)}` is no share; expected at least 0 and below 1; set it so"
                raise ConfigError(message)


class Average:
    """The average of a network in training."""

    def __init__(self, net: nn.Module, averaging: Averaging, max_epochs: int) -> None:
        self.net, self.kind = net, averaging.kind
        self.first_epoch = int(averaging.start * max_epochs) if self.kind == "swa" else 0
        rule = get_ema_multi_avg_fn(averaging.decay) if self.kind == "ema" else None  # type: ignore[no-untyped-call]
        self.model = AveragedModel(net, multi_avg_fn=rule, use_buffers=True).eval() if self.kind else None
        self.begun = False

    @property
    def scored(self) -> nn.Module:
        """The network to validate and to keep."""
        return self.model.module if self.model is not None and self.begun else self.net

    def after_step(self) -> None:
        """An optimizer step was made."""
        if self.kind == "ema":
            self._add()

    def after_epoch(self, epoch: int) -> None:
        """The training part of ``epoch`` (from 0) is over."""
        if self.kind == "swa" and epoch >= self.first_epoch:
            self._add()

    def _add(self) -> None:
        assert self.model is not None
        self.model.update_parameters(self.net)
        self.begun = True


OptimizerFactory = Callable[[Iterable[nn.Parameter]], Optimizer]
Augment = Callable[[Tensor, torch.Generator, float], Tensor]
Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Learning:
    """What turns gradients into steps.

    ``augment`` changes training images in [0, 255], with its own generator; over the last ``rampdown_epochs`` its strength
    falls to 0. ``label_smoothing`` is the share of a label that goes to all classes alike (Szegedy et al. 2015,
    https://arxiv.org/abs/1512.00567); the training loss has it, scores do not.
    """

    optimizer: OptimizerFactory
    schedule: ScheduleFactory
    length: TrainingLength
    batch_size: int
    augment: Augment | None = None
    rampdown_epochs: int = 0
    label_smoothing: float = 0.0
    averaging: Averaging = Averaging()
    seed: int = 0

    def strength(self, epoch: int) -> float:
        """How strong the augmentation is in ``epoch`` (from 0): 1, falling to 0 in the last one."""
        left = self.length.max_epochs - 1 - epoch
        return min(1.0, left / self.rampdown_epochs) if self.rampdown_epochs else 1.0


class Classifier(pl.LightningModule):
    """Trains ``net`` with cross-entropy on pixels that it normalises on the device.

    A Lightning step is a run of consecutive optimizer steps: the trainer's loop costs as much as a whole step of a small
    network, so it is paid once for many of them. Optimizer and schedule are stepped here, in the order of a plain loop.

    After each epoch the trainer's ``callback_metrics`` hold ``train_loss``, ``val_loss``, ``val_f1`` (macro) and
    ``val_accuracy``. Sums stay tensors until then, so no step waits for the device. Scores are computed in fp32.
    """

    def __init__(
        self, net: nn.Module, scaling: Scaling, num_classes: int, learning: Learning, layout: Execution
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.net, self.scaling, self.learning, self.layout = net, scaling, learning, layout
        self.average = Average(net, learning.averaging, learning.length.max_epochs)
        self.draws = torch.Generator().manual_seed(learning.seed)
        self.schedule: Schedule | None = None
        self.scores = MetricCollection(
            {
                "f1": MulticlassF1Score(num_classes, average="macro", validate_args=False),
                "accuracy": MulticlassAccuracy(num_classes, average="micro", validate_args=False),
            }
        )
        self.loss_sum, self.images_seen = torch.zeros(()), 0

    def normalised(self, pixels: Tensor, augment: Augment | None = None) -> Tensor:
        """Scaled images of pixels uint8 ``(B, C, H, W)``."""
        images = pixels.to(torch.float32)
        if augment:
            images = augment(images, self.draws, self.learning.strength(self.current_epoch))
        return self.layout.images(self.scaling(images))

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
            self.average.after_epoch(self.current_epoch)
            self.log("train_loss", self.loss_sum / self.images_seen)
        self._reset()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Add one batch to the scores."""
        logits = self.average.scored(self.normalised(batch[0]))
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
            scores = self.trainer.callback_metrics
            self.schedule.after_epoch(scores["val_loss"], scores["val_accuracy"])

    def configure_optimizers(self) -> Any:
        """The optimizer over the parameters that train; its schedule is kept here."""
        try:
            optimizer = self.learning.optimizer([p for p in self.net.parameters() if p.requires_grad])
        except (TypeError, ValueError) as error:
            raise ConfigError(
                f"optimizer cannot be made ({error}); expected what torch.optim takes; check the settings of optimizer"
            ) from error
        try:
            self.schedule = self.learning.schedule(optimizer, self.learning.length)
        except (TypeError, ValueError, ZeroDivisionError) as error:
            raise ConfigError(
                f"schedule cannot be made ({error}); expected what the scheduler takes; check the settings of scheduler"
            ) from error
        return optimizer

    def _optimize(self, optimizer: Any, images: Tensor, labels: Tensor) -> None:
        with self.layout.autocast(images.device):
            logits = self.net(images)
        loss = cross_entropy(logits.float(), labels, label_smoothing=self.learning.label_smoothing)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
        self.average.after_step()
        if self.schedule:
            self.schedule.after_step()
        self._add(loss.detach(), len(labels))

    def _add(self, mean_loss: Tensor, images: int) -> None:
        self.loss_sum += mean_loss * images
        self.images_seen += images

    def _reset(self) -> None:
        self.loss_sum, self.images_seen = torch.zeros((), device=self.device), 0
