"""``paretune-train``: one training, or with ``-m`` a sweep of them.

Imports of torch, Lightning and MLflow are late, so that ``--help`` and a wrong override answer at once.
"""

import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from paretune import places
from paretune.errors import ConfigError, ParetuneError

if TYPE_CHECKING:
    from paretune.point import Point
    from paretune.search import TrialHandle
    from paretune.tracking import RunRecorder
    from paretune.training.epochs import Epoch
    from paretune.training.module import Augment
    from paretune.training.run import Trained
    from paretune.training.settings import Training

__all__ = ["cli", "count"]

log = logging.getLogger(__name__)

TRAINED_BY = ("model", "data", "optimizer", "scheduler", "augment", "trainer", "selection", "cap", "seed")


@hydra.main(config_path=str(places.CONF), config_name="train", version_base="1.3")
def main(cfg: DictConfig) -> Sequence[float]:
    """Train once; returns (parameters, validation F1)."""
    try:
        point = run(cfg)
    except ParetuneError as error:
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            raise  # the sweep counts a failed trial
        _leave(error)
    return point.params, point.f1


def cli() -> None:
    """Run the command; a person's mistake is one line and exit code 2, not a traceback."""
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # Hydra then raises its errors instead of printing them
    os.environ["PARETUNE_STORE"] = str(places.store())
    try:
        main()
    except (ParetuneError, CompactHydraException, OmegaConfBaseException) as error:
        _leave(error)


def count(cfg: DictConfig) -> int:
    """Trainable parameters of the model of a composed config. A sweep asks this before it proposes a trial."""
    from paretune import models

    return models.count(_plain(cfg.model))


def run(cfg: DictConfig) -> "Point":
    """Train as the composed config says, and record it.

    Raises :class:`~paretune.errors.CapError` before anything is built or read if the model exceeds the cap.
    """
    from paretune import models
    from paretune.budget import Cap
    from paretune.point import Point
    from paretune.search import current_trial

    trial = current_trial()
    if trial and (cfg.test or cfg.selection.split != "validation"):
        setting = "test `true`" if cfg.test else f"selection.split `{cfg.selection.split}`"
        message = f"{setting} would let a sweep see the test set; expected test=false and selection.split=validation in a sweep"
        raise ConfigError(message)
    config = {name: _plain(cfg[name]) for name in TRAINED_BY}
    params, family = models.count(config["model"]), models.family_of(config["model"])
    Cap(**config["cap"]).check(family, params)
    data = HydraConfig.get().runtime.choices["data"]
    start = Point(params=params, f1=float("nan"), seed=cfg.seed, family=family, data=data, config=config)
    log.info("%s with %s parameters", family, f"{params:,}")
    if not cfg.tracking.uri:
        return _train(cfg, start, None)
    with _recorder(cfg, start, trial) as recorder:
        return _train(cfg, start, recorder)


def _train(cfg: DictConfig, start: "Point", recorder: "RunRecorder | None") -> "Point":
    from dataclasses import asdict, replace

    from paretune import models
    from paretune.search import current_trial
    from paretune.training import checkpoint
    from paretune.training.run import fit, seed_everything

    if recorder:
        recorder.start(start)
    training = _training(cfg)
    data = hydra.utils.instantiate(cfg.data).judged_on(training.selection.split)
    seed_everything(cfg.seed)
    net = models.build(start.config["model"])
    trial = current_trial()

    def listener(epoch: "Epoch") -> None:
        if recorder:
            recorder.epoch(epoch.number, asdict(epoch))
        if trial:
            trial.report(epoch.number, start.params, epoch.val_f1)

    trained = fit(net, data, training, listener=listener, test=cfg.test)
    best = trained.best
    point = replace(
        start, f1=best.val_f1, accuracy=best.val_accuracy, loss=best.val_loss, seconds=trained.seconds,
        best_epoch=best.number, run_id=recorder.run_id if recorder else "",
    )  # fmt: skip
    weights = Path(HydraConfig.get().runtime.output_dir) / "weights.pt"
    checkpoint.save(weights, net, start.config)
    if recorder:
        recorder.tag("layout", str(trained.layout))
        recorder.tag("rule", training.selection.rule)
        recorder.finish(point, _more(trained), [weights])
    _tell(point, trained, weights)
    return point


def _training(cfg: DictConfig) -> "Training":
    from paretune.training.averaging import Averaging
    from paretune.training.selection import Selection
    from paretune.training.settings import Training

    plain = _plain(cfg.trainer)
    return Training(
        optimizer=hydra.utils.instantiate(cfg.optimizer),
        schedule=hydra.utils.instantiate(cfg.scheduler),
        augment=_augment(cfg),
        seed=cfg.seed,
        progress=sys.stderr.isatty() and sys.stdout.isatty(),
        averaging=Averaging(**plain.pop("averaging")),
        selection=Selection(**cfg.selection),
        **plain,
    )


def _augment(cfg: DictConfig) -> "Augment | None":
    """The augmentation; ``None`` for ``augment=none``, which then costs nothing."""
    return None if cfg.augment._target_ == "paretune.augment.unchanged" else hydra.utils.instantiate(cfg.augment)


def _recorder(cfg: DictConfig, start: "Point", trial: "TrialHandle | None") -> "RunRecorder":
    from paretune.tracking import RunRecorder, Store

    store = Store(**_plain(cfg.tracking))
    tags = {"data": start.data, "kind": "run"} | ({"recipe": cfg.recipe} if cfg.recipe else {})
    if trial is None:
        return RunRecorder(
            store, cfg.recipe or f"{start.family}-{start.params}", tags=tags, searched={"seed": str(cfg.seed)}
        )
    tags |= {"kind": "trial", "sweep": trial.sweep, "trial": str(trial.number), "attempt": str(trial.attempt)}
    return RunRecorder(store, f"{trial.sweep}-{trial.number:05d}", tags=tags, searched=trial.searched)


def _more(trained: "Trained") -> dict[str, float]:
    """Figures beyond a point's own: the speed, and the test scores where they were asked for."""
    figures = {"images_per_s": trained.images_per_s}
    if trained.test:
        figures |= {
            "test_f1": trained.test.f1,
            "test_accuracy": trained.test.accuracy,
            "test_loss": trained.test.loss,
        }
    return figures


def _tell(point: "Point", trained: "Trained", weights: Path) -> None:
    log.info(
        "%s, %s parameters: validation F1 %.4f, accuracy %.4f at epoch %d of %d, %.1f s, %s images/s",
        point.family, f"{point.params:,}", point.f1, point.accuracy, point.best_epoch, len(trained.epochs),
        point.seconds, f"{trained.images_per_s:,.0f}",
    )  # fmt: skip
    if trained.test:
        log.info(
            "test F1 %.4f, accuracy %.4f (epoch chosen on validation, read once)",
            trained.test.f1,
            trained.test.accuracy,
        )
    log.info("weights in %s", weights)


def _plain(node: Any) -> Any:
    """Config as plain data, interpolations resolved."""
    return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node


def _leave(error: BaseException) -> None:
    print(f"paretune-train: {str(error).strip()}", file=sys.stderr)
    raise SystemExit(2)


if __name__ == "__main__":
    cli()
