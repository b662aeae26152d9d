"""One network, one data set, one set of training settings: a trained network and its scores."""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil, isfinite, nan
from time import perf_counter
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments import LightningEnvironment  # type: ignore[attr-defined]
from pytorch_lightning.callbacks import Callback, EarlyStopping, RichProgressBar
from torch import Tensor, nn

from paretune.data.images import ImageData, Images
from paretune.errors import ParetuneError, check_least
from paretune.training.execution import Execution, keep_freed_memory
from paretune.training.module import Average, Averaging, Classifier, Learning
from paretune.training.schedule import TrainingLength
from paretune.training.settings import Selection, Training


class TensorBatches:
    """An iterable of pixels uint8 ``(B, C, H, W)`` and labels int64 ``(B,)``; the last batch may be smaller.

    With a ``generator`` each pass goes through a new permutation drawn from it; without one, in the stored order.
    """

    def __init__(self, images: Images, batch_size: int, generator: torch.Generator | None = None) -> None:
        self.images = images
        self.batch_size = batch_size
        self.generator = generator

    def __len__(self) -> int:
        return ceil(len(self.images) / self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        pixels, labels = self.images.pixels, self.images.labels
        if self.generator is None:
            yield from zip(torch.split(pixels, self.batch_size), torch.split(labels, self.batch_size), strict=True)
            return
        order = torch.randperm(len(labels), generator=self.generator).to(labels.device)
        for rows in torch.split(order, self.batch_size):
            yield pixels[rows], labels[rows]


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


# Optimizer steps that Lightning's loop sees as one; past 16 its share of the time is under a percent.
STEPS_PER_RUN = 16

# Lightning announces its accelerators and tips at every fit: a sweep prints them hundreds of times.
logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True)
class Scores:
    """How a network does on a split: F1 (macro) and accuracy as fractions in [0, 1], loss in nats."""

    f1: float
    accuracy: float
    loss: float


@dataclass(frozen=True)
class Trained:
    """A finished training; the network holds the weights of ``best``, the epoch that the selection chose.

    ``seconds`` is the whole training with its validations, ``images_per_s`` training images over that time, ``layout`` what
    made it fast.
    """

    best: Epoch
    epochs: list[Epoch]
    seconds: float
    images_per_s: float
    layout: Execution
    test: Scores | None = None


class DivergedError(ParetuneError, RuntimeError):
    """The loss became NaN or infinite before the first epoch ended."""


def seed_everything(seed: int) -> None:
    """Seed Python, numpy and torch; call it before the network is built.

    Raises :class:`~paretune.errors.ConfigError` for a number that numpy does not take.
    """
    check_least("seed", seed, 0, most=2**32 - 1)
    pl.seed_everything(seed, workers=True, verbose=False)


def fit(
    net: nn.Module, data: ImageData, training: Training, *, listener: EpochListener | None = None, test: bool = False
) -> Trained:
    """Train ``net`` in place and leave it with its best weights; ``test`` reads the test set once, at the end.

    Raises :class:`DivergedError` if no epoch ended with a finite validation loss.
    """
    keep_freed_memory()
    keeper = BestWeights(training.selection, listener)
    with _lightning_noise():
        trainer = _trainer(training, [keeper, *_callbacks(training)])
    device = trainer.strategy.root_device
    train, val = _on(device, data.train), _on(device, data.val)
    layout = training.layout_for(net.to(device), train)
    layout.set_threads()
    scaling = data.scaling(training.scaling)
    learning = _learning(training, len(train))
    module = Classifier(layout.network(net, device), scaling, data.num_classes, learning, layout)
    shuffle = torch.Generator().manual_seed(training.seed)
    started_s = perf_counter()
    with _lightning_noise():
        feed = TensorBatches(train, training.batch_size * STEPS_PER_RUN, shuffle)
        trainer.fit(module, feed, TensorBatches(val, training.eval_batch_size))
        seconds = perf_counter() - started_s
        best = _best(keeper)
        net.load_state_dict(keeper.weights)
        scores = _score(trainer, module, _on(device, data.load_test()), training) if test else None
    return Trained(best, keeper.epochs, seconds, len(train) * len(keeper.epochs) / seconds, layout, scores)


def _learning(training: Training, images: int) -> Learning:
    length = TrainingLength(ceil(images / training.batch_size), training.max_epochs)
    return Learning(
        optimizer=training.optimizer,
        schedule=training.schedule,
        length=length,
        batch_size=training.batch_size,
        augment=training.augment,
        rampdown_epochs=training.augment_rampdown_epochs,
        label_smoothing=training.label_smoothing,
        averaging=training.averaging,
        seed=training.seed,
    )


def _best(keeper: BestWeights) -> Epoch:
    if keeper.best is None or not isfinite(keeper.best.val_loss):
        message = "training diverged: no epoch ended with a finite validation loss; try a lower optimizer.lr"
        raise DivergedError(message)
    return keeper.best


def _score(trainer: pl.Trainer, module: Classifier, images: Images, training: Training) -> Scores:
    trainer.callbacks = []  # type: ignore[attr-defined]  # the keeper is done
    module.average = Average(module.net, Averaging(), 1)  # the kept weights are in the network
    (scores,) = trainer.validate(module, TensorBatches(images, training.eval_batch_size), verbose=False)
    return Scores(scores["val_f1"], scores["val_accuracy"], scores["val_loss"])


def _trainer(training: Training, callbacks: list[Callback]) -> pl.Trainer:
    return pl.Trainer(
        accelerator="gpu" if training.device == "cuda" else training.device,
        devices=1,
        max_epochs=training.max_epochs,
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=training.progress,
        num_sanity_val_steps=0,
        deterministic=True,
        plugins=[LightningEnvironment()],  # whatever a scheduler's variables say
    )


def _callbacks(training: Training) -> list[Callback]:
    callbacks: list[Callback] = [RichProgressBar(leave=False)] if training.progress else []
    if training.patience is not None:
        callbacks.append(EarlyStopping("val_loss", training.min_delta, training.patience, check_finite=False))
    return callbacks


def _on(device: torch.device, images: Images) -> Images:
    return Images(images.pixels.to(device), images.labels.to(device))


@contextmanager
def _lightning_noise() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*`srun` command is available.*")  # one process is all a training is
        yield
