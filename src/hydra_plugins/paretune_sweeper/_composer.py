"""Composing the app's configuration with overrides."""

from collections.abc import Iterable

from hydra.core.config_loader import ConfigLoader
from hydra.core.object_type import ObjectType
from omegaconf import DictConfig, OmegaConf


class Composer:
    """Composes configurations of the app whose sweep has this ``config``."""

    def __init__(self, loader: ConfigLoader, config: DictConfig) -> None:
        self.loader = loader
        self.config = config

    def compose(self, overrides: Iterable[str]) -> DictConfig:
        """The configuration of the app with these overrides; further keys may be
        set.
        """
        config = self.loader.load_sweep_config(self.config, list(overrides))
        OmegaConf.set_struct(config, False)
        return config

    def is_group(self, key: str) -> bool:
        """Whether a key is a config group."""
        name = key.lstrip("+")
        return bool(self.loader.get_group_options(name, ObjectType.CONFIG))
