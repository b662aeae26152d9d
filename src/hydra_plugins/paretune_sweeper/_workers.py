"""Workers as Hydra jobs: the launcher starts a few workers, not every trial, and one that dies is replaced."""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from hydra_plugins.paretune_sweeper._plan import BASIC, Plan
from hydra_plugins.paretune_sweeper._trials import HydraTrials
from paretune.errors import ConfigError
from paretune.search.claims import CREW, this_process
from paretune.search.interrupts import listen, under_slurm
from paretune.search.worker import Interrupted, work

__all__ = ["Worker", "with_workers"]

log = logging.getLogger(__name__)

A_YEAR_MIN = 60 * 24 * 365


@dataclass(frozen=True)
class Worker:
    """The task of a worker job. It imports nothing heavy before its share of the machine is set."""

    plan: Plan
    context: HydraContext
    task: TaskFunction
    config: DictConfig
    threads: int
    crew: str
    at_most: int | None = None
    gpu: str | None = None

    def __call__(self, _: DictConfig) -> int:
        """Work until the sweep has its total; returns the number of trials run."""
        share = os.environ.get("SLURM_CPUS_PER_TASK") if under_slurm() else None  # Slurm gives a job its cores itself
        os.environ["OMP_NUM_THREADS"] = share or str(self.threads)  # torch reads it when it is imported
        if self.gpu is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = self.gpu
        os.environ[CREW] = self.crew
        listen()
        trials = HydraTrials(self.context, self.task, self.config)
        sweep, sampler = self.plan.prepared(trials)
        try:
            return work(self.plan.open(sampler, trials), sweep, self.plan.objective(sweep, trials), self.at_most)
        except (Interrupted, KeyboardInterrupt) as error:
            log.info("stopped; the trial in flight is in the queue again")
            if isinstance(error.__cause__, SystemExit) and under_slurm():
                raise error.__cause__ from None  # submitit has Slurm start this job again
            return 0


def gpu_of(slot: int, per_gpu: int | None) -> str | None:
    """The GPU of worker number ``slot``: each in turn, shared where there are more workers; ``None`` where there is none.

    Raises :class:`~paretune.errors.ConfigError` if that is more than ``per_gpu`` workers for one.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        visible = ",".join(str(i) for i, _ in enumerate(Path("/proc/driver/nvidia/gpus").glob("*")))
    ids = [name for name in visible.split(",") if name]
    if ids and per_gpu and slot >= len(ids) * per_gpu:
        message = (
            f"n_jobs is over what {len(ids)} GPU(s) hold with workers_per_gpu `{per_gpu}`; expected at most "
            f"{len(ids) * per_gpu} workers; lower hydra.sweeper.n_jobs or raise hydra.sweeper.workers_per_gpu"
        )
        raise ConfigError(message)
    return ids[slot % len(ids)] if ids else None


def _cores() -> int:
    """Processors that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux has it, macOS has not
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _watch_slurm() -> None:
    from hydra_plugins.paretune_sweeper._slurm import watch_the_queue

    try:
        watch_the_queue()
    except (OSError, CalledProcessError) as error:
        message = (
            f"launcher `submitit_slurm` finds no Slurm here ({error}); expected squeue and sbatch on the PATH; run this on a "
            f"login node, or use hydra/launcher=submitit_local"
        )
        raise ConfigError(message) from error


def with_workers(plan: Plan, trials: HydraTrials, n_jobs: int) -> Callable[[int], Any]:
    """A function that starts worker number ``slot`` through the app's launcher and waits for it.

    Hydra's own launcher would run one worker after another in this process, so submitit's local one takes its place.
    """
    config = trials.config.copy()
    if config.hydra.launcher._target_ == BASIC:
        Plugins.instance()  # registers the launchers' configs
        node = ConfigStore.instance().load("hydra/launcher/submitit_local.yaml").node
        with open_dict(config):
            config.hydra.launcher = OmegaConf.create(OmegaConf.to_container(node))
            config.hydra.launcher.timeout_min = A_YEAR_MIN  # submitit ends jobs after an hour otherwise
    threads = max(1, _cores() // n_jobs)
    at_most, per_gpu = plan.fields["recycle_after"], plan.fields["workers_per_gpu"]
    worker = Worker(plan, trials.context, trials.task, trials.config, threads, this_process(), at_most)
    local = "slurm" not in config.hydra.launcher._target_.lower()  # Slurm gives its jobs their GPUs itself
    if not local:
        _watch_slurm()
    gpus = [gpu_of(slot, per_gpu) if local else None for slot in range(n_jobs)]
    folder = "hydra.sweep.subdir=workers/{slot}"

    def launch(slot: int) -> Any:
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=trials.context, task_function=replace(worker, gpu=gpus[slot]), config=config
        )
        return launcher.launch([[folder.format(slot=slot)]], initial_job_idx=slot)

    return launch
