"""Composing the app's configuration with overrides."""

from collections.abc import Iterable
from copy import deepcopy
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.object_type import ObjectType
from omegaconf import DictConfig, OmegaConf


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
            config = self.loader.load_sweep_config(self.config, list(lines))
            OmegaConf.set_struct(config, False)
            self._composed[lines] = config
        return self._composed[lines]

    def look_at_defaults(self, config: DictConfig) -> DictConfig:
        """The config with the same options of the groups that are its parts, such as
        the model's, without those that change others, such as a sweep's file or a
        recipe; ``config`` itself where there are none of these.
        """
        parts: list[str] = []
        is_whole = True
        usual = self.look(()).hydra.runtime.choices
        for group, option in config.hydra.runtime.choices.items():
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
        return config.hydra.runtime.choices.get(group)

    def is_group(self, key: str) -> bool:
        """Whether a key is a config group."""
        name = key.lstrip("+")
        if name not in self._are_groups:
            options = self.loader.get_group_options(name, ObjectType.CONFIG)
            self._are_groups[name] = bool(options)
        return self._are_groups[name]
