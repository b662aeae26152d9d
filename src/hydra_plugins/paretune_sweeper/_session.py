"""A whole sweep in this process: prepare, start or resume, close; a worker's part of it; and what the console shows."""

import logging
import shlex
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
from hydra.core.utils import run_job
from hydra.types import HydraContext, TaskFunction
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf, open_dict
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console
from rich.live import Live
from rich.text import Text

from hydra_plugins.paretune_sweeper import SweepOptions
from hydra_plugins.paretune_sweeper._spec import SweepSpec
from hydra_plugins.paretune_sweeper._workers import WorkerJob, WorkerPool, launching
from paretune.errors import Raced
from paretune.front import FAR, UNCAPPED, front_volume
from paretune.search import TrialHandle
from paretune.search.claims import reclaim, this_process
from paretune.search.costs import Caps
from paretune.search.interrupts import listen, under_slurm
from paretune.search.stopping import hypervolume, losses, reference_point
from paretune.search.study import ask_to_stop, finished, running, stopping
from paretune.search.worker import Interrupted, shown, work

log = logging.getLogger(__name__)

Given = tuple[HydraContext, TaskFunction, DictConfig]


class Session:
    """A sweep as this process sees it: what was asked for (``spec``), its space and limits (``sweep``) and its ``study``."""

    def __init__(self, options: SweepOptions, arguments: Sequence[str], given: Given) -> None:
        self.options, (self.context, self.task, self.config) = options, given
        self.work_elsewhere = partial(_work_in_job, options, arguments, given)
        self.spec = SweepSpec(options, arguments, self.context.config_loader, self.config)
        self.sweep, self.study = self.spec.sweep, self.spec.open_study()

    def run(self) -> None:
        """Start the sweep or go on with it, up to its total, and close it."""
        study, limits = self.study, self.sweep.limits
        self.spec.check_same_setup(study)
        ask_to_stop(study, False)
        reclaim(study, limits.retry)
        done, total = len(finished(study)), limits.n_trials
        if done >= total:
            advice = f"nothing is left to train; raise hydra.sweeper.n_trials (now {total}) for more"
            log.info("sweep %s is complete: %d trials are finished, %s", self.sweep.name, done, advice)
        else:
            log.info("sweep %s: %d of %d trials are finished, %d to go", self.sweep.name, done, total, total - done)
            if not self.sweep.space.everything():
                log.info("nothing is searched: the same configuration runs %d times", total)
            for params in self.spec.starts():
                study.enqueue_trial(params, skip_if_exists=True)
        with self._recorded():  # a complete one, too: a parent that was killed has not closed its runs
            if done < total:
                listen()
                limits.begin(study)
                with progress(study, total, self.spec.caps, is_live=self.spec.is_isolated) as tell:
                    if self.spec.is_isolated:
                        self._pool().run(tell)
                    else:
                        work(study, replace(self.sweep, after_trial=tell), self.run_trial, to_the_end=True)
                if reason := limits.reached(study):
                    log.info("sweep %s ends with %d trials: %s", self.sweep.name, len(finished(study)), reason)
        _write_results(study, Path(self.config.hydra.sweep.dir))

    def join(self) -> None:
        """Work on the study until the sweep is over; its parent, wherever that is, prepares and closes it."""
        name, study, n_trials = self.sweep.name, self.study, self.sweep.limits.n_trials
        self.spec.check_same_setup(study)
        listen()
        log.info("joined sweep %s: %d of %d trials are finished", name, len(finished(study)), n_trials)
        try:
            ran = work(study, self.sweep, self.run_trial, self.options.recycle_after, to_the_end=True)
        except (Interrupted, KeyboardInterrupt):
            log.info("stopped; the trial in flight is in the queue again")
            raise SystemExit(130) from None
        log.info("this worker leaves sweep %s after %d trials", name, ran)
        if stopping(study):
            log.warning("sweep %s was stopped; this worker may join again when it goes on", name)
            raise SystemExit(130)

    def run_trial(self, trial: TrialHandle, drawn: list[str]) -> Sequence[float]:
        """Run one trial as Hydra job number ``trial.number`` (about 50 ms on top of the task); raises what the task raises."""
        config = self.context.config_loader.load_sweep_config(self.config, [*self.sweep.space.fixed, *drawn])
        with open_dict(config):
            config.hydra.job.id = f"{trial.sweep}_{trial.number}"
            config.hydra.job.num = trial.number
            config.hydra.sweeper.study_name = trial.sweep
        job = run_job(self.task, config, "hydra.sweep.dir", "hydra.sweep.subdir", self.context)
        if isinstance(job._return_value, Raced):  # no error, as which Hydra would print it
            raise job._return_value
        try:
            return cast("Sequence[float]", job.return_value)
        except Exception:
            _to_files(f"trial {trial.number} failed", sys.exc_info())
            raise

    def _pool(self) -> WorkerPool:
        """Worker processes: the app's launcher starts them."""
        n_jobs, folder = self.options.n_jobs, Path(self.config.hydra.sweep.dir) / ".submitit"
        log.info("starting %d worker(s); their logs are in %s", n_jobs, folder)
        job = WorkerJob(self.work_elsewhere, this_process())
        return WorkerPool(self.study, self.sweep, launching(job, self.context, self.config, self.options), n_jobs)

    @contextmanager
    def _recorded(self) -> Iterator[None]:
        """Tell the recorder how the block began and ended."""
        study, name = self.study, self.sweep.name
        recorder = instantiate(self.options.recorder) if self.options.recorder else None
        if recorder:
            space = self.sweep.space.described()
            caps = self.spec.caps
            facts = {"cap": caps.most.get(caps.axis), "caps": dict(caps.most), "cost": caps.axis, "space": space}
            recorder.start(name, {**facts, "command": resume_command()})
        status = "FAILED"
        try:
            yield
            status = "FINISHED"
        except (Interrupted, KeyboardInterrupt):
            status = "KILLED"
            ask_to_stop(study)  # those who joined from elsewhere, too
            log.warning("sweep %s was stopped; the same command goes on from here: %s", name, resume_command())
            raise SystemExit(130) from None
        finally:
            if recorder:
                failed = [trial for trial in finished(study) if trial.state is TrialState.FAIL]
                reasons = {trial.number: trial.user_attrs.get("reason", "") for trial in failed}
                recorder.finish(status, reasons, {trial.number for trial in running(study)})


def _work_in_job(options: SweepOptions, arguments: Sequence[str], given: Given) -> int:
    """What a worker process does; returns the number of trials that it ran."""
    listen()
    session = Session(options, arguments, given)
    try:
        return work(session.study, session.sweep, session.run_trial, options.recycle_after)
    except (Interrupted, KeyboardInterrupt) as error:
        log.info("stopped; the trial in flight is in the queue again")
        if isinstance(error.__cause__, SystemExit) and under_slurm():
            raise error.__cause__ from None  # submitit has Slurm start this job again
        return 0


def resume_command() -> str:
    """The command that this process was started with."""
    interpreter, *rest = sys.orig_argv
    is_script = bool(rest) and not rest[0].startswith("-") and not rest[0].endswith(".py")
    words = [Path(rest[0]).name, *rest[1:]] if is_script else [Path(interpreter).name, *rest]
    return shlex.join(words)


def _to_files(message: str, error: Any) -> None:
    """A traceback for the log of the trial, which Hydra has set up, and not for the console."""
    record = logging.LogRecord(__name__, logging.ERROR, __file__, 0, message, None, error)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.FileHandler):
            handler.handle(record)


def _write_results(study: Study, folder: Path) -> None:
    """``optimization_results.yaml``, in hydra-optuna-sweeper's form."""
    best = [{"params": trial.params, "values": trial.values} for trial in study.best_trials]
    results: dict[str, Any] = {"name": "optuna"}
    if len(study.directions) == 1:
        results |= {"best_params": best[0]["params"], "best_value": best[0]["values"][0]} if best else {}
    else:
        results["solutions"] = best
    folder.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(OmegaConf.create(results), folder / "optimization_results.yaml")


class Progress:
    """How far a sweep is, on the console: call it often. It logs each newly finished trial once, and the status line.

    Its argument is the number of a trial that this process ran and has logged itself. ``show``, where it is set, shows the
    line instead of the log.
    """

    def __init__(self, study: Study, n_trials: int, caps: Caps) -> None:
        self.study, self.n_trials, self.caps = study, n_trials, caps
        self.logged = {trial.number for trial in finished(study)}
        self.done_before, self.started_s = len(self.logged), time.monotonic()
        self.show: Callable[[str], None] | None = None

    def __call__(self, ran: int | None = None) -> None:
        fresh = [trial for trial in finished(self.study) if trial.number not in self.logged]
        self.logged.update(trial.number for trial in fresh)
        for trial in (trial for trial in fresh if trial.number != ran):
            result = shown(trial.values or ()) or trial.user_attrs.get("reason", "").split("\n")[0][:300]
            log.info("trial %d: %s %s", trial.number, trial.state.name.lower(), result)
        if self.show:
            self.show(self.line())
        elif fresh:
            log.info(self.line())

    def line(self) -> str:
        """Counts of trials, the front, its hypervolume, the best score and its cost, the time to go."""
        done = finished(self.study)
        states = Counter(trial.state for trial in done)
        counts = {
            "failed": states[TrialState.FAIL],
            "raced": states[TrialState.PRUNED],
            "running": len(running(self.study)),
        }
        parts = [f"{len(done)} of {self.n_trials} done", *(f"{n} {state}" for state, n in counts.items() if n)]
        if complete := [trial for trial in done if trial.state is TrialState.COMPLETE]:
            parts += self._scores(complete)
        left, new = self.n_trials - len(done), len(done) - self.done_before
        if left and new > 0:
            parts.append(f"{_duration((time.monotonic() - self.started_s) / new * left)} left")
        return " | ".join(parts)

    def _scores(self, complete: list[FrozenTrial]) -> list[str]:
        points = losses(complete, self.study.directions)
        *costs, score = cast("list[float]", complete[int(points[:, -1].argmin())].values)
        best_score = f"{score:.4f}" if 0 <= score <= 1 else shown([score])
        best = f"best {best_score}" + (f" at {shown(costs)}" if costs else "")
        if not costs:
            return [best]
        on_front = sum(not ((points <= row).all(1) & (points < row).any(1)).any() for row in points)
        volume = self._store_volume(complete)
        volume = hypervolume(points, reference_point(points)) if volume is None else volume
        return [f"front {on_front}", f"hypervolume {volume:.3f}", best]

    def _store_volume(self, complete: list[FrozenTrial]) -> float | None:
        """As the tracking store has it, so that the two agree; ``None`` for other objectives than counts and scores."""
        if [direction.name for direction in self.study.directions] != ["MINIMIZE", "MAXIMIZE"]:
            return None
        costs, scores = np.array([trial.values for trial in complete]).T
        cap, cost = self.caps.most.get(self.caps.axis), self.caps.axis
        farthest = FAR.get(cost, UNCAPPED)
        counts = cap is not None or bool(((costs >= 1) & (costs < farthest) & (costs % 1 == 0)).all())
        in_range = bool(((scores >= 0) & (scores <= 1)).all())
        return front_volume(costs, scores, cap, cost) if counts and in_range else None


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


@contextmanager
def progress(study: Study, n_trials: int, caps: Caps, is_live: bool) -> Iterator[Progress]:
    """The console of a sweep. If ``is_live``, in a terminal, how far it is stays in a line at the bottom."""
    tell = Progress(study, n_trials, caps)
    if not (is_live and sys.stdout.isatty()):
        yield tell
        return
    with Live(Text(""), console=Console(), refresh_per_second=2) as live:
        handlers = [h for h in logging.getLogger().handlers if type(h) is logging.StreamHandler]
        before = [handler.setStream(sys.stdout) for handler in handlers]  # Live prints above itself what goes there
        tell.show = lambda line: live.update(Text(line, no_wrap=True, overflow="ellipsis"))
        try:
            yield tell
        finally:
            for handler, stream in zip(handlers, before, strict=True):
                if stream is not None:
                    handler.setStream(stream)
