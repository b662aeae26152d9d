"""Workers as Hydra jobs: the launcher starts a few workers, not every trial, and one that dies is replaced."""

import logging
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from subprocess import CalledProcessError
from threading import Thread
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict
from optuna.exceptions import StorageInternalError
from optuna.study import Study

from hydra_plugins.paretune_sweeper._plan import BASIC, Plan
from hydra_plugins.paretune_sweeper._trials import HydraTrials
from paretune.errors import ConfigError, SweepError
from paretune.search.claims import kill_overdue, kill_workers, reclaim, starts, workers_alive
from paretune.search.interrupts import listen, under_slurm
from paretune.search.study import ask_to_stop, finished, running, stopping
from paretune.search.worker import Interrupted, Sweep, work

__all__ = ["Crew", "Worker", "with_workers"]

log = logging.getLogger(__name__)

DEATHS_WITHOUT_PROGRESS = 3
DRAIN_S = 13
A_YEAR_MIN = 60 * 24 * 365


@dataclass(frozen=True)
class Worker:
    """The task of a worker job. It imports nothing heavy before its share of the machine is set."""

    plan: Plan
    context: HydraContext
    task: TaskFunction
    config: DictConfig
    threads: int
    at_most: int | None = None
    gpu: str | None = None

    def __call__(self, _: DictConfig) -> int:
        """Work until the sweep has its total; returns the number of trials run."""
        share = os.environ.get("SLURM_CPUS_PER_TASK", self.threads)  # Slurm gives a job its cores itself
        os.environ["OMP_NUM_THREADS"] = str(share)  # torch reads it when it is imported
        if self.gpu is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = self.gpu
        listen()
        trials = HydraTrials(self.context, self.task, self.config)
        sweep = self.plan.sweep(trials)
        try:
            return work(self.plan.open(sweep, trials), sweep, self.plan.objective(sweep, trials), self.at_most)
        except (Interrupted, KeyboardInterrupt) as error:
            log.info("stopped; the trial in flight is in the queue again")
            if isinstance(error.__cause__, SystemExit) and under_slurm():
                raise error.__cause__ from None  # submitit has Slurm start this job again
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
            self._watch(slots, tell)
        except KeyboardInterrupt:
            ask_to_stop(self.study)
            log.warning("stopping: workers put their trials back, in %d s at most; Ctrl-C again kills them", DRAIN_S)
            self._drain(slots)
            raise Interrupted from None
        if self.errors:
            raise self.errors[0]

    def _watch(self, slots: Sequence[Thread], tell: Callable[[], None]) -> None:
        while any(thread.is_alive() for thread in slots):
            for thread in slots:
                thread.join(1 / len(slots))
            with suppress(StorageInternalError):  # a busy database is asked again
                kill_overdue(self.study, self.sweep.limits.trial_timeout_s)
                tell()

    def _drain(self, slots: Sequence[Thread]) -> None:
        deadline_s = time.monotonic() + DRAIN_S
        try:
            for thread in slots:
                thread.join(max(0.0, deadline_s - time.monotonic()))
        except KeyboardInterrupt:
            kill_workers(self.study)
        else:
            if any(thread.is_alive() for thread in slots):
                kill_workers(self.study)
        for thread in slots:
            thread.join(1.0)
        reclaim(self.study, self.sweep.limits.retry)

    def _keep(self, slot: int) -> None:
        deaths, seen = 0, starts(self.study)
        while deaths < DEATHS_WITHOUT_PROGRESS:
            try:
                if self._over():
                    return
                if self._needed():
                    for job in self.launch(slot):
                        _ = job.return_value  # raises what the worker raised
                else:
                    time.sleep(1)  # the last trials are in other hands, which may drop them
            except SweepError as error:
                self.errors.append(error)
                return
            except StorageInternalError:
                time.sleep(1)  # a busy database is asked again
            except Exception as error:
                begun = starts(self.study)
                deaths, seen = (0 if begun > seen else deaths + 1), begun
                if not stopping(self.study):
                    log.warning("worker %d ended early (%s); starting another", slot, str(error).strip().split("\n")[0])
        message = f"worker {slot} died {deaths} times before it began a trial; its log is under .submitit"
        self.errors.append(SweepError(message))

    def _over(self) -> bool:
        return stopping(self.study) or bool(self.sweep.limits.reached(self.study))

    def _needed(self) -> bool:
        """Whether there are trials that no worker has in hand."""
        in_hand = min(len(running(self.study)), workers_alive(self.study))
        return len(finished(self.study)) + in_hand < self.sweep.limits.n_trials


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
    threads = max(1, len(os.sched_getaffinity(0)) // n_jobs)
    at_most, per_gpu = plan.fields["recycle_after"], plan.fields["workers_per_gpu"]
    worker = Worker(plan, trials.context, trials.task, trials.config, threads, at_most)
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
