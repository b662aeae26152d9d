"""A candidate trained, and written to the store while it trains."""

import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial
from math import nan
from pathlib import Path
from time import perf_counter
from typing import Any

import hydra
import torch
from torch import Tensor, nn

from paretune import models
from paretune.data import load
from paretune.data.images import ImageData
from paretune.errors import ConfigError, Paused
from paretune.front import (
    Candidate,
    Point,
    compute_standard_error,
    count_effective_images,
)
from paretune.schema import Averaging, Restarts, Selection
from paretune.search import current_trial
from paretune.tracking import RunRecorder
from paretune.tracking.schema import (
    ANSWERS_FILE,
    IMAGES_PER_S,
    VAL_EFFECTIVE,
    VAL_IMAGES,
    WEIGHTS_FILE,
    Split,
    Tag,
)
from paretune.training import save
from paretune.training.distillation import Distillation
from paretune.training.epochs import Epoch
from paretune.training.execution import Execution, TimingBudget, find_formats
from paretune.training.fit import (
    Trained,
    choose_start,
    fit,
    resume,
    seed_everything,
)
from paretune.training.folds import Fold, load_folds, pool, save_folds, seed_fold
from paretune.training.settings import Augment, Training
from paretune.training.state import StateError, TrainingState
from paretune.training.state_file import load_state, make_room, save_state
from paretune.trust import Trust

log = logging.getLogger(__name__)

STATE_FILE = "state.pt"
FOLDS_FILE = "folds.json"
# Of all trials of a sweep that wait; what is deleted is trained again if it goes on.
MOST_STATE_BYTES = 4 * 10**9
UNCHANGED = "paretune.augment.unchanged"  # the augmentation that does nothing


@dataclass(frozen=True)
class Experiment:
    """A training that is about to begin.

    ``folder`` is where the weights are left. With ``test`` the test set is read once at
    the end. ``trust`` says whose code stored files may name. ``cost`` is what a race
    weighs against F1.
    """

    candidate: Candidate
    folder: Path
    test: bool = False
    trust: Trust = field(default_factory=Trust)
    cost: str = "params"

    @property
    def weights(self) -> Path:
        """The file of the weights."""
        return self.folder / WEIGHTS_FILE

    @property
    def answers(self) -> Path:
        """The file of the answers, where the test set was read."""
        return self.folder / ANSWERS_FILE

    @property
    def state(self) -> Path:
        """The file of the state, while the training waits at a rung."""
        return self.folder / STATE_FILE

    @property
    def folds(self) -> Path:
        """The file of the folds that are done, of a training in several."""
        return self.folder / FOLDS_FILE


def train_recorded(experiment: Experiment, recorder: RunRecorder | None) -> Point:
    """Train a candidate; returns it as a point, with its scores.

    The weights are left in the folder of the experiment, and with a recorder in the
    store.
    """
    candidate = experiment.candidate
    if recorder:
        recorder.start(candidate)
    training = make_training(candidate.config, experiment.trust)
    model = candidate.config["model"]
    selection = training.selection
    data = load(candidate.config["data"]).with_split(selection.split, selection.folds)
    _check_fit(model, data)
    if recorder:
        recorder.tag(Tag.LAYERS, models.describe(model))

    net = models.build(model)
    _check_logits(net, candidate.family, data)
    listener = _Listener(experiment, recorder)
    if training.selection.folds > 1:
        trained = _train_folds(experiment, training, data, net, listener)
    else:
        trained = _train_once(experiment, training, data, net, listener)
    return _finish(
        experiment, training, trained, recorder, _list_scored(data, training)
    )


def _list_scored(data: ImageData, training: Training) -> Tensor:
    """The labels ``(N,)`` of the images that a training is scored on."""
    if training.selection.folds > 1:
        return torch.cat([data.train.labels, data.val.labels])
    return data.val.labels


def _train_once(
    experiment: Experiment,
    training: Training,
    data: ImageData,
    net: nn.Module,
    listener: "_Listener",
) -> Trained:
    """The training of ``net``, begun or taken up again; its weights are saved.

    Raises :class:`~paretune.errors.Paused` if it is to wait.
    """
    trained = _go_on(experiment, training, data, net, listener)
    if trained is None:
        began_s = perf_counter()
        training, execution = _begin(experiment, training, data, net)
        starts_s = perf_counter() - began_s
        trained = fit(
            net,
            data,
            training,
            listener=listener,
            test=experiment.test,
            execution=execution,
        )
        trained = replace(trained, seconds=starts_s + trained.seconds)
    if trained.state:
        epochs = training.last_epoch * training.selection.folds
        raise _wait(experiment, trained, trained.state, epochs)

    scaling = data.make_scaling(training.scaling)
    save(experiment.weights, net, experiment.candidate.config, scaling)
    experiment.state.unlink(missing_ok=True)
    return trained


def _train_folds(
    experiment: Experiment,
    training: Training,
    data: ImageData,
    net: nn.Module,
    listener: "_Listener",
) -> Trained:
    """A training for each fold, of which the first one leaves its weights. Its result
    has the scores over the images of all.

    Epochs count on from fold to fold: a race may stop a trial after any of them. Raises
    :class:`~paretune.errors.Paused` if the training is to wait.
    """
    config = experiment.candidate.config
    parts = data.make_folds(training.selection.folds)
    epochs = training.last_epoch
    done = _load_done(experiment, epochs)
    for number in range(len(done), len(parts)):
        of_fold = seed_fold(training, number)
        if number == 0:
            trained = _train_once(experiment, of_fold, parts[0], net, listener)
        else:
            net = models.build(config["model"])
            trained = _train_further(experiment, of_fold, parts[number], net)
        done.append(Fold.score(net, parts[number], of_fold, trained))
        save_folds(experiment.folds, done, config)
        pooled = pool(done, data.num_classes, number=len(done) * epochs)
        is_to_wait = listener.waits if number == 0 else listener(pooled)
        if is_to_wait and len(done) < len(parts):
            raise _wait_between(done, epochs, len(parts))
    experiment.folds.unlink(missing_ok=True)
    seconds = sum(fold.seconds for fold in done)
    best = pool(done, data.num_classes, number=epochs)
    return replace(trained, best=best, seconds=seconds)


def _load_done(experiment: Experiment, epochs: int) -> list[Fold]:
    """The folds that an earlier attempt at the trial had done, of so many ``epochs``
    each, when it came to wait.
    """
    trial = current_trial()
    if trial is None or not experiment.weights.is_file():
        return []
    number = trial.waited_at // epochs
    return load_folds(experiment.folds, experiment.candidate.config, number)


def _train_further(
    experiment: Experiment, training: Training, data: ImageData, net: nn.Module
) -> Trained:
    """The training of a fold beyond the first, which nothing interrupts."""
    began_s = perf_counter()
    training, execution = _begin(experiment, training, data, net)
    trained = fit(net, data, training, execution=execution)
    return replace(trained, seconds=perf_counter() - began_s)


def _wait_between(done: Sequence[Fold], epochs: int, folds: int) -> Paused:
    """The message to the sweep that the trial waits for its further ``folds``, each of
    so many ``epochs``.
    """
    n_epochs = epochs * len(done)
    seconds = sum(fold.seconds for fold in done)
    return Paused(n_epochs, seconds / n_epochs, epochs * folds)


def _finish(
    experiment: Experiment,
    training: Training,
    trained: Trained,
    recorder: RunRecorder | None,
    scored: Tensor,
) -> Point:
    """The point of a training whose weights are saved; the run has it, too, and on how
    many images it was ``scored``, whose labels these are.
    """
    n_effective = count_effective_images(scored.bincount().numpy())
    point = _make_point(experiment.candidate, trained, recorder)
    trial = current_trial()
    if trial:
        trial.tell_standard_error(compute_standard_error(point.f1, n_effective))
    files = [experiment.weights]
    if trained.answers:
        trained.answers.write(experiment.answers)
        files.append(experiment.answers)
    if recorder:
        recorder.tag(Tag.LAYOUT, str(trained.execution))
        recorder.tag(Tag.RULE, training.selection.rule)
        figures = {
            VAL_IMAGES: float(len(scored)),
            VAL_EFFECTIVE: n_effective,
            **_list_figures(trained),
        }
        recorder.finish(point, figures, files)
    _tell(point, trained, training.selection.split)
    log.info("weights in %s", experiment.weights)
    return point


def _go_on(
    experiment: Experiment,
    training: Training,
    data: ImageData,
    net: nn.Module,
    listener: "_Listener",
) -> Trained | None:
    """The training that an earlier attempt at the trial was paused in; ``None`` if
    there was none, or without its state: it begins anew, and has the same numbers.
    """
    trial = current_trial()
    if trial is None or not trial.waited_at:
        return None
    try:
        state = load_state(experiment.state, experiment.candidate.config)
        listener.earlier = state.epochs
        return resume(
            net, data, training, state, listener=listener, test=experiment.test
        )
    except StateError as error:
        log.warning("%s", error)
        listener.earlier = ()
        experiment.state.unlink(missing_ok=True)
        return None


def _begin(
    experiment: Experiment, training: Training, data: ImageData, net: nn.Module
) -> tuple[Training, Execution]:
    """The training with its first weights, which ``net`` has then, and how it is
    computed.
    """
    build = partial(models.build, experiment.candidate.config["model"])
    execution = _choose_execution(training, experiment.candidate.family, net, data)
    training = choose_start(build, data, training, execution)
    seed_everything(training.seed)
    net.load_state_dict(build().state_dict())
    return training, execution


def _wait(
    experiment: Experiment, trained: Trained, state: TrainingState, epochs: int
) -> Paused:
    """Keep the ``state``; returns what tells the sweep that the trial waits for the
    rest of its ``epochs``.
    """
    state = replace(state, seconds=trained.seconds)
    save_state(experiment.state, state, experiment.candidate.config)
    for deleted in make_room(experiment.state, MOST_STATE_BYTES):
        log.info("%s is deleted: what is kept of waiting trials is too much", deleted)
    epoch = len(trained.epochs)
    seconds = sum(one.seconds for one in trained.epochs)
    begin_s = max(trained.seconds - seconds, 0.0)
    return Paused(epoch, seconds / epoch, epochs, begin_s)


class _Listener:
    """Hears of each epoch, and hands it on to the run and to the sweep.

    A run is one attempt; those ``earlier`` are the epochs of the attempts before.
    """

    def __init__(self, experiment: Experiment, recorder: RunRecorder | None) -> None:
        self.cost = experiment.candidate.costs.get(experiment.cost, nan)
        self.recorder = recorder
        self.trial = current_trial()
        self.earlier: Sequence[Epoch] = ()
        self.waits = False

    def __call__(self, epoch: Epoch) -> bool:
        """Whether the training is to pause; ``waits`` keeps the answer."""
        self._record(epoch)
        if self.trial is not None:
            self.waits = self.trial.report_or_wait(
                epoch.number, self.cost, epoch.val_f1
            )
        return self.waits

    def _record(self, epoch: Epoch) -> None:
        if self.recorder is None:
            return
        for one in (*self.earlier, epoch):
            self.recorder.epoch(one.number, asdict(one))
        self.earlier = ()


def _make_point(
    candidate: Candidate,
    trained: Trained,
    recorder: RunRecorder | None,
) -> Point:
    best = trained.best
    return Point(
        costs=candidate.costs,
        seed=candidate.seed,
        family=candidate.family,
        data=candidate.data,
        config=candidate.config,
        f1=best.val_f1,
        accuracy=best.val_accuracy,
        loss=best.val_loss,
        seconds=trained.seconds,
        best_epoch=best.number,
        run_id=recorder.run_id if recorder else "",
    )


def _choose_execution(
    training: Training, family: str, net: nn.Module, data: ImageData
) -> Execution:
    """The execution that is pinned; in a sweep the one that was chosen for the first
    trial of the family, and is kept in the study. It is chosen by timing where that is
    soon won back.

    Timing differs from one time to the next, and rounding with the choice: the same
    config and seed give the same numbers only if nothing is chosen for a single
    training, and once for all trials that are compared with each other.
    """
    trial = current_trial()
    if trial is None or not training.autotune:
        return replace(training, autotune=False).choose_execution(net, data.train)

    n_steps = training.count_steps(len(data.train))
    budget = TimingBudget(n_steps, trial.n_alike, trial.timeout_s)

    def choose() -> dict[str, Any]:
        return asdict(training.choose_execution(net, data.train, budget))

    device = training.torch_device
    kept = trial.shared(f"execution of {family} on {device.type}", choose)
    execution = Execution(**kept)
    shape = data.train.pixels.shape[1:]
    if execution.memory_format in find_formats(net, shape, device):
        return execution
    log.warning(
        "this machine cannot run %s, which the sweep has chosen; it runs "
        "contiguous/fp32 instead",
        execution,
    )
    return Execution(threads=execution.threads)


def _check_fit(model: Mapping[str, Any], data: ImageData) -> None:
    """Raise :class:`~paretune.errors.ConfigError` if the model takes other images, or
    tells other classes apart, than the data have.
    """
    of_data = {
        "image_shape": list(data.train.pixels.shape[1:]),
        "num_classes": data.num_classes,
    }
    for name, value in of_data.items():
        if model.get(name, value) != value:
            raise ConfigError(
                f"model.{name} `{model[name]}` does not fit data `{data.name}`; "
                f"expected {value}; set model.{name}"
            )


def _check_logits(net: nn.Module, family: str, data: ImageData) -> None:
    """Raise :class:`~paretune.errors.ConfigError` unless the network gives a logit for
    each class.
    """
    with torch.no_grad():
        output = net.eval()(torch.zeros(2, *data.train.pixels.shape[1:]))
    shape = tuple(getattr(output, "shape", ()))
    net.train()
    if shape != (2, data.num_classes):
        raise ConfigError(
            f"model `{family}` gives values {shape} of 2 images; expected logits "
            f"{(2, data.num_classes)}; correct its forward"
        )


def make_training(config: Mapping[str, Any], trust: Trust) -> Training:
    """The training settings of a plain ``config``. Raises
    :class:`~paretune.errors.ConfigError` for an unknown or invalid one.
    """
    settings = dict(config["trainer"])
    _check_known(settings)
    # A stored config may be older than a section.
    averaging = settings.pop("averaging")
    distillation = settings.pop("distillation", {})
    restarts = settings.pop("restarts", {})
    return Training(
        optimizer=hydra.utils.instantiate(config["optimizer"]),
        schedule=hydra.utils.instantiate(config["scheduler"]),
        augment=_make_augment(config["augment"]),
        seed=config["seed"],
        progress=sys.stderr.isatty() and sys.stdout.isatty(),
        averaging=Averaging(**averaging),
        # What a stored config says of trust does not count.
        distillation=Distillation(**{**distillation, "trust": trust}),
        restarts=Restarts(**restarts),
        selection=Selection(**config["selection"]),
        **settings,
    )


def _check_known(trainer: Mapping[str, Any]) -> None:
    unknown = set(trainer) - {field.name for field in fields(Training)}
    if unknown:
        name = min(unknown)
        raise ConfigError(
            f"trainer.{name} `{trainer[name]}` is unknown; leave it out (paretune "
            "train --cfg job shows what there is)"
        )


def _make_augment(config: Mapping[str, Any]) -> Augment | None:
    """The augmentation; ``None`` for ``augment=none``, which then costs nothing."""
    if config["_target_"] == UNCHANGED:
        return None
    augment: Augment = hydra.utils.instantiate(config)
    return augment


def _list_figures(trained: Trained) -> dict[str, float]:
    """Figures beyond a point's own: the speed, and the test scores where they were
    asked for.
    """
    figures = {IMAGES_PER_S: trained.images_per_s}
    if trained.test:
        figures[Split.TEST.f1] = trained.test.f1
        figures[Split.TEST.accuracy] = trained.test.accuracy
        figures[Split.TEST.loss] = trained.test.loss
    return figures


def _tell(point: Point, trained: Trained, split: str) -> None:
    log.info(
        "%s, %s parameters: %s F1 %.4f, accuracy %.4f at epoch %d of %d, %.1f s, "
        "%s images/s",
        point.family,
        f"{point.params:,}",
        split,
        point.f1,
        point.accuracy,
        point.best_epoch,
        len(trained.epochs),
        point.seconds,
        f"{trained.images_per_s:,.0f}",
    )
    if trained.test:
        log.info(
            "test F1 %.4f, accuracy %.4f (the test set is read once)",
            trained.test.f1,
            trained.test.accuracy,
        )
