"""The LightningModule round any family, and the average of its weights."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import ceil
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score

from paretune.data.images import ImageData
from paretune.errors import ConfigError
from paretune.schema import Averaging
from paretune.training.distillation import SoftLabels
from paretune.training.execution import Execution
from paretune.training.schedule import Schedule, TrainingLength
from paretune.training.settings import Training

# Pixels uint8 (B, C, H, W), labels int64 (B,), soft labels (B, num_classes) if they are
# known.
Batch = Sequence[Tensor]

# As TensorFlow's ExponentialMovingAverage has it with num_updates.
EMA_WARM_STEPS = 9


class Average:
    """The average of a network's weights over its training."""

    def __init__(self, net: nn.Module, averaging: Averaging, max_epochs: int) -> None:
        self.net = net
        self.kind = averaging.kind
        self.decay = averaging.decay
        self.steps = 0
        self.first_epoch = int(averaging.start * max_epochs)
        self.model: AveragedModel | None = None

    @property
    def scored(self) -> nn.Module:
        """The network to validate and to keep: the average once it has begun."""
        return self.model.module if self.model else self.net

    def after_step(self) -> None:
        """An optimizer step was made. An exponential average follows the weights
        closely in the beginning: see :class:`Averaging`.
        """
        if self.kind == "ema":
            self.steps += 1
            decay = min(self.decay, self.steps / (self.steps + EMA_WARM_STEPS))
            self._add(get_ema_multi_avg_fn(decay))  # type: ignore[no-untyped-call]

    def after_epoch(self, epoch: int) -> None:
        """The training part of ``epoch`` (from 0) is over."""
        if self.kind == "swa" and epoch >= self.first_epoch:
            self._add()

    def state_dict(self) -> dict[str, Any]:
        """How far it is, to go on from: as of torch's modules."""
        model = self.model.state_dict() if self.model else None
        return {"steps": self.steps, "model": model}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a ``state`` that :meth:`state_dict` gave."""
        self.steps = state["steps"]
        if state["model"] is not None:
            self.model = self._make_model()
            self.model.load_state_dict(state["model"])

    def _make_model(self) -> AveragedModel:
        return AveragedModel(self.net, use_buffers=True).eval()

    def _add(self, rule: Callable[..., None] | None = None) -> None:
        self.model = self.model or self._make_model()
        self.model.multi_avg_fn = rule
        self.model.update_parameters(self.net)


@contextmanager
def _refuse_batches_of_one() -> Iterator[None]:
    """Turns torch's error for a norm over a single value into one line: the last batch
    may hold one image.
    """
    try:
        yield
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise ConfigError(
            "trainer.batch_size leaves one image to a last batch, which a norm cannot "
            "use; choose a trainer.batch_size that leaves it at least two"
        ) from error


class Classifier(pl.LightningModule):
    """Trains ``net`` with cross-entropy on pixels that it normalises on the device.

    A Lightning step is a run of consecutive optimizer steps: the trainer's loop costs
    as much as a whole step of a small network, so it is paid once for many of them.
    Optimizer and schedule are stepped here, in the order of a plain loop.

    After each epoch the trainer's ``callback_metrics`` hold ``train_loss``,
    ``val_loss``, ``val_f1`` (macro) and ``val_accuracy``. Sums stay tensors until then,
    so no step waits for the device. Scores are computed in fp32.
    """

    def __init__(
        self,
        net: nn.Module,
        data: ImageData,
        training: Training,
        execution: Execution,
        teacher: SoftLabels | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.net = net
        self.settings = training
        self.execution = execution
        self.teacher = teacher
        self.scaling = data.make_scaling(training.scaling)
        steps_per_epoch = ceil(len(data.train) / training.batch_size)
        self.length = TrainingLength(steps_per_epoch, training.max_epochs)
        self.average = Average(net, training.averaging, training.max_epochs)
        self.draws = torch.Generator().manual_seed(training.seed)
        self.schedule: Schedule | None = None
        self.scores = _make_scores(data.num_classes)
        self.class_weights: Tensor | None
        weights = training.weigh_classes(data)
        self.register_buffer("class_weights", weights, persistent=False)
        self.loss_sum = torch.zeros(())
        self.images_seen = 0
        self.forwards: dict[nn.Module, Callable[[Tensor], Tensor]] = {}
        # The logits of what is validated, where they are asked for.
        self.kept_logits: list[Tensor] | None = None

    def compute_logits(self, net: nn.Module, images: Tensor) -> Tensor:
        """Logits of normalised images, by ``net`` or its average."""
        if net not in self.forwards:
            self.forwards[net] = self.execution.make_forward(net, images.shape[1:])
        return self.forwards[net](images)

    def scale(self, pixels: Tensor) -> Tensor:
        """Images that the network takes, of pixels ``(B, C, H, W)`` in [0, 255]."""
        return self.execution.convert_images(self.scaling(pixels.to(torch.float32)))

    def augment(self, pixels: Tensor) -> Tensor:
        """Float pixels, changed at random if the training augments."""
        pixels = pixels.to(torch.float32)
        if self.settings.augment is None:
            return pixels
        strength = self.settings.compute_augment_strength(self.current_epoch)
        return self.settings.augment(pixels, self.draws, strength)

    @_refuse_batches_of_one()
    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Optimizer steps over the consecutive batches that make up ``batch``."""
        pixels, labels, *soft_labels = batch
        pixels = self.augment(pixels)
        if self.teacher and not soft_labels:
            # Before the pixels are scaled, which is done in place.
            soft_labels = [self.teacher(pixels)]
        tensors = [self.scale(pixels), labels, *soft_labels]
        parts = [torch.split(tensor, self.settings.batch_size) for tensor in tensors]
        optimizer = self.optimizers(use_pl_optimizer=False)
        for step_batch in zip(*parts, strict=True):
            self._make_step(step_batch, optimizer)

    def _make_step(self, batch: Batch, optimizer: Any) -> None:
        """One optimizer step on images that are scaled already."""
        images, labels, *soft_labels = batch
        with self.execution.autocast(images.device):
            logits = self.compute_logits(self.net, images)
        loss = self.settings.distillation.compute_loss(
            logits.float(),
            labels,
            *soft_labels,
            weights=self.class_weights,
            smoothing=self.settings.label_smoothing,
        )
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
        self.average.after_step()
        if self.schedule:
            self.schedule.after_step()
        self._add_loss(loss.detach(), len(labels))

    def on_validation_epoch_start(self) -> None:
        """Publish the training loss: validation runs at the end of the training
        epoch.
        """
        if self.images_seen:
            self.average.after_epoch(self.current_epoch)
            self.log("train_loss", self._take_mean_loss())

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Add one batch to the scores."""
        pixels, labels = batch
        logits = self.compute_logits(self.average.scored, self.scale(pixels))
        self.scores.update(logits, labels)
        if self.kept_logits is not None:
            self.kept_logits.append(logits)
        self._add_loss(cross_entropy(logits, labels), len(labels))

    def on_validation_epoch_end(self) -> None:
        """Publish the epoch's scores."""
        self.log("val_loss", self._take_mean_loss())
        for name, value in self.scores.compute().items():
            self.log(f"val_{name}", value)
        self.scores.reset()

    def on_train_epoch_end(self) -> None:
        """Step a schedule that goes by epochs; the validation is over by now."""
        if self.schedule:
            self.schedule.after_epoch(self.trainer.callback_metrics)

    def configure_optimizers(self) -> Any:
        """The optimizer over the parameters that train; its schedule is kept here."""
        parameters = [
            weight for weight in self.net.parameters() if weight.requires_grad
        ]
        optimizer = _make("optimizer", self.settings.optimizer, parameters)
        schedule = self.settings.schedule
        self.schedule = _make("scheduler", schedule, optimizer, self.length)
        return optimizer

    def _add_loss(self, loss: Tensor, images: int) -> None:
        # The first sum takes the device of the loss.
        self.loss_sum = self.loss_sum + loss * images
        self.images_seen += images

    def _take_mean_loss(self) -> Tensor:
        """The mean loss of an image since the last call."""
        mean = self.loss_sum / self.images_seen
        self.loss_sum = torch.zeros(())
        self.images_seen = 0
        return mean


def _make_scores(num_classes: int) -> MetricCollection:
    f1 = MulticlassF1Score(num_classes, average="macro", validate_args=False)
    accuracy = MulticlassAccuracy(num_classes, average="micro", validate_args=False)
    return MetricCollection({"f1": f1, "accuracy": accuracy})


def _make(setting: str, factory: Callable[..., Any], *arguments: object) -> Any:
    try:
        return factory(*arguments)
    except (TypeError, ValueError, ZeroDivisionError) as error:
        raise ConfigError(
            f"{setting} cannot be made ({error}); check the settings of {setting}"
        ) from error
