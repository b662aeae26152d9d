"""How workers are started: through the app's own launcher, each as a job of Hydra."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from hydra_plugins.paretune_sweeper._app import App
from hydra_plugins.paretune_sweeper._forking import (
    ForkServer,
    run_forked,
)
from hydra_plugins.paretune_sweeper._isolation import uses_hydras_launcher
from hydra_plugins.paretune_sweeper._slurm import watch_queue
from paretune.cores import count_threads
from paretune.overrides import STUDY_NAME, quote
from paretune.search.claims import POOL_ID_ENV, is_process_alive
from paretune.search.interrupts import end_with, is_under_slurm

YEAR_MIN = 60 * 24 * 365
LOCAL = "hydra/launcher/submitit_local.yaml"
NVIDIA_GPUS = Path("/proc/driver/nvidia/gpus")

Launch = Callable[[int], Any]  # of the number of a worker's slot


@dataclass(frozen=True)
class WorkerJob:
    """The task of a worker job: it takes its share of the machine, and then works. It
    imports nothing heavy before.

    ``parent`` is the name of the process that launches it.
    """

    work: Callable[[], int]
    parent: str
    threads: int = 1
    gpu: str | None = None

    def __call__(self, _: DictConfig) -> int:
        """Work until the sweep has its total; returns the number of trials run."""
        # Slurm gives a job its cores itself.
        share = os.environ.get("SLURM_CPUS_PER_TASK") if is_under_slurm() else None
        # Torch reads it when it is imported.
        os.environ["OMP_NUM_THREADS"] = share or str(self.threads)
        if self.gpu is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = self.gpu
        os.environ[POOL_ID_ENV] = self.parent
        # Jobs of a cluster may outlive the login node's process, and are taken over by
        # the next.
        if not is_under_slurm():
            end_with(partial(is_process_alive, self.parent))
        return self.work()


def make_launch(
    job: WorkerJob,
    app: App,
    lines: Sequence[str],
    n_jobs: int,
    server: ForkServer | None = None,
) -> Launch:
    """A function that starts worker number ``slot`` of ``n_jobs`` and waits for it.

    It is forked by the ``server`` where there is one that can, else started through the
    app's launcher. The worker's config is composed with the override ``lines``, which
    are those of the command.
    """
    config = app.config.copy()
    _choose_launcher(config, app.context)
    job = replace(job, threads=count_threads(n_jobs))
    gpus: list[str] = []
    # Slurm gives its jobs their GPUs itself.
    if "slurm" in config.hydra.launcher._target_.lower():
        watch_queue()
    else:
        gpus = list_gpus()

    # Hydra composes a worker's config anew; without a name of its own the sweep would
    # have another folder there
    name = f"{STUDY_NAME}={quote(config.hydra.sweeper.study_name)}"

    def launch(slot: int) -> Any:
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=app.context,
            task_function=replace(job, gpu=choose_gpu(slot, gpus)),
            config=config,
        )
        overrides = [*lines, name, f"hydra.sweep.subdir=workers/{slot}"]
        if server:
            result = run_forked(server, launcher, overrides, slot)
            if result is not None:
                return [result]
        return launcher.launch([overrides], initial_job_idx=slot)

    return launch


def _choose_launcher(config: DictConfig, context: HydraContext) -> None:
    """Put submitit's local launcher in the place of Hydra's own, which would run one
    worker after another in this process; without a time limit, unless somebody set one.
    """
    launcher = config.hydra.launcher
    if uses_hydras_launcher(config):
        with open_dict(config):
            local = OmegaConf.to_container(_load_local_launcher())
            config.hydra.launcher = OmegaConf.create(local)
            config.hydra.launcher.timeout_min = YEAR_MIN
        return
    is_local = "local" in launcher._target_.lower()
    if is_local and not has_time_limit(context, config):
        with open_dict(config):
            launcher.timeout_min = YEAR_MIN


def has_time_limit(context: HydraContext, config: DictConfig) -> bool:
    """Whether anybody set ``timeout_min`` of submitit's local launcher, be it to its
    default, on the command line or in a file.

    A default of an hour would end a worker amid a trial. What was set to the default is
    told by composing the config again with another default: it stays.
    """
    minutes = config.hydra.launcher.timeout_min
    if minutes != _load_local_launcher().timeout_min:
        return True
    overrides = [*config.hydra.overrides.hydra, *config.hydra.overrides.task]
    with _another_time_limit():
        again = context.config_loader.load_configuration(
            config.hydra.job.config_name, overrides, RunMode.MULTIRUN
        )
    return bool(again.hydra.launcher.timeout_min == minutes)


def _load_local_launcher() -> DictConfig:
    """The settings that submitit's local launcher has by default."""
    Plugins.instance()  # registers them
    node: DictConfig = ConfigStore.instance().load(LOCAL).node
    return node


@contextmanager
def _another_time_limit() -> Iterator[None]:
    """A context in which the default ``timeout_min`` of submitit's local launcher is a
    year.
    """
    store, usual = ConfigStore.instance(), ConfigStore.instance().load(LOCAL)
    keep = partial(
        store.store,
        Path(LOCAL).stem,
        group=usual.group,
        package=usual.package,
        provider=usual.provider,
    )
    other = _load_local_launcher()
    other.timeout_min = YEAR_MIN
    keep(other)
    try:
        yield
    finally:
        keep(usual.node)


def list_gpus() -> list[str]:
    """The GPUs that this process may use, by their numbers or names."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return [str(number) for number, _ in enumerate(NVIDIA_GPUS.glob("*"))]
    return [name for name in visible.split(",") if name]


def choose_gpu(slot: int, gpus: list[str]) -> str | None:
    """The GPU of worker number ``slot``: each in turn, shared where there are more
    workers; ``None`` where there is none.
    """
    if not gpus:
        return None
    return gpus[slot % len(gpus)]
