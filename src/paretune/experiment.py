"""One composed config trained, and written to the store while it trains."""

import logging
import sys
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from functools import partial
from math import nan
from pathlib import Path
from time import perf_counter
from typing import Any

import hydra
import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from torch import nn

from paretune import models
from paretune.data import load
from paretune.data.images import ImageData
from paretune.errors import ConfigError
from paretune.front import Candidate, Point
from paretune.schema import Averaging, Restarts, Selection
from paretune.search import current_trial
from paretune.start import to_plain
from paretune.tracking import RunRecorder
from paretune.training import save
from paretune.training.distillation import Distillation
from paretune.training.execution import Execution, find_formats
from paretune.training.fit import Epoch, Trained, choose_start, fit, seed_everything
from paretune.training.settings import Augment, Training
from paretune.trust import Trust

log = logging.getLogger(__name__)


def train_recorded(
    cfg: DictConfig, candidate: Candidate, recorder: RunRecorder | None
) -> Point:
    """Train the candidate of :func:`paretune.start.prepare_candidate` as the config
    says; returns it as a point, with its scores.

    The weights are left in Hydra's output folder, and with a recorder in the store.
    """
    if recorder:
        recorder.start(candidate)
    training = training_of(cfg)
    data = load(candidate.config["data"]).with_split(training.selection.split)
    _check_fit(candidate.config["model"], data)
    if recorder:
        recorder.tag("layers", models.describe(candidate.config["model"]))
    build, started_s = partial(models.build, candidate.config["model"]), perf_counter()
    net = build()
    _check_logits(net, candidate.family, data)
    execution = _execution(training, candidate.family, net, data)
    training = choose_start(build, data, training, execution)
    starts_s = perf_counter() - started_s
    seed_everything(training.seed)
    net = build()
    # That of a sweep.
    trial, cost = current_trial(), OmegaConf.select(cfg, "cost", default="params")

    def listener(epoch: Epoch) -> None:
        if recorder:
            recorder.epoch(epoch.number, asdict(epoch))
        if trial:
            trial.report(epoch.number, candidate.costs.get(cost, nan), epoch.val_f1)

    trained = fit(
        net, data, training, listener=listener, test=cfg.test, execution=execution
    )
    best = trained.best
    point = Point(
        costs=candidate.costs,
        seed=candidate.seed,
        family=candidate.family,
        data=candidate.data,
        config=candidate.config,
        f1=best.val_f1,
        accuracy=best.val_accuracy,
        loss=best.val_loss,
        seconds=starts_s + trained.seconds,
        best_epoch=best.number,
        run_id=recorder.run_id if recorder else "",
    )
    weights = Path(HydraConfig.get().runtime.output_dir) / "weights.pt"
    save(weights, net, candidate.config, data.make_scaling(training.scaling))
    if recorder:
        recorder.tag("layout", str(trained.execution))
        recorder.tag("rule", training.selection.rule)
        recorder.finish(point, _more(trained), [weights])
    _tell(point, trained, training.selection.split)
    log.info("weights in %s", weights)
    return point


def _execution(
    training: Training, family: str, net: nn.Module, data: ImageData
) -> Execution:
    """What is pinned; in a sweep what was chosen by timing for the first trial of the
    family, and is kept in the study.

    Timing differs from one time to the next, and rounding with the choice: the same
    config and seed give the same numbers only if nothing is chosen for a single
    training, and once for all trials that are compared with each other.
    """
    trial = current_trial()
    if trial is None or not training.autotune:
        return replace(training, autotune=False).choose_execution(net, data.train)
    device, shape = training.torch_device, data.train.pixels.shape[1:]
    name = f"execution of {family} on {device.type}"
    execution = Execution(
        **trial.shared(name, lambda: asdict(training.choose_execution(net, data.train)))
    )
    if execution.memory_format in find_formats(net, shape, device):
        return execution
    log.warning(
        (
            "this machine cannot run %s, which the sweep has chosen; it runs "
            "contiguous/fp32 instead"
        ),
        execution,
    )
    return Execution(threads=execution.threads)


def _check_fit(model: Mapping[str, Any], data: ImageData) -> None:
    expected = {
        "image_shape": list(data.train.pixels.shape[1:]),
        "num_classes": data.num_classes,
    }
    for name, value in expected.items():
        if model.get(name, value) != value:
            raise ConfigError(
                f"model.{name} `{model[name]}` does not fit data `{data.name}`; "
                f"expected {value}; set model.{name}"
            )


def _check_logits(net: nn.Module, family: str, data: ImageData) -> None:
    with torch.no_grad():
        output = net.eval()(torch.zeros(2, *data.train.pixels.shape[1:]))
    shape = tuple(getattr(output, "shape", ()))
    net.train()
    if shape != (2, data.num_classes):
        raise ConfigError(
            f"model `{family}` gives values {shape} of 2 images; expected logits "
            f"{(2, data.num_classes)}; mend its forward"
        )


def training_of(cfg: DictConfig) -> Training:
    """The training settings of a composed config. Raises
    :class:`~paretune.errors.ConfigError` for an unknown or invalid one.
    """
    settings = to_plain(cfg.trainer)
    if unknown := set(settings) - {field.name for field in fields(Training)}:
        name = min(unknown)
        raise ConfigError(
            f"trainer.{name} `{settings[name]}` is unknown; expected a field of "
            "conf/trainer; leave it out"
        )
    return Training(
        optimizer=hydra.utils.instantiate(cfg.optimizer),
        schedule=hydra.utils.instantiate(cfg.scheduler),
        augment=_augment(cfg),
        seed=cfg.seed,
        progress=sys.stderr.isatty() and sys.stdout.isatty(),
        averaging=Averaging(**settings.pop("averaging")),
        distillation=_distillation(settings.pop("distillation", {}), trusted(cfg)),
        restarts=Restarts(**settings.pop("restarts", {})),
        selection=Selection(**cfg.selection),
        **settings,
    )


def _distillation(settings: Mapping[str, Any], trust: Trust) -> Distillation:
    """Trials of version 0.1.0 have no such settings. ``trust`` comes last: what a
    stored config says of it does not count.
    """
    return Distillation(**{**settings, "trust": trust})


def trusted(cfg: DictConfig) -> Trust:
    """Whose code a stored file may name: that of Paretune, of the folder that the
    command was given in, and of ``trust``.
    """
    folder = HydraConfig.get().runtime.cwd if HydraConfig.initialized() else "."
    return Trust(tuple(OmegaConf.select(cfg, "trust", default=())), Path(folder))


def _augment(cfg: DictConfig) -> Augment | None:
    """The augmentation; ``None`` for ``augment=none``, which then costs nothing."""
    return (
        None
        if cfg.augment._target_ == "paretune.augment.unchanged"
        else hydra.utils.instantiate(cfg.augment)
    )


def _more(trained: Trained) -> dict[str, float]:
    """Figures beyond a point's own: the speed, and the test scores where they were
    asked for.
    """
    figures = {"images_per_s": trained.images_per_s}
    if trained.test:
        figures |= {
            "test_f1": trained.test.f1,
            "test_accuracy": trained.test.accuracy,
            "test_loss": trained.test.loss,
        }
    return figures


def _tell(point: Point, trained: Trained, split: str) -> None:
    log.info(
        (
            "%s, %s parameters: %s F1 %.4f, accuracy %.4f at epoch %d of %d, %.1f s, "
            "%s images/s"
        ),
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
