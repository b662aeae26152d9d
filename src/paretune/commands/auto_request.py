"""What a person asks ``paretune auto`` for: the config ``conf/auto.yaml`` with the
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
from paretune.cores import count_cores
from paretune.costs import COSTS
from paretune.errors import ConfigError
from paretune.start import to_plain
from paretune.trust import Trust

CONFIG = "auto"
HOUR_S = 3600.0
MOST_WORKERS = 8
# Where a person sets no cap.
USUAL_CAP = "cap.max_params=16000"
# Settings that the same search may be given other values of.
NOT_SEARCHED_BY = ("hours=", "seeds=", "train_on=", "hydra.", "hydra/", "storage=")
# Beginnings of the overrides that say where trainings run, and where what is known of
# them is kept.
PLACES = ("hydra/launcher", "hydra.launcher", "storage=", "store=", "tracking.")
N_JOBS = "hydra.sweeper.n_jobs="
EPOCHS = "trainer.max_epochs="
FOLDS = "selection.folds="
FIRST_RUNG = "hydra.sweeper.race.min_epochs="


@dataclass(frozen=True)
class Request:
    """A person's request.

    ``overrides`` are Hydra's. ``total_s`` are the seconds of all stages. With ``int8``
    the models are confirmed in whole numbers. ``train_on`` is ``None`` where a person
    leaves it to the data.
    """

    name: str
    overrides: tuple[str, ...]
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
        return [line for line in self.overrides if line.startswith(PLACES)]

    def is_set(self, beginning: str) -> bool:
        """Whether a person has set what an override with this beginning sets."""
        return any(line.lstrip("+").startswith(beginning) for line in self.overrides)


def read_request(overrides: Sequence[str]) -> Request:
    """The request that these overrides of ``conf/auto.yaml`` make.

    Raises :class:`~paretune.errors.ConfigError` for settings that cannot work.
    """
    lines = [*overrides]
    if not _has_cap(lines):
        lines.append(USUAL_CAP)
    with composed(CONFIG, lines) as config:
        check_settings(config)
        check_cost(config)
        data: dict[str, Any] = to_plain(config.data)
        choice = config.hydra.runtime.choices.data
        name = config.name or _make_name(str(choice), overrides)
        tracking = to_plain(config.tracking)
        _check_tracking(tracking)
        return Request(
            name=str(name),
            overrides=tuple(lines),
            total_s=config.hours * HOUR_S,
            seeds=config.seeds,
            train_on=config.train_on,
            cost=config.cost,
            int8=config.cap.dtype == "int8",
            n_workers=_find_workers(config, lines),
            data=data,
            tracking=tracking,
            trust=Trust(tuple(config.trust)),
        )


def _has_cap(lines: Sequence[str]) -> bool:
    bounds = [f"cap.{cost.bound}=" for cost in COSTS.values()]
    return any(line.lstrip("+").startswith((*bounds, "cap={")) for line in lines)


def _make_name(data: str, overrides: Sequence[str]) -> str:
    """A name that the same search has again, whatever its hours."""
    lines = [line for line in overrides if not line.startswith(NOT_SEARCHED_BY)]
    digest = hashlib.sha256(" ".join(sorted(lines)).encode()).hexdigest()
    return f"auto-{data}-{digest[:6]}"


def _find_workers(config: DictConfig, lines: Sequence[str]) -> int:
    if any(line.startswith(N_JOBS) for line in lines):
        return int(OmegaConf.select(config, "hydra.sweeper.n_jobs"))
    return min(count_cores(), MOST_WORKERS)


def _check_tracking(tracking: Mapping[str, Any]) -> None:
    if not tracking["uri"]:
        raise ConfigError(
            "tracking.uri `null` keeps no trainings, so that nothing could be confirmed; "
            "leave it out"
        )
