"""The Hydra app whose configurations are swept."""

from dataclasses import dataclass

from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


@dataclass(frozen=True)
class App:
    """What Hydra gives a sweeper: its own context, the task function, and the composed
    config.
    """

    context: HydraContext
    task: TaskFunction
    config: DictConfig
