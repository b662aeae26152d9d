"""The fields of ``hydra/sweeper: paretune`` and its samplers.

Fields that hydra-optuna-sweeper has too keep their name and meaning.
"""

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

SAMPLERS = {
    "front": "paretune.search.front_sampler.FrontSampler",
    "tpe": "optuna.samplers.TPESampler",
    "random": "optuna.samplers.RandomSampler",
    "nsgaii": "optuna.samplers.NSGAIISampler",
    "cmaes": "optuna.samplers.CmaEsSampler",
    "gp": "optuna.samplers.GPSampler",
    "qmc": "optuna.samplers.QMCSampler",
}


@dataclass
class CapConf:
    """The hard bound on what a configuration costs."""

    # largest cost that is ever run; null for no cap
    max: int | None = None
    # dotted path of a function from a composed config to its cost, a whole number
    count: str | None = None


@dataclass
class ParetuneSweeperConf:
    """One field a line; the comment above it says what it is."""

    defaults: list[Any] = field(default_factory=lambda: [{"sampler": "tpe"}])
    _target_: str = "hydra_plugins.paretune_sweeper.sweeper.ParetuneSweeper"
    _recursive_: bool = False
    # any Optuna sampler by `_target_`
    sampler: Any = MISSING
    # minimize or maximize; a list for several objectives
    direction: Any = "minimize"
    # SQLAlchemy URL of the study; null keeps it in memory
    storage: str | None = None
    # the study's name; null makes one from the command line, so that the same command resumes it
    study_name: str | None = None
    # total number of trials, over all workers and restarts
    n_trials: int = 20
    # parallel workers
    n_jobs: int = 1
    # the sweep stops once more than this share of n_trials has failed
    max_failure_rate: float = 0.3
    # a trial whose worker dies is started again this often
    retry: int = 3
    # search space, in Hydra's sweep grammar
    params: Any = None
    # name of a node of the composed config that holds the search space of its config groups
    space: str | None = None
    cap: CapConf = field(default_factory=CapConf)
    # object with start(sweep, facts) and finish(status), told of the sweep's life
    recorder: Any = None


@dataclass
class SamplerConf:
    """An Optuna sampler; a null seed means 0, as every draw derives from (seed, trial number)."""

    _target_: str = MISSING
    seed: int | None = None


store = ConfigStore.instance()
store.store(group="hydra/sweeper", name="paretune", node=ParetuneSweeperConf, provider="paretune")
for name, target in SAMPLERS.items():
    node = SamplerConf(_target_=target)
    store.store(group="hydra/sweeper/sampler", name=name, node=node, provider="paretune")
