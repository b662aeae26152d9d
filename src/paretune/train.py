"""``paretune-train``: one training, or with ``-m`` a sweep of them.

Imports of torch, Lightning and MLflow are late, so that ``--help`` and a wrong override answer at once.
"""

import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from paretune import paths
from paretune.cli import exit_on_mistake
from paretune.errors import ConfigError
from paretune.paths import refuse_passwords

if TYPE_CHECKING:
    from paretune.front import Point
    from paretune.search import TrialHandle
    from paretune.tracking import RunRecorder

__all__ = ["cli", "count", "worker_cli"]

JOIN = "hydra.sweeper.join=true"


@hydra.main(config_path=str(paths.CONF), config_name="train", version_base="1.3")
def main(cfg: DictConfig) -> Sequence[float]:
    """Train once; returns (parameters, validation F1)."""
    sweep = HydraConfig.get().mode == RunMode.MULTIRUN  # counts a failed trial
    with nullcontext() if sweep else exit_on_mistake(_command(), CompactHydraException):
        point = run(cfg)
    return point.params, point.f1


def cli() -> None:
    """Run the command; a person's mistake is one line and exit code 2, not a traceback."""
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # Hydra then raises its errors instead of printing them
    os.environ["PARETUNE_STORE"] = str(paths.store())
    with exit_on_mistake(_command(), CompactHydraException, OmegaConfBaseException):
        refuse_passwords(*sys.argv[1:])  # before Hydra saves them
        main()


def worker_cli() -> None:
    """Run ``paretune-worker``: join the sweep that the same arguments started elsewhere, until it is over."""
    sys.argv[1:] = ["-m", JOIN, *sys.argv[1:]]
    cli()


def count(cfg: DictConfig) -> int:
    """Trainable parameters of the model of a composed config. A sweep asks this before it proposes a trial.

    Raises :class:`~paretune.errors.ConfigError` if no sweep may run it.
    """
    from paretune import models

    _refuse_test_set(cfg)
    model: Any = OmegaConf.to_container(cfg.model, resolve=True)
    return models.count(model)


def run(cfg: DictConfig) -> "Point":
    """Train as the composed config says, and record it.

    Raises :class:`~paretune.errors.CapError` before anything is built or read if the model exceeds the cap.
    """
    from paretune.experiment import start_point, train_recorded
    from paretune.search import current_trial

    trial = current_trial()
    if trial:
        _refuse_test_set(cfg)
    elif cfg.selection.epoch != "last":
        _refuse_seen_validation(cfg, "with selection.epoch `best`")
    start = start_point(cfg, HydraConfig.get().runtime.choices["data"])
    if not cfg.tracking.uri:
        return train_recorded(cfg, start, None)
    with _recorder(cfg, start, trial) as recorder:
        return train_recorded(cfg, start, recorder)


def _refuse_test_set(cfg: DictConfig) -> None:
    _refuse_seen_validation(cfg, "in a sweep")
    if cfg.test or cfg.selection.split != "validation":
        setting = "test `true`" if cfg.test else f"selection.split `{cfg.selection.split}`"
        message = f"{setting} would let a sweep see the test set; expected test=false and selection.split=validation in a sweep"
        raise ConfigError(message)


def _refuse_seen_validation(cfg: DictConfig, where: str) -> None:
    if OmegaConf.select(cfg, "data.splitting.train_on_val"):
        raise ConfigError(
            f"data.splitting.train_on_val `true` {where} would choose by images that were trained on; expected false; "
            f"set it for a last training, with selection.epoch=last"
        )


def _recorder(cfg: DictConfig, start: "Point", trial: "TrialHandle | None") -> "RunRecorder":
    from paretune.tracking import RunRecorder, Store

    tracking: Any = OmegaConf.to_container(cfg.tracking, resolve=True)
    store = Store(**tracking)
    tags = {"data": start.data, "kind": "run"} | ({"recipe": cfg.recipe} if cfg.recipe else {})
    if trial is None:
        return RunRecorder(
            store, cfg.recipe or f"{start.family}-{start.params}", tags=tags, searched={"seed": str(cfg.seed)}
        )
    tags |= {"kind": "trial", "sweep": trial.sweep, "trial": str(trial.number), "attempt": str(trial.attempt)}
    again = ("sweep", "trial") if trial.attempt else ()
    return RunRecorder(store, f"{trial.sweep}-{trial.number:05d}", tags=tags, searched=trial.searched, replaces=again)


def _command() -> str:
    return "paretune-worker" if JOIN in sys.argv else "paretune-train"


if __name__ == "__main__":
    cli()
