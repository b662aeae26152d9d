"""The request of a person to ``paretune auto``: the config ``conf/auto.yaml`` with the
arguments, as plain data.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from paretune.commands.checking import check_cost, check_settings
from paretune.commands.composing import composed
from paretune.confirmation import TRAIN_AND_VAL
from paretune.cores import count_cores
from paretune.costs import COSTS
from paretune.errors import ConfigError
from paretune.start import to_plain
from paretune.trust import OF_A_TRAINING, Trust

CONFIG = "auto"
HOUR_S = 3600.0
MOST_WORKERS = 8
# Where a person sets no cap.
USUAL_CAP = "cap.max_params=16000"
# Settings that the same search may be given other values of.
NOT_SEARCHED_BY = (
    "hours=",
    "seeds=",
    "train_on=",
    "trust=",
    "hydra.",
    "hydra/",
    "storage=",
)
# Beginnings of the overrides that say where trainings run, and where what is known of
# them is kept.
PLACES = ("hydra/launcher", "hydra.launcher", "storage=", "store=", "tracking.")
# Beginnings of the overrides that the command writes where a person has not.
SET_NAME = "name="
SET_WORKERS = "hydra.sweeper.n_jobs="
SET_EPOCHS = "trainer.max_epochs="
SET_FOLDS = "selection.folds="
SET_EPOCH = "selection.epoch="
SET_RUNGS = "hydra.sweeper.race.rungs="
SET_FIRST_RUNG = "hydra.sweeper.race.min_epochs="
LEAST_HOURS = 0.005


@dataclass(frozen=True)
class Request:
    """A person's request.

    ``overrides`` are Hydra's. ``epochs`` and ``folds`` are those of a training in the
    search, where a person has set them. ``total_s`` are the seconds of all stages. With
    ``int8``
    the models are confirmed in whole numbers. ``train_on`` is ``None`` where a person
    leaves it to the data.
    """

    name: str
    overrides: tuple[str, ...]
    epochs: int | None
    folds: int | None
    total_s: float
    seeds: int
    train_on: str | None
    cost: str
    int8: bool
    n_workers: int
    data: Mapping[str, Any]
    tracking: Mapping[str, Any]
    trust: Trust

    @property
    def folder(self) -> Path:
        """The folder of all that is written."""
        from paretune.reports.files import folder_of

        return folder_of(self.name)

    @property
    def places(self) -> list[str]:
        """The overrides that later stages have, too."""
        return [line for line in self.overrides if _begins(line, PLACES)]

    def is_set(self, beginning: str) -> bool:
        """Whether a person has set what an override with this beginning sets."""
        return _is_set(self.overrides, beginning)


def _begins(line: str, beginnings: tuple[str, ...]) -> bool:
    """Whether an override line begins so, with a plus before it or without."""
    return line.lstrip("+~").startswith(beginnings)


def _is_set(lines: Sequence[str], beginning: str) -> bool:
    return any(_begins(line, (beginning,)) for line in lines)


def read_request(overrides: Sequence[str]) -> Request:
    """The request that these overrides of ``conf/auto.yaml`` make.

    Raises :class:`~paretune.errors.ConfigError` for settings that cannot work.
    """
    lines = [*overrides]
    _refuse_overrides(lines)
    if not _has_cap(lines):
        lines.append(USUAL_CAP)
    with composed(CONFIG, lines) as config:
        check_settings(config)
        check_cost(config)
        trust = Trust(tuple(config.trust))
        _check(config, trust)
        data: dict[str, Any] = to_plain(config.data)
        choice = config.hydra.runtime.choices.data
        name = config.name or _make_name(str(choice), overrides)
        tracking = to_plain(config.tracking)
        trainer, selection = config.trainer, config.selection
        return Request(
            name=str(name),
            overrides=tuple(lines),
            epochs=trainer.max_epochs if _is_set(lines, SET_EPOCHS) else None,
            folds=selection.folds if _is_set(lines, SET_FOLDS) else None,
            total_s=config.hours * HOUR_S,
            seeds=config.seeds,
            train_on=config.train_on,
            cost=config.cost,
            int8=config.cap.dtype == "int8",
            n_workers=_find_workers(config, lines),
            data=data,
            tracking=tracking,
            trust=trust,
        )


def _refuse_overrides(lines: Sequence[str]) -> None:
    """Raise :class:`~paretune.errors.ConfigError` for what the command decides by
    itself.
    """
    for line in lines:
        if _begins(line, ("sweeps=",)):
            raise ConfigError(
                f"`{line}` brings a sweep, and paretune auto makes its own; run paretune "
                "sweep, or write the file's settings as arguments"
            )
        if _begins(line, ("hydra.sweeper.timeout_s=",)):
            raise ConfigError(
                f"`{line}` sets the time of the search, which is half of the hours; set "
                "hours"
            )


def _check(config: DictConfig, trust: Trust) -> None:
    """Raise an error for what would end the command after hours, such as code that is
    not trusted, which later stages read from the store.
    """
    if not to_plain(config.tracking)["uri"]:
        raise ConfigError(
            "tracking.uri `null` keeps no trainings, so that nothing could be confirmed; "
            "leave it out"
        )
    if config.hours < LEAST_HOURS:
        raise ConfigError(
            f"hours `{config.hours}` leaves no time for a search; set hours to "
            f"{LEAST_HOURS} or more"
        )
    if config.train_on == TRAIN_AND_VAL and "splitting" not in config.data:
        raise ConfigError(
            f"train_on `{TRAIN_AND_VAL}` has no effect on data without a splitting; "
            "leave it out"
        )
    plain = {name: to_plain(config[name]) for name in OF_A_TRAINING}
    trust.check(plain, "the search", OF_A_TRAINING)


def _has_cap(lines: Sequence[str]) -> bool:
    bounds = [f"cap.{cost.bound}=" for cost in COSTS.values()]
    return any(_begins(line, (*bounds, "cap={")) for line in lines)


def _make_name(data: str, overrides: Sequence[str]) -> str:
    """A name that the same search has again, whatever its hours."""
    lines = [line for line in overrides if not line.startswith(NOT_SEARCHED_BY)]
    digest = hashlib.sha256(" ".join(sorted(lines)).encode()).hexdigest()
    return f"auto-{data}-{digest[:6]}"


def _find_workers(config: DictConfig, lines: Sequence[str]) -> int:
    if _is_set(lines, SET_WORKERS):
        return int(OmegaConf.select(config, "hydra.sweeper.n_jobs"))
    return min(count_cores(), MOST_WORKERS)
