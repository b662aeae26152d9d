"""What is known of a training before it begins: its config as plain data, and what the
model costs. No torch.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from omegaconf import DictConfig, OmegaConf

from paretune import models
from paretune.cap import Cap
from paretune.costs import units
from paretune.data import fit_to_data
from paretune.front import Candidate
from paretune.schema import TrainerSettings
from paretune.settings import without_effect

TRAINED_BY = (
    "model",
    "data",
    "optimizer",
    "scheduler",
    "augment",
    "trainer",
    "selection",
    "cap",
    "seed",
)

log = logging.getLogger(__name__)


def prepare_candidate(cfg: DictConfig, data: str) -> Candidate:
    """The model that a config trains, and what it costs. ``data`` is the name of the
    data set.

    Raises :class:`~paretune.errors.CapError` before torch is imported if the model
    exceeds the cap, and before images are read, unless only they tell their shape.
    """
    config = {name: to_plain(cfg[name]) for name in TRAINED_BY}
    config["model"] = fit_to_data(config["model"], config["data"])
    cap = Cap.of(config["cap"])
    family = models.family_of(config["model"])
    costs = models.measure(config["model"], cap.dtype).costs
    cap.check(family, costs)
    log.info("%s with %s", family, _format_costs(costs))
    return Candidate(
        costs=costs, seed=cfg.seed, family=family, data=data, config=config
    )


def _format_costs(costs: Mapping[str, float]) -> str:
    words: list[str] = []
    for name, unit in units().items():
        if name in costs:
            words.append(f"{costs[name]:,} {unit}")
    return ", ".join(words)


def tell_without_effect(trainer: DictConfig, overrides: Iterable[str]) -> None:
    """Log a warning for each setting of the trainer that ``overrides`` or a config file
    set, and that does nothing as the others are.
    """
    usual = asdict(TrainerSettings())
    named = [override.partition("=")[0].lstrip("+") for override in overrides]
    for line in without_effect(
        {"trainer": to_plain(trainer)}, {"trainer": usual}, named
    ):
        log.warning(line)


def to_plain(node: Any) -> Any:
    """A part of a config as plain data, what it refers to filled in."""
    return (
        OmegaConf.to_container(node, resolve=True)
        if OmegaConf.is_config(node)
        else node
    )
