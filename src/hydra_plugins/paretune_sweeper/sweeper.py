"""The class that Hydra finds and calls: it turns the config into plain data and hands over."""

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import MISSING, DictConfig, OmegaConf

# A null seed means 0, as every draw derives from (seed, trial number). Fields beyond `_target_` go to the sampler.
SAMPLERS: dict[str, dict[str, Any]] = {
    "front": {"_target_": "paretune.search.front_sampler.FrontSampler", "n_startup": 20},
    "tpe": {
        "_target_": "optuna.samplers.TPESampler",
        "n_startup_trials": 10,
        "n_ei_candidates": 24,
        "multivariate": None,
    },
    "random": {"_target_": "optuna.samplers.RandomSampler"},
    "nsgaii": {
        "_target_": "optuna.samplers.NSGAIISampler",
        "population_size": 50,
        "mutation_prob": None,
        "crossover_prob": 0.9,
        "swapping_prob": 0.5,
    },
    "cmaes": {"_target_": "optuna.samplers.CmaEsSampler", "x0": None, "sigma0": None, "n_startup_trials": 1},
    "gp": {"_target_": "optuna.samplers.GPSampler", "n_startup_trials": 10, "deterministic_objective": False},
    "grid": {"_target_": "paretune.search.samplers.GridSampler"},
    "qmc": {"_target_": "optuna.samplers.QMCSampler", "qmc_type": "sobol", "scramble": True},
}


@dataclass
class CapConf:
    """The hard bound on what a configuration costs."""

    # largest cost that is ever run; null for no cap
    max: int | None = None
    # dotted path of a function from a composed config to its cost, a whole number
    count: str | None = None


@dataclass
class RaceConf:
    """Stopping trials that cannot reach the front; a task takes part by `current_trial().report(epoch, cost, score)`."""

    # at a rung the best 1/eta may go on; null: no race
    eta: int | None = None
    # number of rungs, at min_epochs, min_epochs * eta, ...
    rungs: int = 2
    # epoch of the first rung
    min_epochs: int = 1
    # whoever's error is at most this share above the lowest one that costs no more goes on, too
    margin: float = 0.15


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
    # no further trial starts after so many seconds of one command
    timeout_s: float | None = None
    # the sweep ends once so many trials in a row added no more than the share `tolerance` to the hypervolume
    flat_trials: int | None = None
    tolerance: float = 0.001
    # a trial that runs for longer fails
    trial_timeout_s: float | None = None
    # a worker process is replaced by a fresh one after so many trials
    recycle_after: int | None = None
    # workers that may share a GPU; null: as many as there are
    workers_per_gpu: int | None = None
    # the sweep stops once more than this share of n_trials has failed
    max_failure_rate: float = 0.3
    # a trial whose worker dies is started again this often
    retry: int = 3
    # work on a sweep that was started elsewhere (paretune-worker); start none, and end with it
    join: bool = False
    # search space, in Hydra's sweep grammar
    params: Any = None
    # dotted path of a function (config, optuna trial) that suggests more parameters
    custom_search_space: str | None = None
    # name of a node of the composed config that holds the search space of its config groups
    space: str | None = None
    # nodes of the composed config whose values a study keeps; with others it is another question, and refused
    question: list[str] | None = None
    cap: CapConf = field(default_factory=CapConf)
    race: RaceConf = field(default_factory=RaceConf)
    # any Optuna pruner by `_target_`, for one objective; the task takes part by `current_trial().report(epoch, value)`
    pruner: Any = None
    # object with start(sweep, facts) and finish(status, reasons, running), told of the sweep's life
    recorder: Any = None


store = ConfigStore.instance()
store.store(group="hydra/sweeper", name="paretune", node=ParetuneSweeperConf, provider="paretune")
for name, sampler in SAMPLERS.items():
    store.store(group="hydra/sweeper/sampler", name=name, node={**sampler, "seed": None}, provider="paretune")


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
        from hydra_plugins.paretune_sweeper._session import run_sweep
        from hydra_plugins.paretune_sweeper._spec import TrialRunner

        run_sweep(self.fields, arguments, TrialRunner(*self.given))
