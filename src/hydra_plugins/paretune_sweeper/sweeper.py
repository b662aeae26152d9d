"""The class that Hydra finds and calls: it turns the config into plain options and
hands over.
"""

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.errors import CompactHydraException
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from hydra_plugins.paretune_sweeper import SweepOptions
from hydra_plugins.paretune_sweeper._app import App
from hydra_plugins.paretune_sweeper._forking import forking
from paretune.errors import ParetuneError
from paretune.extras import describe_missing
from paretune.paths import sqlite_url

GENETIC = {
    "population_size": 50,
    "mutation": None,
    "mutation_prob": None,
    "crossover": None,
    "crossover_prob": 0.9,
    "swapping_prob": 0.5,
    "constraints_func": None,
}
OF_CMAES = (
    "x0",
    "sigma0",
    "independent_sampler",
    "warn_independent_sampling",
    "consider_pruned_trials",
    "restart_strategy",
    "popsize",
    "inc_popsize",
    "use_separable_cma",
    "with_margin",
    "lr_adapt",
    "source_trials",
)
# Fields beyond `_target_` go to the sampler; one that is null is left to it. A null
# seed means 0, as every draw derives from (seed, trial number).
SAMPLERS: dict[str, dict[str, Any]] = {
    "front": {
        "_target_": "paretune.search.front_sampler.FrontSampler",
        "n_startup": 20,
        "start_exponent": 0.3,
        "exponent": 0.0,
    },
    "tpe": {
        "_target_": "optuna.samplers.TPESampler",
        "n_startup_trials": 10,
        "n_ei_candidates": 24,
        "multivariate": None,
        "group": None,
        "constant_liar": None,
        "constraints_func": None,
    },
    "random": {"_target_": "optuna.samplers.RandomSampler"},
    "nsgaii": {"_target_": "optuna.samplers.NSGAIISampler", **GENETIC},
    "nsgaiii": {
        "_target_": "optuna.samplers.NSGAIIISampler",
        **GENETIC,
        "reference_points": None,
        "dividing_parameter": 3,
    },
    "cmaes": {
        "_target_": "optuna.samplers.CmaEsSampler",
        "n_startup_trials": 1,
        **dict.fromkeys(OF_CMAES),
    },
    "gp": {
        "_target_": "optuna.samplers.GPSampler",
        "n_startup_trials": 10,
        "deterministic_objective": False,
        "independent_sampler": None,
        "constraints_func": None,
        "warn_independent_sampling": None,
    },
    "grid": {"_target_": "paretune.search.grid_sampler.GridSampler", "shuffle": True},
    "qmc": {
        "_target_": "optuna.samplers.QMCSampler",
        "qmc_type": "sobol",
        "scramble": True,
        "independent_sampler": None,
        "warn_asynchronous_seeding": None,
        "warn_independent_sampling": None,
    },
}


@dataclass
class ParetuneSweeperConf(SweepOptions):
    """The options as Hydra's config store has them."""

    defaults: list[Any] = field(default_factory=lambda: [{"sampler": "tpe"}])
    _target_: str = "hydra_plugins.paretune_sweeper.sweeper.ParetuneSweeper"
    _recursive_: bool = False


store = ConfigStore.instance()
store.store(
    group="hydra/sweeper",
    name="paretune",
    node=ParetuneSweeperConf,
    provider="paretune",
)
for name, sampler in SAMPLERS.items():
    store.store(
        group="hydra/sweeper/sampler",
        name=name,
        node={**sampler, "seed": None},
        provider="paretune",
    )


def _sqlite_url(folder: str, file: str) -> str:
    return sqlite_url(f"{folder}/{file}")


# ${sqlite_url:FOLDER,FILE} in configs.
OmegaConf.register_new_resolver("sqlite_url", _sqlite_url, replace=True)


class ParetuneSweeper(Sweeper):
    """Runs an Optuna study of any Hydra app, as
    :class:`~hydra_plugins.paretune_sweeper.SweepOptions` say.
    """

    def __init__(self, **fields: Any) -> None:
        plain: dict[str, Any] = {
            name: OmegaConf.to_object(value) if OmegaConf.is_config(value) else value
            for name, value in fields.items()
        }
        self.options = SweepOptions(**plain)

    def setup(
        self,
        *,
        hydra_context: HydraContext,
        task_function: TaskFunction,
        config: DictConfig,
    ) -> None:
        """Keep the app; nothing heavy happens before :meth:`sweep`."""
        self.app = App(hydra_context, task_function, config)

    def sweep(self, arguments: list[str]) -> None:
        """Run, or go on with, the sweep that the command line ``arguments`` describe. A
        person's mistake is one line.
        """
        with forking(self.options, self.app.config) as server:
            # Optuna and SQLAlchemy take half a second to import, which no --help should
            # pay for.
            from hydra_plugins.paretune_sweeper._session import Session

            try:
                session = Session(self.options, arguments, self.app)
                if self.options.join:
                    session.join()
                else:
                    session.run(server)
            except ParetuneError as error:
                # Hydra prints a traceback of all but its own.
                raise CompactHydraException(str(error)) from error
            except ModuleNotFoundError as error:
                missing = describe_missing(error)
                if missing is None:
                    raise
                raise CompactHydraException(missing) from error
