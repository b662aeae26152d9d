"""Whether trials run in processes of their own, and who starts these."""

from omegaconf import DictConfig

from hydra_plugins.paretune_sweeper import SweepOptions

HYDRAS_LAUNCHER = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"


def uses_hydras_launcher(config: DictConfig) -> bool:
    """Whether the app's launcher is Hydra's own, which runs jobs in this process."""
    return bool(config.hydra.launcher._target_ == HYDRAS_LAUNCHER)


def is_isolated(options: SweepOptions, config: DictConfig) -> bool:
    """Whether trials run in worker processes, which can be killed and replaced, rather
    than in this one.
    """
    if options.n_jobs > 1 or options.trial_timeout_s or options.recycle_after:
        return True
    return not uses_hydras_launcher(config)
