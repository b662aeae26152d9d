"""The class that Hydra finds and calls: it turns the config into plain data and hands over."""

from typing import Any

from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

__all__ = ["ParetuneSweeper"]


class ParetuneSweeper(Sweeper):
    """Runs an Optuna study of any Hydra app; its fields are those of :class:`.config.ParetuneSweeperConf`."""

    def __init__(self, **fields: Any) -> None:
        self.fields = {
            name: OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
            for name, value in fields.items()
        }

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what Hydra gives; nothing heavy happens before :meth:`sweep`."""
        self.given = (hydra_context, task_function, config)

    def sweep(self, arguments: list[str]) -> None:
        """Run, or go on with, the sweep that the command line ``arguments`` describe."""
        # Optuna and SQLAlchemy take half a second to import, which no --help should pay for.
        from hydra_plugins.paretune_sweeper._sweep import run_sweep
        from hydra_plugins.paretune_sweeper._trials import HydraTrials

        run_sweep(self.fields, arguments, HydraTrials(*self.given))
