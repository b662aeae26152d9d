"""A whole sweep in this process: prepare, start or resume, close; and a worker's part
of it.
"""

import logging
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, cast

from hydra.core.utils import run_job
from hydra.types import HydraContext, TaskFunction
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf, open_dict
from optuna.study import Study
from optuna.trial import TrialState

from hydra_plugins.paretune_sweeper import SweepOptions
from hydra_plugins.paretune_sweeper._panel import show_progress
from hydra_plugins.paretune_sweeper._spec import SweepSpec
from hydra_plugins.paretune_sweeper._workers import (
    WORKER_ENDS_WITHIN_S,
    WorkerJob,
    WorkerPool,
    launching,
)
from paretune.errors import Raced, StoreError
from paretune.retry import FaultError, error_of, fault_of, fault_of_file, patience
from paretune.search import TrialHandle
from paretune.search.claims import reclaim, this_process
from paretune.search.cost_ranges import find_ranges
from paretune.search.interrupts import end_soon, listen, under_slurm
from paretune.search.storage import best_trials
from paretune.search.study import (
    ask_to_stop,
    finished,
    name_values,
    running,
    stopping,
    study_id,
)
from paretune.search.worker import Interrupted, work
from paretune.secrets import masked

log = logging.getLogger(__name__)

Given = tuple[HydraContext, TaskFunction, DictConfig]


class Session:
    """A sweep as this process sees it: what was asked for (``spec``), its space and
    limits (``sweep``) and its ``study``.
    """

    def __init__(
        self, options: SweepOptions, arguments: Sequence[str], given: Given
    ) -> None:
        self.options, (self.context, self.task, self.config) = options, given
        self.work_elsewhere = partial(_work_in_job, options, arguments, given)
        self.spec = SweepSpec(
            options, arguments, self.context.config_loader, self.config
        )
        self.sweep, self.study = self.spec.sweep, self.spec.open_study()

    def run(self) -> None:
        """Start the sweep or go on with it, up to its total, and close it."""
        study, limits = self.study, self.sweep.limits
        _keep_the_console_clean()
        recorder = instantiate(self.options.recorder) if self.options.recorder else None
        self.spec.check_searched()
        self._check_in_step(recorder)
        self.spec.check_same_setup(study)
        if names := self.spec.metric_names:
            name_values(study, names)
        ask_to_stop(study, False)
        reclaim(study, limits.retry)
        done, total = len(finished(study)), limits.n_trials
        is_complete = not limits.leaves_room(study, done)
        if is_complete:
            advice = (
                "nothing is left to train; raise hydra.sweeper.n_trials (now "
                f"{total}) for more"
            )
            log.info(
                "sweep %s is complete: %d trials are finished, %s",
                self.sweep.name,
                done,
                advice,
            )
        else:
            log.info(
                "sweep %s: %d of %d trials are finished, %d to go",
                self.sweep.name,
                done,
                total,
                total - done,
            )
            if not self.sweep.space.all_distributions() and not self.sweep.suggest:
                log.info(
                    (
                        "nothing is searched: the same configuration runs %d times, "
                        "which measures its noise"
                    ),
                    total,
                )
            if ranges := find_ranges(self.spec.feasible):
                log.info("what fits: %s", ", ".join(map(str, ranges)))
            for params in self.spec.starts():
                study.enqueue_trial(params, skip_if_exists=True)
        # A complete one, too: a parent that was killed has not closed its runs.
        with self._recorded(recorder):
            if not is_complete:
                listen()
                limits.begin(study)
                with show_progress(
                    study, total, self.spec.caps, is_live=self.spec.is_isolated
                ) as tell:
                    if self.spec.is_isolated:
                        self._pool().run(tell)
                    else:
                        work(
                            study,
                            replace(self.sweep, after_trial=tell),
                            self.run_trial,
                            to_the_end=True,
                        )
                if reason := limits.reached(study):
                    log.info(
                        "sweep %s ends with %s: %s",
                        self.sweep.name,
                        _count_trials(len(finished(study))),
                        reason,
                    )
        _write_results(study, Path(self.config.hydra.sweep.dir))

    def join(self) -> None:
        """Work on the study until the sweep is over; its parent, wherever that is,
        prepares and closes it.
        """
        name, study, n_trials = self.sweep.name, self.study, self.sweep.limits.n_trials
        self.spec.check_same_setup(study)
        listen()
        log.info(
            "joined sweep %s: %d of %d trials are finished",
            name,
            len(finished(study)),
            n_trials,
        )
        try:
            ran = work(
                study,
                self.sweep,
                self.run_trial,
                self.options.recycle_after,
                to_the_end=True,
            )
        except (Interrupted, KeyboardInterrupt):
            log.info("stopped; the trial in flight is in the queue again")
            raise SystemExit(130) from None
        log.info("this worker leaves sweep %s after %d trials", name, ran)
        if stopping(study):
            log.warning(
                "sweep %s was stopped; this worker may join again when it goes on", name
            )
            raise SystemExit(130)

    def run_trial(self, trial: TrialHandle, drawn: list[str]) -> Sequence[float]:
        """Run one trial as Hydra job number ``trial.number`` (about 50 ms on top of the
        task); raises what the task raises.
        """
        config = self.context.config_loader.load_sweep_config(
            self.config, [*self.sweep.space.fixed, *drawn]
        )
        with open_dict(config):
            config.hydra.job.id = f"{trial.sweep}_{trial.number}"
            config.hydra.job.num = trial.number
            config.hydra.sweeper.study_name = trial.sweep
        try:
            job = run_job(
                self.task, config, "hydra.sweep.dir", "hydra.sweep.subdir", self.context
            )
            # No error, as which Hydra would print it.
            if isinstance(job._return_value, Raced):
                raise job._return_value
            return cast("Sequence[float]", job.return_value)
        except (Raced, FaultError):
            raise
        except Exception as error:
            _refuse_broken_folder(error, Path(config.hydra.sweep.dir))
            _to_files(f"trial {trial.number} failed", sys.exc_info())
            raise

    def _pool(self) -> WorkerPool:
        """Worker processes: the app's launcher starts them."""
        n_jobs, folder = (
            self.options.n_jobs,
            Path(self.config.hydra.sweep.dir) / ".submitit",
        )
        log.info("starting %d worker(s); their logs are in %s", n_jobs, folder)
        job = WorkerJob(self.work_elsewhere, this_process())
        return WorkerPool(
            self.study,
            self.sweep,
            launching(job, self.context, self.config, self.options),
            n_jobs,
        )

    def _check_in_step(self, recorder: Any) -> None:
        """Have a recorder that can tell refuse a study that is not of the trials that
        it has recorded.
        """
        if not hasattr(recorder, "compare"):
            return
        trials = self.study.get_trials(deepcopy=False)
        complete = {
            trial.number for trial in trials if trial.state is TrialState.COMPLETE
        }
        storage = self.options.storage or "memory"
        recorder.compare(
            self.sweep.name, storage, study_id(self.study), len(trials), complete
        )

    @contextmanager
    def _recorded(self, recorder: Any) -> Iterator[None]:
        """Tell the recorder how the block began and ended."""
        study, name = self.study, self.sweep.name
        if recorder:
            space = self.sweep.space.describe()
            caps = self.spec.caps
            facts = {
                "cap": caps.most.get(caps.axis),
                "caps": dict(caps.most),
                "cost": caps.axis,
                "space": space,
            }
            recorder.start(
                name, {**facts, "command": resume_command(), "study": study_id(study)}
            )
        status = "FAILED"
        try:
            yield
            status = "FINISHED"
        except (Interrupted, KeyboardInterrupt):
            status = "KILLED"
            self._leave()
        except FaultError:
            # Somebody stopped the sweep while its study was away.
            if patience.is_ended() and not self.spec.is_isolated:
                status = "KILLED"
                self._leave()
            patience.end()
            raise
        finally:
            if recorder:
                _close(recorder, study, status)

    def _leave(self) -> NoReturn:
        """Say how to go on, and leave with exit code 130."""
        end_soon()
        with suppress(FaultError):
            ask_to_stop(self.study)  # those who joined from elsewhere, too
        log.warning(
            "sweep %s was stopped; the same command goes on from here: %s",
            self.sweep.name,
            resume_command(),
        )
        raise SystemExit(130) from None


def _close(recorder: Any, study: Study, status: str) -> None:
    """Tell the recorder that the sweep ended; of one that did not finish, only as far
    as the stores can be used.
    """
    try:
        failed = [trial for trial in finished(study) if trial.state is TrialState.FAIL]
        reasons = {trial.number: trial.user_attrs.get("reason", "") for trial in failed}
        recorder.finish(status, reasons, {trial.number for trial in running(study)})
    except StoreError as error:
        if status == "FINISHED":
            raise
        log.debug(
            "the sweep's runs are closed when the same command goes on (%s)", error
        )


def _refuse_broken_folder(error: Exception, folder: Path) -> None:
    """Raise :class:`~paretune.retry.FaultError` if the trial's ``error`` comes of a
    disk that is full, or of a ``folder`` that is gone.
    """
    if fault := fault_of(error) or fault_of_file(folder):
        raise error_of(fault, f"the folder of the trials `{folder}`") from error


def _keep_the_console_clean() -> None:
    """A log file that cannot be written is no reason for a traceback at each of its
    lines.
    """
    logging.raiseExceptions = False


def _work_in_job(options: SweepOptions, arguments: Sequence[str], given: Given) -> int:
    """What a worker process does; returns the number of trials that it ran."""
    # From a folder of its own, where ``hydra.job.chdir`` has put it.
    os.chdir(given[2].hydra.runtime.cwd)
    _keep_the_console_clean()
    listen(WORKER_ENDS_WITHIN_S)
    session = Session(options, arguments, given)
    try:
        return work(
            session.study, session.sweep, session.run_trial, options.recycle_after
        )
    except (Interrupted, KeyboardInterrupt) as error:
        log.info("stopped; the trial in flight is in the queue again")
        if isinstance(error.__cause__, SystemExit) and under_slurm():
            raise error.__cause__ from None  # submitit has Slurm start this job again
        return 0


def resume_command() -> str:
    """The command that this process was started with; passwords that another app's
    settings may hold are hidden.
    """
    interpreter, *rest = sys.orig_argv
    is_script = (
        bool(rest) and not rest[0].startswith("-") and not rest[0].endswith(".py")
    )
    words = (
        [Path(rest[0]).name, *rest[1:]]
        if is_script
        else [Path(interpreter).name, *rest]
    )
    return shlex.join(map(masked, words))


def _to_files(message: str, error: Any) -> None:
    """A traceback for the log of the trial, which Hydra has set up, and not for the
    console.
    """
    record = logging.LogRecord(
        __name__, logging.ERROR, __file__, 0, message, None, error
    )
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.FileHandler):
            handler.handle(record)


def _write_results(study: Study, folder: Path) -> None:
    """``optimization_results.yaml``, in hydra-optuna-sweeper's form."""
    best = [
        {"params": trial.params, "values": trial.values} for trial in best_trials(study)
    ]
    results: dict[str, Any] = {"name": "optuna"}
    if len(study.directions) == 1:
        results |= (
            {"best_params": best[0]["params"], "best_value": best[0]["values"][0]}
            if best
            else {}
        )
    else:
        results["solutions"] = best
    folder.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(OmegaConf.create(results), folder / "optimization_results.yaml")


def _count_trials(number: int) -> str:
    return "1 trial" if number == 1 else f"{number:,} trials"
