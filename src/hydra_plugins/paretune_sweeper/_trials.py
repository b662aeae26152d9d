"""A trial as a Hydra job in this process: composed, run and logged as Hydra's own sweeper would."""

import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from hydra.core.object_type import ObjectType
from hydra.core.utils import run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from paretune.errors import Raced
from paretune.search.handle import TrialHandle

__all__ = ["HydraTrials"]


class HydraTrials:
    """Composes configurations and runs them (about 50 ms a trial on top of the task itself)."""

    def __init__(self, context: HydraContext, task: TaskFunction, config: DictConfig) -> None:
        self.context, self.task, self.config = context, task, config
        setup_globals()
        self._base = lru_cache(maxsize=64)(self._compose)
        self._counted = lru_cache(maxsize=64)(self._compose)  # its values are those that were counted last

    def is_group(self, key: str) -> bool:
        """Whether ``key`` (perhaps one to add, ``+key``) is a config group."""
        return bool(self.context.config_loader.get_group_options(key.lstrip("+"), ObjectType.CONFIG))

    def own_space(self, node: str | None, overrides: list[str]) -> Mapping[str, Any]:
        """The search space that the configuration with these overrides holds at ``node``."""
        found = OmegaConf.select(self._base(tuple(overrides)), node) if node else None
        return {} if found is None else {str(key): value for key, value in found.items()}

    def chosen(self, overrides: list[str]) -> dict[str, str]:
        """The option of every config group of the app with these overrides."""
        choices = self._base(tuple(overrides)).hydra.runtime.choices
        return {name: str(option) for name, option in choices.items() if not name.startswith("hydra/")}

    def settings(self, nodes: Sequence[str], overrides: list[str]) -> dict[str, str]:
        """Every value below ``nodes`` of the configuration with these overrides, by its full name."""
        found = {node: OmegaConf.select(self._base(tuple(overrides)), node) for node in nodes}
        plain = {
            node: OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
            for node, value in found.items()
        }
        return {name: str(value) for node in plain for name, value in _leaves(node, plain[node])}

    def composed(self, overrides: list[str]) -> DictConfig:
        """The configuration with these overrides."""
        return self._compose(tuple(overrides))

    def counter(self, count: Callable[[DictConfig], int]) -> Callable[[list[str], Mapping[str, Any]], int]:
        """``count`` of the configuration that fixed overrides (groups included) and drawn values make.

        Composing takes Hydra 40 ms, so the fixed part is composed once; every draw sets the same keys of it.
        """

        def counted(fixed: list[str], drawn: Mapping[str, Any]) -> int:
            config = self._counted(tuple(fixed))
            for key, value in drawn.items():
                plain = OmegaConf.create(f"v: {value}").v if isinstance(value, str) else value
                OmegaConf.update(config, key.lstrip("+"), plain)
            return count(config)

        return counted

    def run(self, trial: TrialHandle, overrides: list[str]) -> Sequence[float]:
        """Run one trial as job number ``trial.number``; raises what the task raises."""
        config = self.context.config_loader.load_sweep_config(self.config, overrides)
        with open_dict(config):
            config.hydra.job.id = f"{trial.sweep}_{trial.number}"
            config.hydra.job.num = trial.number
            config.hydra.sweeper.study_name = trial.sweep
        job = run_job(
            hydra_context=self.context,
            task_function=self.task,
            config=config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )
        if isinstance(job._return_value, Raced):  # no error, as which Hydra would print it
            raise job._return_value
        try:
            returned: Sequence[float] = job.return_value
        except Exception:
            _to_files(f"trial {trial.number} failed", sys.exc_info())
            raise
        return returned

    def _compose(self, overrides: tuple[str, ...]) -> DictConfig:
        config = self.context.config_loader.load_sweep_config(self.config, list(overrides))
        OmegaConf.set_struct(config, False)
        return config


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, held in value.items():
            yield from _leaves(f"{name}.{key}", held)
    else:
        yield name, value


def _to_files(message: str, error: Any) -> None:
    """A traceback for the log of the trial, which Hydra has set up, and not for the console."""
    record = logging.LogRecord(__name__, logging.ERROR, __file__, 0, message, None, error)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.FileHandler):
            handler.handle(record)
