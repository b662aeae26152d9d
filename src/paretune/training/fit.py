"""One network, one data set, one set of training settings: a trained network and its
scores.
"""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import ceil
from time import perf_counter

import numpy as np
import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments import LightningEnvironment  # type: ignore[attr-defined]
from pytorch_lightning.callbacks import Callback, EarlyStopping, RichProgressBar
from torch import Tensor, nn

from paretune.answers import AnswersOnTest
from paretune.data.images import ImageData, Images
from paretune.settings import check
from paretune.training.distillation import SoftLabels
from paretune.training.epochs import (
    BestWeights,
    DivergedError,
    Epoch,
    EpochListener,
    read_score,
)
from paretune.training.execution import (
    Execution,
    find_formats,
    keep_freed_memory,
    with_threads,
)
from paretune.training.module import Classifier
from paretune.training.pausing import Resume, is_paused, take_state
from paretune.training.settings import Training
from paretune.training.state import StateError, TrainingState

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
class Scores:
    """How a network does on a split: F1 (macro) and accuracy as fractions in [0, 1],
    loss in nats.
    """

    f1: float
    accuracy: float
    loss: float


@dataclass(frozen=True)
class Trained:
    """A finished training, or one that was paused; the network holds the weights of
    ``best``, the epoch that the selection chose.

    ``seconds`` is the whole training with its validations, ``images_per_s`` training
    images over the time of the epochs. ``test`` and ``answers`` are there if the test
    set was read, ``state`` if the training was paused: see :func:`resume`.
    """

    best: Epoch
    epochs: list[Epoch]
    seconds: float
    images_per_s: float
    execution: Execution
    test: Scores | None = None
    answers: AnswersOnTest | None = None
    state: TrainingState | None = None


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


@dataclass(frozen=True)
class _Parts:
    """What works together in a training; ``seconds`` it took before it was paused."""

    net: nn.Module
    data: ImageData
    trainer: pl.Trainer
    module: Classifier
    keeper: BestWeights
    train: TensorBatches
    val: TensorBatches
    seconds: float = 0.0
    started_s: float = field(default_factory=perf_counter)

    @contextmanager
    def released(self) -> Iterator[None]:
        """Lets go of hundreds of megabytes of maps at the end, which Lightning's
        circular references would keep for long.
        """
        try:
            yield
        finally:
            self.module.forwards.clear()

    def finish(self, *, test: bool) -> Trained:
        """The result; the network gets its best weights."""
        seconds = self.seconds + perf_counter() - self.started_s
        best = self.keeper.require_best()
        state = self._take_state(seconds)
        self.net.load_state_dict(self.keeper.weights)
        scores, answers = None, None
        if test and state is None:
            scores, answers = self._score_test()
        epochs = self.keeper.epochs
        trained_s = sum(epoch.seconds for epoch in epochs)
        return Trained(
            best=best,
            epochs=epochs,
            seconds=seconds,
            images_per_s=len(self.train.images) * len(epochs) / trained_s,
            execution=self.module.execution,
            test=scores,
            answers=answers,
            state=state,
        )

    def _take_state(self, seconds: float) -> TrainingState | None:
        shuffling = self.train.generator
        if shuffling is None or not is_paused(self.trainer, self.keeper):
            return None
        return take_state(self.trainer, self.module, self.keeper, shuffling, seconds)

    def _score_test(self) -> tuple[Scores, AnswersOnTest]:
        images = self.data.load_test()
        on_device = images.to(self.trainer.strategy.root_device)
        scores, logits = _score(self.trainer, self.module, on_device)
        answers = AnswersOnTest.of(
            images.pixels.numpy(),
            images.labels.numpy(),
            logits.softmax(dim=1).cpu().numpy(),
            self.data.class_names,
        )
        return scores, answers


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
    :meth:`Training.choose_execution`. Where the ``listener`` answers ``True`` the
    training is paused, and what comes back has a ``state`` to :func:`resume` from.

    Raises :class:`DivergedError` if no epoch ended with a finite validation loss.
    """
    execution = execution or training.choose_execution(net, data.train)
    parts = _assemble(net, data, training, execution, listener)
    with parts.released():
        parts.trainer.fit(parts.module, parts.train, parts.val)
        return parts.finish(test=test)


@_without_known_warnings()
def resume(
    net: nn.Module,
    data: ImageData,
    training: Training,
    state: TrainingState,
    *,
    listener: EpochListener | None = None,
    test: bool = False,
) -> Trained:
    """Go on with a training that was paused, as if it had never stopped: like
    :func:`fit`, with any weights in ``net`` and the ``training`` before
    :func:`choose_start`.

    What comes back is of all epochs, the ``listener`` hears of the further ones. Raises
    :class:`~paretune.training.state.StateError` if the state is that of another
    training, or if this machine computes in another way.
    """
    training = replace(training, seed=state.seed)
    _check_machine(state, net, data, training)
    with with_threads(state.threads):
        parts = _assemble(net, data, training, state.execution, listener)
        parts = _put_where_it_was(parts, state)
        with parts.released():
            parts.trainer.fit(parts.module, parts.train, parts.val)
            return parts.finish(test=test)


def _check_machine(
    state: TrainingState, net: nn.Module, data: ImageData, training: Training
) -> None:
    """Raise :class:`~paretune.training.state.StateError` if this machine cannot compute
    as the one where the training was paused.
    """
    device = training.torch_device
    if device.type != state.device:
        raise StateError(
            f"the training was paused on `{state.device}` and cannot go on on "
            f"`{device.type}` with the same numbers; set trainer.device, or begin it "
            "anew"
        )
    memory_format = state.execution.memory_format
    if memory_format not in find_formats(net, data.train.pixels.shape[1:], device):
        raise StateError(
            f"the training was paused in the memory format `{memory_format}`, which "
            "this machine cannot run; begin it anew"
        )


def _put_where_it_was(parts: _Parts, state: TrainingState) -> _Parts:
    assert parts.train.generator is not None
    callback = Resume(state, parts.keeper, parts.train.generator)
    # Lightning has a list here, and says so in no type.
    parts.trainer.callbacks.append(callback)  # type: ignore[attr-defined]
    return replace(parts, seconds=state.seconds)


def _assemble(
    net: nn.Module,
    data: ImageData,
    training: Training,
    execution: Execution,
    listener: EpochListener | None,
) -> _Parts:
    keep_freed_memory()
    execution.set_threads()
    keeper = BestWeights(training.selection, listener)
    trainer = _make_trainer(training, keeper)
    device = trainer.strategy.root_device
    teacher = training.distillation.load_teacher(data, device)
    moved = execution.convert_network(net, device)
    module = Classifier(moved, data, training, execution, teacher)
    train = data.train.to(device)
    val = data.val.to(device)
    started_s = perf_counter()
    return _Parts(
        net=net,
        data=data,
        trainer=trainer,
        module=module,
        keeper=keeper,
        train=_make_training_batches(train, training, teacher),
        val=TensorBatches(val, training.eval_batch_size),
        started_s=started_s,
    )


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
    ``build`` scores best on validation in its first epochs; in folds, whose images are
    to score what is chosen, with which it has the least training loss.

    One seed is the training's own, the others derive from it. Without restarts nothing
    is trained. A ``listener`` hears of every epoch of every start; none is paused.
    """
    restarts = training.restarts
    if restarts.starts == 1:
        return training
    listener = _make_silent(listener)
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
        scores[seed] = _score_start(trained, training)
        log.info(
            "start %d of %d: %s %.4f after epoch %d",
            number,
            restarts.starts,
            _name_start_score(training),
            abs(scores[seed]),
            restarts.epochs,
        )
    best = max(scores, key=scores.__getitem__, default=training.seed)
    return replace(training, seed=best)


def _score_start(trained: Trained, training: Training) -> float:
    """The score that starts are compared by: the larger, the better."""
    if training.selection.folds > 1:
        return -trained.epochs[-1].train_loss
    return read_score(trained.best, training.selection)


def _name_start_score(training: Training) -> str:
    if training.selection.folds > 1:
        return "training loss"
    return f"validation {training.selection.by}"


def _make_silent(listener: EpochListener | None) -> EpochListener | None:
    """A listener that hears the same and answers nothing."""
    if listener is None:
        return None
    hears: EpochListener = listener

    def hear(epoch: Epoch) -> None:
        hears(epoch)

    return hear


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
        max_epochs=training.last_epoch,
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


def _score(
    trainer: pl.Trainer, module: Classifier, images: Images
) -> tuple[Scores, Tensor]:
    """The scores on the images, and the logits ``(N, classes)``."""
    # The keeper is done.
    trainer.callbacks = []  # type: ignore[attr-defined]
    # The kept weights are in the network.
    module.average.model = None
    batches = TensorBatches(images, module.settings.eval_batch_size)
    module.kept_logits = []
    [scores] = trainer.validate(module, batches, verbose=False)
    logits = torch.cat(module.kept_logits)
    module.kept_logits = None
    return (
        Scores(scores["val_f1"], scores["val_accuracy"], scores["val_loss"]),
        logits.float(),
    )
