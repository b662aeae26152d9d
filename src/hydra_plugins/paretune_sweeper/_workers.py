"""Workers as Hydra jobs: the launcher starts a few workers, not every trial, and one
that dies is replaced.
"""

import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from subprocess import CalledProcessError
from threading import Event, Lock, Thread
from typing import Any

import psutil
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from optuna.study import Study
from submitit.slurm.slurm import SlurmInfoWatcher, SlurmJob, read_job_id

from hydra_plugins.paretune_sweeper import SweepOptions
from hydra_plugins.paretune_sweeper._spec import BASIC_LAUNCHER
from paretune.errors import ConfigError, SweepError, first_line
from paretune.overrides import STUDY_NAME, quoted
from paretune.retry import FaultError, patience
from paretune.search.claims import (
    POOL_ID_ENV,
    in_hand,
    is_process_alive,
    kill_overdue,
    kill_workers,
    reclaim,
    starts,
    this_process,
    workers_alive,
)
from paretune.search.interrupts import end_with, last_act, under_slurm
from paretune.search.storage import refuse_broken
from paretune.search.study import ask_to_stop, finished, running, stopping
from paretune.search.worker import Interrupted, Sweep

log = logging.getLogger(__name__)

A_YEAR_MIN = 60 * 24 * 365
LOCAL = "hydra/launcher/submitit_local.yaml"
# Of all threads that wait, so that a hundred do not keep the database busy.
ASKS_A_SECOND = 16
DEATHS_WITHOUT_PROGRESS = 3
DRAIN_S = 8
# After SIGTERM, so that its parent, which has END_WITHIN_S, can close what it leaves.
WORKER_ENDS_WITHIN_S = 7.0
LAST_KILLS_S = 1.5
FAULTY_DRAIN_S = 1.0  # for workers whose store fails
DELAY_S = 15
QUEUE = ("squeue", "--me", "--states=all", "--noheader", "--array", "--format=%i|%T|%N")
GONE = {"State": "GONE", "NodeList": ""}


class QueueWatcher(SlurmInfoWatcher):
    """Asks ``squeue``, which every cluster has, instead of ``sacct``, which needs an
    accounting database, every few seconds.

    submitit asks ``sacct`` every ten minutes: so long would a killed worker go
    unnoticed. A job that the queue has no more is done, whatever became of it; its
    result file says whether it went well.
    """

    def __init__(self, delay_s: int) -> None:
        super().__init__(delay_s)
        self._asked: set[str] = set()
        self._lock = Lock()

    def update(self) -> None:
        """Ask; one thread at a time, as each waits for a job of its own."""
        with self._lock:
            super().update()

    def _make_command(self) -> list[str] | None:
        # one that is submitted while the queue is asked is not in the answer
        self._asked = self._registered - self._finished
        return list(QUEUE) if self._asked else None

    def read_info(self, string: bytes | str) -> dict[str, dict[str, str]]:
        """State and nodes of every job that was asked for, by its id."""
        text = string.decode() if isinstance(string, bytes) else string
        known: dict[str, dict[str, str]] = {}
        for line in text.splitlines():
            job, state, nodes = line.strip().split("|")
            known["_".join(read_job_id(job)[0][:2])] = {
                "State": state,
                "NodeList": nodes,
            }
        return {job: known.get(job, GONE) for job in self._asked}

    def cancel_waiting(self) -> None:
        """Take the jobs that have not begun out of the queue; those that were seen to
        run are not asked about again.
        """
        begun = {
            job for job, known in self._info_dict.items() if known["State"] == "RUNNING"
        }
        if jobs := self._registered - self._finished - begun:
            subprocess.run(
                ["scancel", "--quiet", "--state=PENDING", *sorted(jobs)],
                check=False,
                capture_output=True,
            )


def watch_the_queue() -> None:
    """Have submitit watch Slurm jobs this way in this process.

    Raises :class:`~paretune.errors.ConfigError` where there is no Slurm.
    """
    try:
        subprocess.run(["squeue", "--version"], check=True, capture_output=True)
    except (OSError, CalledProcessError) as error:
        raise ConfigError(
            f"launcher `submitit_slurm` finds no Slurm here ({error}); expected "
            "squeue and sbatch on the PATH; run this on a "
            f"login node, or use hydra/launcher=submitit_local"
        ) from error
    if not queue_watcher():
        SlurmJob.watcher = QueueWatcher(delay_s=DELAY_S)


def queue_watcher() -> QueueWatcher | None:
    """What watches the Slurm jobs of this process, if it has any."""
    return SlurmJob.watcher if isinstance(SlurmJob.watcher, QueueWatcher) else None


@dataclass
class WorkerPool:
    """Keeps ``n_jobs`` workers running until the total is reached, a launch for each,
    so that none waits for another.
    """

    study: Study
    sweep: Sweep
    launch: Callable[[int], Any]
    n_jobs: int
    errors: list[BaseException] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)
    launched: int = 0
    is_ending: Event = field(default_factory=Event)
    name: str = field(default_factory=this_process)

    def run(self, tell: Callable[[], None]) -> None:
        """Start the workers and call ``tell`` every second until all are done.

        Raises :class:`~paretune.errors.SweepError` if workers keep dying before they
        finish a trial.
        """
        slots = [
            Thread(target=self._keep, args=(slot,), daemon=True)
            for slot in range(self.n_jobs)
        ]
        for thread in slots:
            thread.start()
        with last_act(kill_children):
            try:
                self._watch(slots, tell)
            except KeyboardInterrupt:
                self._stop(slots)
                raise Interrupted("the sweep was stopped") from None
            except FaultError as fault:
                # Somebody stopped the sweep while its study was away.
                if patience.is_ended():
                    self._stop(slots)
                    raise Interrupted("the sweep was stopped") from fault
                patience.end()
                self._drain(slots, FAULTY_DRAIN_S)
                raise
            finally:
                self.is_ending.set()
        if self.errors and not self.sweep.limits.reached(self.study):
            raise self.errors[0]

    def _watch(self, slots: Sequence[Thread], tell: Callable[[], None]) -> None:
        while any(thread.is_alive() for thread in slots):
            for thread in slots:
                thread.join(1 / len(slots))
            if patience.is_ended():  # SIGTERM came where Python swallows what it raises
                raise KeyboardInterrupt
            self._refuse_faults()
            kill_overdue(self.study, self.sweep.limits.trial_timeout_s)
            if (watcher := queue_watcher()) and self._is_over():
                # On a busy cluster the parent would wait for hours for a worker that
                # finds nothing to do.
                watcher.cancel_waiting()
            tell()

    def _refuse_faults(self) -> None:
        """Raise the :class:`~paretune.retry.FaultError` that a worker met, or of a
        study that cannot be used any more.
        """
        for error in self.errors:
            if isinstance(error, FaultError):
                raise error
        refuse_broken(self.study)

    def _stop(self, slots: Sequence[Thread]) -> None:
        patience.end()
        self.is_ending.set()
        log.warning(
            (
                "stopping: workers put their trials back, in %d s at most; Ctrl-C "
                "again kills them"
            ),
            DRAIN_S,
        )
        with suppress(FaultError):
            ask_to_stop(self.study)
        self._drain(slots, DRAIN_S)
        with suppress(FaultError):
            reclaim(self.study, self.sweep.limits.retry)

    def _drain(self, slots: Sequence[Thread], drain_s: float) -> None:
        self.is_ending.set()
        deadline_s = time.monotonic() + drain_s
        if watcher := queue_watcher():
            watcher.cancel_waiting()
        tell_children()  # those who cannot read the study's flag
        with suppress(KeyboardInterrupt, FaultError):
            while time.monotonic() < deadline_s and self._has_trials():
                time.sleep(0.2)
        with suppress(FaultError):
            kill_workers(self.study)
        self._kill_children(slots)  # one without a trial has nothing to put back

    def _kill_children(self, slots: Sequence[Thread]) -> None:
        """Kill the workers, also those that are just being launched: without a parent
        one may wait a minute for its job.
        """
        deadline_s = time.monotonic() + LAST_KILLS_S
        kill_children()
        while (
            any(thread.is_alive() for thread in slots) and time.monotonic() < deadline_s
        ):
            time.sleep(0.1)
            kill_children()

    def _keep(self, slot: int) -> None:
        try:
            self._keep_going(slot)
        except FaultError as error:
            self.errors.append(error)

    def _keep_going(self, slot: int) -> None:
        deaths, seen = 0, starts(self.study)
        while deaths < DEATHS_WITHOUT_PROGRESS and not self.is_ending.is_set():
            try:
                if stopping(self.study) or self.sweep.limits.reached(self.study):
                    return
                if self._needed() and self._has_room():
                    self._launch(slot)
                else:  # trials are in other hands, which may drop them
                    self.is_ending.wait(max(1.0, self.n_jobs / ASKS_A_SECOND))
            except FaultError:
                raise
            except SweepError as error:
                self.errors.append(error)
                return
            except Exception as error:
                refuse_broken(self.study)
                begun = starts(self.study)
                deaths, seen = (0 if begun > seen else deaths + 1), begun
                if not self.is_ending.is_set() and not self._is_over():
                    log.warning(
                        "worker %d ended early (%s); starting another",
                        slot,
                        first_line(error),
                    )
        if not self.is_ending.is_set():
            self.errors.append(
                SweepError(
                    f"worker {slot} died {deaths} times before it began a trial; its "
                    "log is under .submitit"
                )
            )

    def _has_trials(self) -> bool:
        """Whether workers of this process have a trial in hand."""
        return self.name in workers_alive(self.study)

    def _launch(self, slot: int) -> None:
        try:
            for job in self.launch(slot):
                _ = job.return_value  # raises what the worker raised
        finally:
            with self.lock:
                self.launched -= 1

    def _is_over(self) -> bool:
        try:
            return stopping(self.study) or bool(self.sweep.limits.reached(self.study))
        except SweepError:  # too many have failed, which the next launch reports
            return True

    def _needed(self) -> bool:
        """Whether there are trials that no worker has in hand."""
        kept = len(in_hand(self.study, running(self.study)))
        return self.sweep.limits.leaves_room(
            self.study, len(finished(self.study)) + kept
        )

    def _has_room(self) -> bool:
        """Whether there is room for one more worker, which is then counted; a killed
        parent's may still be at it.
        """
        with self.lock:
            others = [
                crew
                for crew in workers_alive(self.study)
                if crew not in ("", self.name)
            ]
            room = self.launched + len(others) < self.n_jobs
            self.launched += room
        return room


@dataclass(frozen=True)
class WorkerJob:
    """The task of a worker job: it takes its share of the machine, and then works. It
    imports nothing heavy before.
    """

    work: Callable[[], int]
    crew: str
    threads: int = 1
    gpu: str | None = None

    def __call__(self, _: DictConfig) -> int:
        """Work until the sweep has its total; returns the number of trials run."""
        # Slurm gives a job its cores itself.
        share = os.environ.get("SLURM_CPUS_PER_TASK") if under_slurm() else None
        # Torch reads it when it is imported.
        os.environ["OMP_NUM_THREADS"] = share or str(self.threads)
        if self.gpu is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = self.gpu
        os.environ[POOL_ID_ENV] = self.crew
        # Jobs of a cluster may outlive the login node's process, and are taken over by
        # the next.
        if not under_slurm():
            end_with(partial(is_process_alive, self.crew))
        return self.work()


def tell_children() -> None:
    """Ask the worker processes that this process launched to end."""
    _signal_children(signal.SIGTERM)


def kill_children() -> None:
    """Kill the worker processes that this process launched, also those that have not
    claimed a trial yet.
    """
    _signal_children(signal.SIGKILL)


def _signal_children(number: signal.Signals) -> None:
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            if any(word.startswith("submitit.") for word in child.cmdline()):
                child.send_signal(number)


def launching(
    job: WorkerJob, context: HydraContext, config: DictConfig, options: SweepOptions
) -> Callable[[int], Any]:
    """A function that starts worker number ``slot`` through the app's launcher and
    waits for it.

    Hydra's own launcher would run one worker after another in this process, so
    submitit's local one takes its place.
    """
    config = config.copy()
    if config.hydra.launcher._target_ == BASIC_LAUNCHER:
        with open_dict(config):
            config.hydra.launcher = OmegaConf.create(
                OmegaConf.to_container(_local_launcher())
            )
            config.hydra.launcher.timeout_min = A_YEAR_MIN
    elif "local" in config.hydra.launcher._target_.lower() and not has_time_limit(
        context, config
    ):
        with open_dict(config):
            config.hydra.launcher.timeout_min = A_YEAR_MIN
    job = replace(job, threads=max(1, _cores() // options.n_jobs))
    gpus: list[str | None] = [None] * options.n_jobs
    # Slurm gives its jobs their GPUs itself.
    if "slurm" in config.hydra.launcher._target_.lower():
        watch_the_queue()
    else:
        gpus = [gpu_of(slot, options.workers_per_gpu) for slot in range(options.n_jobs)]

    # Hydra composes a worker's config anew; without a name of its own the sweep would
    # have another folder there
    name = f"{STUDY_NAME}={quoted(config.hydra.sweeper.study_name)}"

    def launch(slot: int) -> Any:
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=context,
            task_function=replace(job, gpu=gpus[slot]),
            config=config,
        )
        return launcher.launch(
            [[name, f"hydra.sweep.subdir=workers/{slot}"]], initial_job_idx=slot
        )

    return launch


def has_time_limit(context: HydraContext, config: DictConfig) -> bool:
    """Whether anybody set ``timeout_min`` of submitit's local launcher, be it to its
    default, on the command line or in a file.

    A default of an hour would end a worker amid a trial. What was set to the default is
    told by composing the config again with another default: it stays.
    """
    minutes = config.hydra.launcher.timeout_min
    if minutes != _local_launcher().timeout_min:
        return True
    overrides = [*config.hydra.overrides.hydra, *config.hydra.overrides.task]
    with _another_time_limit():
        again = context.config_loader.load_configuration(
            config.hydra.job.config_name, overrides, RunMode.MULTIRUN
        )
    return bool(again.hydra.launcher.timeout_min == minutes)


def _local_launcher() -> DictConfig:
    """The settings that submitit's local launcher has by default."""
    Plugins.instance()  # registers them
    node = ConfigStore.instance().load(LOCAL).node
    assert isinstance(node, DictConfig)
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
    other = _local_launcher()
    other.timeout_min = A_YEAR_MIN
    keep(other)
    try:
        yield
    finally:
        keep(usual.node)


def gpu_of(slot: int, per_gpu: int | None) -> str | None:
    """The GPU of worker number ``slot``: each in turn, shared where there are more
    workers; ``None`` where there is none.

    Raises :class:`~paretune.errors.ConfigError` if that is more than ``per_gpu``
    workers for one.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        visible = ",".join(
            str(i) for i, _ in enumerate(Path("/proc/driver/nvidia/gpus").glob("*"))
        )
    ids = [name for name in visible.split(",") if name]
    if ids and per_gpu and slot >= len(ids) * per_gpu:
        raise ConfigError(
            f"n_jobs is over what {len(ids)} GPU(s) hold with workers_per_gpu "
            f"`{per_gpu}`; expected at most "
            f"{len(ids) * per_gpu} workers; lower hydra.sweeper.n_jobs or raise "
            "hydra.sweeper.workers_per_gpu"
        )
    return ids[slot % len(ids)] if ids else None


def _cores() -> int:
    """Processors that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux has it, macOS has not
    return len(affinity(0)) if affinity else os.cpu_count() or 1
