"""One network, one data set, one set of training settings: a trained network and its
scores.
"""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from math import ceil, isfinite, nan
from time import perf_counter

import numpy as np
import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments import LightningEnvironment  # type: ignore[attr-defined]
from pytorch_lightning.callbacks import Callback, EarlyStopping, RichProgressBar
from torch import Tensor, nn

from paretune.data.images import ImageData, Images
from paretune.errors import ParetuneError
from paretune.schema import Selection
from paretune.settings import check
from paretune.training.distillation import SoftLabels
from paretune.training.execution import Execution, keep_freed_memory
from paretune.training.module import Classifier
from paretune.training.settings import Training

log = logging.getLogger(__name__)
# Lightning announces its accelerators and tips at every fit: a sweep prints them
# hundreds of times.
logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)

# Optimizer steps that Lightning's loop sees as one; past 16 its share of the time is
# under a percent.
STEPS_PER_RUN = 16
KNOWN_WARNINGS = (
    "LeafSpec",
    "does not have many workers",
    "`srun` command is available",
)


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


EpochListener = Callable[[Epoch], None]


@dataclass(frozen=True, slots=True)
class Scores:
    """How a network does on a split: F1 (macro) and accuracy as fractions in [0, 1],
    loss in nats.
    """

    f1: float
    accuracy: float
    loss: float


@dataclass(frozen=True)
class Trained:
    """A finished training; the network holds the weights of ``best``, the epoch that
    the selection chose.

    ``seconds`` is the whole training with its validations, ``images_per_s`` training
    images over that time.
    """

    best: Epoch
    epochs: list[Epoch]
    seconds: float
    images_per_s: float
    execution: Execution
    test: Scores | None = None


class DivergedError(ParetuneError, RuntimeError):
    """The loss became NaN or infinite before the first epoch ended."""


class TensorBatches:
    """An iterable of pixels uint8 ``(B, C, H, W)``, labels int64 ``(B,)`` and rows of
    ``more``; the last batch may be smaller.

    With a ``generator`` each pass goes through a new permutation drawn from it; without
    one, in the stored order.
    """

    def __init__(
        self,
        images: Images,
        batch_size: int,
        generator: torch.Generator | None = None,
        *more: Tensor,
    ) -> None:
        self.images = images
        self.batch_size = batch_size
        self.generator = generator
        self.tensors = (images.pixels, images.labels, *more)

    def __len__(self) -> int:
        return ceil(len(self.images) / self.batch_size)

    def __iter__(self) -> Iterator[list[Tensor]]:
        order = self._draw_order().to(self.images.labels.device)
        for rows in torch.split(order, self.batch_size):
            yield [tensor[rows] for tensor in self.tensors]

    def _draw_order(self) -> Tensor:
        if self.generator is None:
            return torch.arange(len(self.images))
        return torch.randperm(len(self.images), generator=self.generator)


class BestWeights(pl.Callback):
    """Keeps every epoch's scores, and a copy of the weights that ``selection`` asks for
    (the earliest of equals).
    """

    def __init__(
        self, selection: Selection, listener: EpochListener | None = None
    ) -> None:
        self.selection = selection
        self.listener = listener
        self.epochs: list[Epoch] = []
        self.best: Epoch | None = None
        self.weights: dict[str, Tensor] = {}
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
        if self.listener:
            self.listener(epoch)

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
        return _read_score(epoch, self.selection) > _read_score(
            self.best, self.selection
        )

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


def _read_score(epoch: Epoch, selection: Selection) -> float:
    """The score that epochs are compared by."""
    score: float = getattr(epoch, f"val_{selection.by}")
    return score


def seed_everything(seed: int) -> None:
    """Seed Python, numpy and torch; call it before the network is built.

    Raises :class:`~paretune.errors.ConfigError` for a number that numpy does not take.
    """
    check("seed", seed)
    pl.seed_everything(seed, workers=True, verbose=False)


@contextmanager
def _without_known_warnings() -> Iterator[None]:
    """Hides what Lightning says of every training: one process and a data set in
    memory are on purpose.
    """
    with warnings.catch_warnings():
        for message in KNOWN_WARNINGS:
            warnings.filterwarnings("ignore", message=f".*{message}")
        yield


@_without_known_warnings()
def fit(
    net: nn.Module,
    data: ImageData,
    training: Training,
    *,
    listener: EpochListener | None = None,
    test: bool = False,
    execution: Execution | None = None,
) -> Trained:
    """Train ``net`` in place and leave it with its best weights; ``test`` reads the
    test set once, at the end.

    Without an ``execution`` the training chooses one: see
    :meth:`Training.choose_execution`.

    Raises :class:`DivergedError` if no epoch ended with a finite validation loss.
    """
    keep_freed_memory()
    keeper = BestWeights(training.selection, listener)
    trainer = _make_trainer(training, keeper)
    device = trainer.strategy.root_device
    execution = execution or training.choose_execution(net, data.train)
    execution.set_threads()
    teacher = training.distillation.load_teacher(data, device)
    moved = execution.convert_network(net, device)
    module = Classifier(moved, data, training, execution, teacher)
    train = data.train.to(device)
    val = data.val.to(device)

    started_s = perf_counter()
    batches = _make_training_batches(train, training, teacher)
    try:
        trainer.fit(module, batches, TensorBatches(val, training.eval_batch_size))
        seconds = perf_counter() - started_s
        best = keeper.require_best()
        net.load_state_dict(keeper.weights)
        scores = _score(trainer, module, data.load_test().to(device)) if test else None
    finally:
        # Hundreds of megabytes of maps, which Lightning's circular references would
        # keep for long.
        module.forwards.clear()
    images_per_s = len(train) * len(keeper.epochs) / seconds
    return Trained(best, keeper.epochs, seconds, images_per_s, execution, scores)


def _make_training_batches(
    train: Images, training: Training, teacher: SoftLabels | None
) -> TensorBatches:
    """Batches for a run of optimizer steps each, in a new order each epoch.

    Images that stay as they are get their soft labels once.
    """
    shuffle = torch.Generator().manual_seed(training.seed)
    size = training.batch_size * STEPS_PER_RUN
    if teacher and not training.augment:
        return TensorBatches(train, size, shuffle, teacher(train.pixels))
    return TensorBatches(train, size, shuffle)


def choose_start(
    build: Callable[[], nn.Module],
    data: ImageData,
    training: Training,
    execution: Execution,
    listener: EpochListener | None = None,
) -> Training:
    """``training`` with the seed, of its ``restarts``, with which a network of
    ``build`` scores best on validation in its first epochs.

    One seed is the training's own, the others derive from it. Without restarts nothing
    is trained. A ``listener`` hears of every epoch of every start.
    """
    restarts = training.restarts
    if restarts.starts == 1:
        return training
    scores: dict[int, float] = {}
    for number, seed in enumerate(_derive_seeds(training), start=1):
        seed_everything(seed)
        attempt = replace(training, seed=seed, stop_after=restarts.epochs)
        try:
            trained = fit(
                build(), data, attempt, listener=listener, execution=execution
            )
        except DivergedError:
            continue
        scores[seed] = _read_score(trained.best, training.selection)
        log.info(
            "start %d of %d: validation %s %.4f after epoch %d",
            number,
            restarts.starts,
            training.selection.by,
            scores[seed],
            restarts.epochs,
        )
    best = max(scores, key=scores.__getitem__, default=training.seed)
    return replace(training, seed=best)


def _derive_seeds(training: Training) -> list[int]:
    """The training's own seed and one more for each further start."""
    sequence = np.random.SeedSequence(training.seed)
    derived = sequence.generate_state(training.restarts.starts - 1)
    return [training.seed, *derived.tolist()]


def _make_trainer(training: Training, keeper: BestWeights) -> pl.Trainer:
    callbacks: list[Callback] = [keeper]
    if training.progress:
        callbacks.append(RichProgressBar(leave=False))
    if training.patience is not None:
        callbacks.append(
            EarlyStopping(
                "val_loss", training.min_delta, training.patience, check_finite=False
            )
        )
    return pl.Trainer(
        accelerator=training.torch_device.type,
        devices=1,
        max_epochs=min(training.max_epochs, training.stop_after or training.max_epochs),
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=training.progress,
        num_sanity_val_steps=0,
        deterministic=True,
        # Whatever a scheduler's variables say.
        plugins=[LightningEnvironment()],
    )


def _score(trainer: pl.Trainer, module: Classifier, images: Images) -> Scores:
    # The keeper is done.
    trainer.callbacks = []  # type: ignore[attr-defined]
    # The kept weights are in the network.
    module.average.model = None
    batches = TensorBatches(images, module.settings.eval_batch_size)
    [scores] = trainer.validate(module, batches, verbose=False)
    return Scores(scores["val_f1"], scores["val_accuracy"], scores["val_loss"])
