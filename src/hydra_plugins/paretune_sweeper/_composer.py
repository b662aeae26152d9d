"""Composing the app's configuration with overrides."""

from collections.abc import Iterable, Sequence
from copy import deepcopy
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.object_type import ObjectType
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf


def list_options(config: DictConfig) -> dict[str, str | None]:
    """The option of each config group that ``config`` was composed with; ``None`` where
    there is none, also if one has to be chosen yet.
    """
    choices = config.hydra.runtime.choices
    options: dict[str, str | None] = {}
    for group in choices:
        is_open = OmegaConf.is_missing(choices, group)
        options[group] = None if is_open else choices[group]
    return options


class Composer:
    """Composes configurations of the app whose sweep has this ``config``."""

    def __init__(self, loader: ConfigLoader, config: DictConfig) -> None:
        self.loader = loader
        self.config = config
        self._composed: dict[tuple[str, ...], DictConfig] = {}
        self._are_groups: dict[str, bool] = {}

    def compose(self, overrides: Iterable[str]) -> DictConfig:
        """The configuration of the app with these overrides; further keys may be
        set.
        """
        return deepcopy(self.look(overrides))

    def look(self, overrides: Iterable[str]) -> DictConfig:
        """The same to be looked at only: each is composed once, which takes Hydra
        some 0.15 s.
        """
        lines = tuple(overrides)
        if lines not in self._composed:
            config = self._load(lines)
            OmegaConf.set_struct(config, False)
            self._composed[lines] = config
        return self._composed[lines]

    def check(self, overrides: Iterable[str]) -> None:
        """Have Hydra raise its own error for overrides that a trial could not have."""
        self.loader.load_sweep_config(self.config, list(overrides))

    def _load(self, lines: Sequence[str]) -> DictConfig:
        """The configuration as Hydra composes that of a trial. A group that has to be
        chosen, but is not, is left out: it may be one that is searched.
        """
        config = self.loader.load_configuration(
            self.config.hydra.job.config_name,
            [*self.config.hydra.overrides.hydra, *lines],
            RunMode.MULTIRUN,
        )
        OmegaConf.copy_cache(from_config=self.config, to_config=config)
        return config

    def look_at_defaults(self, config: DictConfig) -> DictConfig:
        """The config with the same options of the groups that are its parts, such as
        the model's, without those that change others, such as a sweep's file or a
        recipe; ``config`` itself where there are none of these.
        """
        parts: list[str] = []
        is_whole = True
        usual = list_options(self.look(()))
        for group, option in list_options(config).items():
            if group.startswith("hydra/") or option is None:
                continue
            if OmegaConf.is_dict(OmegaConf.select(config, group)):
                plus = "" if group in usual else "+"
                parts.append(f"{plus}{group}={option}")
            else:
                is_whole = False
        if is_whole:
            return config
        return self.look(sorted(parts))

    def choose_option(self, config: DictConfig, group: str) -> Any:
        """The option of a group that a config was composed with."""
        return list_options(config).get(group)

    def is_group(self, key: str) -> bool:
        """Whether a key is a config group."""
        name = key.lstrip("+")
        if name not in self._are_groups:
            options = self.loader.get_group_options(name, ObjectType.CONFIG)
            self._are_groups[name] = bool(options)
        return self._are_groups[name]
