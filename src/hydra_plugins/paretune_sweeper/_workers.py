"""Workers as Hydra jobs: the launcher starts a few workers, not every trial, and one that dies is replaced."""

import logging
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Thread
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict
from optuna.study import Study
from optuna.trial import TrialState

from hydra_plugins.paretune_sweeper._plan import Plan
from hydra_plugins.paretune_sweeper._trials import HydraTrials
from paretune.errors import SweepError
from paretune.search.study import finished, stopping, terminate_workers, workers_alive
from paretune.search.worker import Interrupted, Sweep, work

__all__ = ["Crew", "Worker", "with_workers"]

log = logging.getLogger(__name__)

BASIC = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"
DEATHS_WITHOUT_PROGRESS = 3


@dataclass(frozen=True)
class Worker:
    """The task of a worker job. It imports nothing heavy before its share of the machine is set."""

    plan: Plan
    context: HydraContext
    task: TaskFunction
    config: DictConfig
    threads: int
    gpu: str | None = None

    def __call__(self, _: DictConfig) -> int:
        """Work until the sweep has its total; returns the number of trials run."""
        os.environ["OMP_NUM_THREADS"] = str(self.threads)  # torch reads it when it is imported
        if self.gpu is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = self.gpu
        if "SLURM_JOB_ID" not in os.environ:  # there, submitit's handlers requeue a pre-empted job
            signal.signal(signal.SIGTERM, signal.default_int_handler)
        trials = HydraTrials(self.context, self.task, self.config)
        sweep = self.plan.sweep(trials)
        try:
            return work(self.plan.open(sweep, trials), sweep, self.plan.objective(sweep, trials))
        except Interrupted:
            log.info("stopped; the trial in flight is in the queue again")
            return 0


@dataclass
class Crew:
    """Keeps ``n_jobs`` workers running until the total is reached, a launch for each, so that none waits for another."""

    study: Study
    sweep: Sweep
    launch: Callable[[int], Any]
    n_jobs: int

    def run(self, tell: Callable[[], None]) -> None:
        """Start the workers and call ``tell`` every second until all are done.

        Raises :class:`~paretune.errors.SweepError` if workers keep dying before they finish a trial.
        """
        self.errors: list[BaseException] = []
        missing = max(self.n_jobs - workers_alive(self.study), 1)  # a killed parent's workers may still be at it
        slots = [Thread(target=self._keep, args=(slot,), daemon=True) for slot in range(missing)]
        for thread in slots:
            thread.start()
        try:
            while any(thread.is_alive() for thread in slots):
                for thread in slots:
                    thread.join(1 / len(slots))
                tell()
        except KeyboardInterrupt:
            terminate_workers(self.study)
            for thread in slots:
                thread.join(15)
            raise Interrupted from None
        if self.errors:
            raise self.errors[0]

    def _keep(self, slot: int) -> None:
        deaths, seen = 0, -1
        while self._needed() and deaths < DEATHS_WITHOUT_PROGRESS:
            try:
                for job in self.launch(slot):
                    _ = job.return_value  # raises what the worker raised
            except SweepError as error:
                self.errors.append(error)
                return
            except Exception as error:
                done = len(finished(self.study))
                deaths, seen = (0 if done > seen else deaths + 1), done
                log.warning("worker %d ended early (%s); starting another", slot, str(error).strip().split("\n")[0])
        if deaths == DEATHS_WITHOUT_PROGRESS:
            message = f"worker {slot} died {deaths} times before it finished a trial; its log is under .submitit"
            self.errors.append(SweepError(message))

    def _needed(self) -> bool:
        """Whether there are trials that no worker has in hand."""
        running = self.study.get_trials(deepcopy=False, states=[TrialState.RUNNING])
        in_hand = min(len(running), workers_alive(self.study))
        return not stopping(self.study) and len(finished(self.study)) + in_hand < self.sweep.n_trials


def gpu_of(slot: int) -> str | None:
    """The GPU of worker number ``slot``: each in turn, shared where there are more workers; ``None`` where there is none.

    Slurm gives its jobs their GPUs itself.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        visible = ",".join(str(i) for i, _ in enumerate(Path("/proc/driver/nvidia/gpus").glob("*")))
    ids = [name for name in visible.split(",") if name]
    return ids[slot % len(ids)] if ids else None


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
    threads = max(1, (os.cpu_count() or 1) // n_jobs)
    worker = Worker(plan, trials.context, trials.task, trials.config, threads)
    folder = "hydra.sweep.subdir=workers/{slot}"

    local = "slurm" not in config.hydra.launcher._target_.lower()

    def launch(slot: int) -> Any:
        own = replace(worker, gpu=gpu_of(slot)) if local else worker
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=trials.context, task_function=own, config=config
        )
        return launcher.launch([[folder.format(slot=slot)]], initial_job_idx=slot)

    return launch
