"""The beginning of a training, without torch: its config as plain data, and the costs of
its model.
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
from paretune.settings import list_without_effect

# The sections of a config that a training depends on.
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


def prepare_candidate(config: Mapping[str, Any], data: str) -> Candidate:
    """The model that a plain ``config`` trains, and what it costs. ``data`` is the name
    of the data set.

    Raises :class:`~paretune.errors.CapError` before torch is imported if the model
    exceeds the cap, and before images are read, unless only they tell their shape.
    """
    trained_by = {name: config[name] for name in TRAINED_BY}
    trained_by["model"] = fit_to_data(config["model"], config["data"])
    cap = Cap.of(config["cap"])
    family = models.family_of(trained_by["model"])
    costs = models.measure(trained_by["model"], cap.dtype).costs
    cap.check(family, costs)
    log.info("%s with %s", family, _format_costs(costs))
    return Candidate(
        costs=costs, seed=config["seed"], family=family, data=data, config=trained_by
    )


def _format_costs(costs: Mapping[str, float]) -> str:
    words: list[str] = []
    for name, unit in units().items():
        if name in costs:
            words.append(f"{costs[name]:,} {unit}")
    return ", ".join(words)


def warn_without_effect(trainer: Mapping[str, Any], overrides: Iterable[str]) -> None:
    """Log a warning for each setting of the trainer that ``overrides`` or a config file
    set, and that does nothing as the others are.
    """
    usual = asdict(TrainerSettings())
    named = [override.partition("=")[0].lstrip("+") for override in overrides]
    lines = list_without_effect({"trainer": trainer}, {"trainer": usual}, named)
    for line in lines:
        log.warning(line)


def read_sections(config: DictConfig, names: Iterable[str]) -> dict[str, Any]:
    """These parts of a composed config as plain data, by their names."""
    return {name: to_plain(config[name]) for name in names}


def to_plain(node: Any) -> Any:
    """A part of a config as plain data, what it refers to filled in."""
    if OmegaConf.is_config(node):
        return OmegaConf.to_container(node, resolve=True)
    return node
