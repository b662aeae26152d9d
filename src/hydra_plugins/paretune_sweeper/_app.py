"""The Hydra app whose configurations are swept."""

from dataclasses import dataclass

from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


@dataclass(frozen=True)
class App:
    """The app as Hydra gives it to a sweeper: Hydra's context, the task function, and
    the composed config.
    """

    context: HydraContext
    task: TaskFunction
    config: DictConfig
