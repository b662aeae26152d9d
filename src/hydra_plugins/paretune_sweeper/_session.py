"""A whole sweep in this process: prepare, start or resume, close; and a worker's part
of it.
"""

import logging
import os
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, cast

from hydra.core.utils import run_job
from hydra.utils import instantiate
from omegaconf import OmegaConf, open_dict
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from hydra_plugins.paretune_sweeper import SweepOptions
from hydra_plugins.paretune_sweeper._app import App
from hydra_plugins.paretune_sweeper._forking import ForkServer
from hydra_plugins.paretune_sweeper._launching import WorkerJob, make_launch
from hydra_plugins.paretune_sweeper._panel import show_progress
from hydra_plugins.paretune_sweeper._progress import Progress
from hydra_plugins.paretune_sweeper._spec import SweepSpec
from hydra_plugins.paretune_sweeper._workers import WORKER_ENDS_WITHIN_S, WorkerPool
from paretune.errors import ConfigError, Raced, StoreError
from paretune.retry import FaultError, error_of, fault_of, fault_of_file, patience
from paretune.search import TrialHandle
from paretune.search.asks import describe_share, sum_asks_s
from paretune.search.claims import (
    list_live_crews,
    name_this_process,
    reclaim,
    retry_failed,
)
from paretune.search.cost_ranges import find_ranges
from paretune.search.interrupts import end_soon, exit_code_of, is_under_slurm, listen
from paretune.search.stopping import Limits
from paretune.search.storage import (
    find_best_trials,
    note_on_study,
    read_study_notes,
)
from paretune.search.study import (
    PARENT_RUN,
    ask_to_stop,
    count_failed,
    find_study_id,
    is_stopping,
    list_finished,
    list_running,
    name_values,
)
from paretune.search.trial_end import TrialEnd, describe_end
from paretune.search.worker import AfterTrial, Interrupted, work
from paretune.secrets import masked
from paretune.time_words import format_duration

log = logging.getLogger(__name__)

EXIT_STOPPED = 130  # of a worker whose sweep was stopped elsewhere
LEAST_S = 1e-3
RESULTS_FILE = "optimization_results.yaml"
# What a recorder has that is told how trials end.
END_TRIAL = "end_trial"
CATCH_UP = "catch_up"


class Session:
    """A sweep as this process sees it: what was asked for (``spec``), its space and
    limits (``sweep``) and its ``study``.
    """

    def __init__(
        self, options: SweepOptions, arguments: Sequence[str], app: App
    ) -> None:
        self.options = options
        self.app = app
        self.work_elsewhere = partial(_work_in_job, options, arguments, app)
        self.spec = SweepSpec(options, arguments, app.context.config_loader, app.config)
        self.sweep = self.spec.sweep
        self.study = self.spec.open_study()

    def run(self, server: ForkServer | None = None) -> None:
        """Start the sweep or go on with it, up to its total, and close it; the
        ``server`` may fork its workers.
        """
        _keep_the_console_clean()
        recorder: Any = None
        if self.options.recorder:
            recorder = instantiate(self.options.recorder)
        self._prepare(recorder)
        limits, done = self.sweep.limits, len(list_finished(self.study))
        has_work = limits.leaves_room(self.study, done)
        if has_work:
            self._announce(done)
            for params in self.spec.read_starts():
                self.study.enqueue_trial(params, skip_if_exists=True)
        else:
            self._announce_complete(done)
        # A complete one, too: a parent that was killed has not closed its runs.
        with self._recorded(recorder):
            if has_work:
                listen()
                began_s = time.time()
                limits.begin(self.study)
                with self._showing_progress() as tell:
                    if self.spec.is_isolated:
                        self._make_pool(server).run(tell)
                    else:
                        sweep = replace(
                            self.sweep, after_trial=self.recording(tell, recorder)
                        )
                        work(self.study, sweep, self.run_trial, to_the_end=True)
                self._announce_end(began_s)
        _write_results(self.study, Path(self.app.config.hydra.sweep.dir))

    def _prepare(self, recorder: Any) -> None:
        """Check that the study is of this sweep, and take back what workers that died
        have left in it.
        """
        self.spec.check_searched()
        self._catch_up(recorder)
        self._check_in_step(recorder)
        self.spec.check_same_setup(self.study)
        if names := self.spec.metric_names:
            name_values(self.study, names)
        ask_to_stop(self.study, False)
        reclaim(self.study, self.sweep.limits.retry)
        if self.options.retry_failed:
            self._retry_failed()

    def _retry_failed(self) -> None:
        """Queue the failed trials again. Raises :class:`~paretune.errors.ConfigError`
        while workers are at the sweep: they would take them for failed ones yet.
        """
        if list_live_crews(self.study):
            raise ConfigError(
                "hydra.sweeper.retry_failed `true` needs a sweep that nobody works on, "
                "and workers are running its trials now; stop them first, or leave it "
                "out"
            )
        numbers = retry_failed(self.study)
        if numbers:
            count = len(numbers)
            log.info(
                "%d failed %s again",
                count,
                "trial runs" if count == 1 else "trials run",
            )

    def _announce(self, done: int) -> None:
        log.info(
            "sweep %s: %s", self.sweep.name, _describe_start(done, self.sweep.limits)
        )
        if not self.sweep.space.all_distributions() and not self.sweep.suggest:
            log.info(
                "nothing is searched: the same configuration runs %s, which measures its "
                "noise",
                _describe_repeats(self.sweep.limits.n_trials),
            )
        ranges = find_ranges(self.spec.feasible)
        if ranges:
            log.info("what fits: %s", ", ".join(map(str, ranges)))

    def _announce_complete(self, done: int) -> None:
        log.info(
            "sweep %s is complete: %d trials are finished, nothing is left to train; "
            "raise hydra.sweeper.n_trials (now %s) for more",
            self.sweep.name,
            done,
            self.sweep.limits.n_trials,
        )
        n_failed = count_failed(self.study)
        if n_failed:
            log.info(
                "%d of them failed; once the cause is mended, "
                "hydra.sweeper.retry_failed=true runs those again",
                n_failed,
            )

    def _showing_progress(self) -> AbstractContextManager[Progress]:
        return show_progress(
            self.study,
            self.sweep.limits.n_trials,
            self.spec.caps,
            is_live=self.spec.is_isolated,
        )

    def _announce_end(self, began_s: float) -> None:
        reason = self.sweep.limits.reached(self.study)
        if reason:
            log.info(
                "sweep %s ends with %s: %s",
                self.sweep.name,
                _count_trials(len(list_finished(self.study))),
                reason,
            )
        workers_s = (time.time() - began_s) * self.options.n_jobs
        share = sum_asks_s(self.study, began_s) / max(workers_s, LEAST_S)
        log.info(describe_share(share))

    def join(self) -> None:
        """Work on the study until the sweep is over; its parent, wherever that is,
        prepares and closes it.
        """
        name = self.sweep.name
        self.spec.check_same_setup(self.study)
        listen()
        done = len(list_finished(self.study))
        log.info("joined sweep %s: %s", name, _describe_done(done, self.sweep.limits))
        try:
            ran = work(
                self.study,
                replace(self.sweep, after_trial=self.recording()),
                self.run_trial,
                self.options.recycle_after,
                to_the_end=True,
            )
        except (Interrupted, KeyboardInterrupt) as error:
            log.info("stopped; the trial in flight is in the queue again")
            raise SystemExit(exit_code_of(error)) from None
        log.info("this worker leaves sweep %s after %d trials", name, ran)
        if is_stopping(self.study):
            log.warning(
                "sweep %s was stopped; this worker may join again when it goes on", name
            )
            raise SystemExit(EXIT_STOPPED)

    def run_trial(self, trial: TrialHandle, drawn: list[str]) -> Sequence[float]:
        """Run one trial as Hydra job number ``trial.number`` (about 50 ms on top of the
        task); raises what the task raises.
        """
        config = self.app.context.config_loader.load_sweep_config(
            self.app.config, [*self.sweep.space.fixed, *drawn]
        )
        with open_dict(config):
            config.hydra.job.id = f"{trial.sweep}_{trial.number}"
            config.hydra.job.num = trial.number
            config.hydra.sweeper.study_name = trial.sweep
        try:
            job = run_job(
                self.app.task,
                config,
                "hydra.sweep.dir",
                "hydra.sweep.subdir",
                self.app.context,
            )
            # No error, as which Hydra would print it.
            if isinstance(job._return_value, Raced):
                raise job._return_value
            return cast("Sequence[float]", job.return_value)
        except (Raced, FaultError):
            raise
        except Exception as error:
            _refuse_broken_folder(error, Path(config.hydra.sweep.dir))
            _log_to_files(f"trial {trial.number} failed", sys.exc_info())
            raise

    def recording(
        self, tell: AfterTrial = lambda number: None, recorder: Any = None
    ) -> AfterTrial:
        """What is called after each trial: ``tell``, and before it the ``recorder``, if
        it is one that is told how trials end. A worker makes its own.
        """

        def record_and_tell(number: int | None) -> None:
            nonlocal recorder
            if number is not None and self._is_recorded():
                recorder = recorder or instantiate(self.options.recorder)
                self._record_end(recorder, number)
            tell(number)

        return record_and_tell

    def _is_recorded(self) -> bool:
        """Whether the sweep has a recorder that is told how trials end. A worker may
        have joined before it had.
        """
        if not self.options.recorder:
            return False
        return bool(read_study_notes(self.study).get(PARENT_RUN))

    def _record_end(self, recorder: Any, number: int) -> None:
        """Tell the recorder how a trial ended. What it cannot write now it is told again
        at the end of the sweep, or when that goes on.
        """
        trial = self.study.get_trials(deepcopy=False)[number]
        try:
            recorder.end_trial(self._describe_end(trial), self.spec.caps.axis)
        except FaultError:
            raise
        except StoreError as error:
            log.warning("trial %d is to be recorded later (%s)", number, error)

    def _describe_end(self, trial: FrozenTrial) -> TrialEnd:
        return describe_end(
            self.sweep.name, trial, self.sweep.space, self.spec.directions
        )

    def _catch_up(self, recorder: Any) -> None:
        """Tell the recorder of trials that it may not have been told of, as a worker
        died or the store was away.
        """
        if not hasattr(recorder, CATCH_UP):
            return
        ends = [self._describe_end(trial) for trial in list_finished(self.study)]
        recorder.catch_up(self.sweep.name, ends, self.spec.caps.axis)

    def _make_pool(self, server: ForkServer | None) -> WorkerPool:
        """Worker processes: the server forks them, or the app's launcher starts
        them.
        """
        n_jobs = self.options.n_jobs
        folder = Path(self.app.config.hydra.sweep.dir) / ".submitit"
        log.info("starting %d worker(s); their logs are in %s", n_jobs, folder)
        job = WorkerJob(self.work_elsewhere, name_this_process())
        lines = self.spec.list_worker_lines()
        launch = make_launch(job, self.app, lines, n_jobs, server)
        return WorkerPool(self.study, self.sweep, launch, n_jobs, folder)

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
            self.sweep.name, storage, find_study_id(self.study), len(trials), complete
        )

    @contextmanager
    def _recorded(self, recorder: Any) -> Iterator[None]:
        """Tell the recorder how the block began and ended."""
        if recorder:
            recorder.start(self.sweep.name, self._list_facts())
        has_run = hasattr(recorder, END_TRIAL)
        run_id = getattr(recorder, "run_id", "") if has_run else ""
        note_on_study(self.study, PARENT_RUN, run_id)
        status = "FAILED"
        try:
            yield
            status = "FINISHED"
        except (Interrupted, KeyboardInterrupt) as error:
            status = "KILLED"
            self._leave(error)
        except FaultError as fault:
            # Somebody stopped the sweep while its study was away.
            if patience.is_ended() and not self.spec.is_isolated:
                status = "KILLED"
                self._leave(fault)
            patience.end()
            raise
        finally:
            if recorder:
                with suppress(StoreError):
                    self._catch_up(recorder)
                _close(recorder, self.study, status)

    def _list_facts(self) -> dict[str, Any]:
        """Facts of a sweep that a recorder keeps."""
        caps = self.spec.caps
        return {
            "cap": caps.most.get(caps.axis),
            "caps": dict(caps.most),
            "cost": caps.axis,
            "space": self.sweep.space.describe(),
            "command": resume_command(),
            "study": find_study_id(self.study),
        }

    def _leave(self, error: BaseException) -> NoReturn:
        """Say how to go on, and leave with the exit code of what interrupted."""
        end_soon()
        with suppress(FaultError):
            ask_to_stop(self.study)  # those who joined from elsewhere, too
        log.warning(
            "sweep %s was stopped; the same command goes on from here: %s",
            self.sweep.name,
            resume_command(),
        )
        raise SystemExit(exit_code_of(error)) from None


def _close(recorder: Any, study: Study, status: str) -> None:
    """Tell the recorder that the sweep ended; of one that did not finish, only as far
    as the stores can be used.
    """
    try:
        failed = [
            trial for trial in list_finished(study) if trial.state is TrialState.FAIL
        ]
        reasons = {trial.number: trial.user_attrs.get("reason", "") for trial in failed}
        recorder.finish(
            status, reasons, {trial.number for trial in list_running(study)}
        )
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


def _work_in_job(options: SweepOptions, arguments: Sequence[str], app: App) -> int:
    """Run trials in a worker process; returns their number."""
    # From a folder of its own, where ``hydra.job.chdir`` has put it.
    os.chdir(app.config.hydra.runtime.cwd)
    _keep_the_console_clean()
    listen(WORKER_ENDS_WITHIN_S)
    session = Session(options, arguments, app)
    try:
        sweep = replace(session.sweep, after_trial=session.recording())
        return work(session.study, sweep, session.run_trial, options.recycle_after)
    except (Interrupted, KeyboardInterrupt) as error:
        log.info("stopped; the trial in flight is in the queue again")
        if isinstance(error.__cause__, SystemExit) and is_under_slurm():
            raise error.__cause__ from None  # submitit has Slurm start this job again
        return 0


def resume_command() -> str:
    """The command that this process was started with; passwords that another app's
    settings may hold are hidden.
    """
    interpreter, *rest = sys.orig_argv
    words = [Path(interpreter).name, *rest]
    if rest and not rest[0].startswith("-") and not rest[0].endswith(".py"):
        program, *arguments = rest
        words = [Path(program).name, *arguments]
    return shlex.join(map(masked, words))


def _log_to_files(message: str, error: Any) -> None:
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
    """Write the best trials to a file in hydra-optuna-sweeper's form."""
    best: list[dict[str, Any]] = []
    for trial in find_best_trials(study):
        best.append({"params": trial.params, "values": trial.values})
    results: dict[str, Any] = {"name": "optuna"}
    if len(study.directions) > 1:
        results["solutions"] = best
    elif best:
        results["best_params"] = best[0]["params"]
        results["best_value"] = best[0]["values"][0]
    folder.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(OmegaConf.create(results), folder / RESULTS_FILE)


def _describe_start(done: int, limits: Limits) -> str:
    """How far a sweep is, and how far it goes."""
    words = _describe_done(done, limits)
    if limits.n_trials is not None:
        return f"{words}, {limits.n_trials - done} to go"
    if limits.timeout_s is not None:
        return f"{words}, it goes on for {format_duration(limits.timeout_s)}"
    return words


def _describe_done(done: int, limits: Limits) -> str:
    if limits.n_trials is None:
        return f"{_count_trials(done)} finished"
    return f"{done} of {limits.n_trials} trials are finished"


def _describe_repeats(n_trials: int | None) -> str:
    return "again and again" if n_trials is None else f"{n_trials} times"


def _count_trials(number: int) -> str:
    return "1 trial" if number == 1 else f"{number:,} trials"
