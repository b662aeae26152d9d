"""A whole sweep, as the parent sees it: prepare, start or resume, close."""

import logging
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from hydra.utils import instantiate
from omegaconf import OmegaConf, open_dict
from optuna.study import Study
from optuna.trial import TrialState
from rich.console import Console
from rich.live import Live
from rich.text import Text

from hydra_plugins.paretune_sweeper._spec import SweepSpec, TrialRunner, name_of
from hydra_plugins.paretune_sweeper._workers import WorkerPool, with_workers
from paretune.search.claims import reclaim
from paretune.search.interrupts import listen
from paretune.search.stopping import Clock, shown, status_line
from paretune.search.study import GROUP, ask_to_stop, check_same_setup, finished, running, stopping
from paretune.search.worker import Interrupted, Sweep, work

log = logging.getLogger(__name__)


class Tell(Protocol):
    """Called often, or with the number of a trial that this process has told of."""

    def __call__(self, own: int | None = None) -> None: ...


@contextmanager
def narrated(study: Study, n_trials: int, live: bool) -> Iterator[Tell]:
    """A function to call often: it logs each newly finished trial once, and how far the sweep is.

    The number given to it is of a trial that this process ran, and has told of. With ``live``, in a terminal, how far the
    sweep is stands in a line that stays at the bottom.
    """
    told = {trial.number for trial in finished(study)}
    clock = Clock(len(told))

    def line() -> str:
        return status_line(study, n_trials, clock)

    def news(own: int | None = None) -> bool:
        fresh = [trial for trial in finished(study) if trial.number not in told]
        told.update(trial.number for trial in fresh)
        for trial in (trial for trial in fresh if trial.number != own):
            said = shown(trial.values or ()) or trial.user_attrs.get("reason", "").split("\n")[0][:300]
            log.info("trial %d: %s %s", trial.number, trial.state.name.lower(), said)
        return bool(fresh)

    if live and sys.stdout.isatty():
        with _bottom_line() as show:

            def tell(own: int | None = None) -> None:
                news(own)
                show(line())

            yield tell
    else:
        yield lambda own=None: log.info(line()) if news(own) else None


@contextmanager
def _bottom_line() -> Iterator[Callable[[str], None]]:
    with Live(Text(""), console=Console(), refresh_per_second=2) as live:
        handlers = [h for h in logging.getLogger().handlers if type(h) is logging.StreamHandler]
        before = [handler.setStream(sys.stdout) for handler in handlers]  # Live prints above itself what goes there
        try:
            yield lambda line: live.update(Text(line, no_wrap=True, overflow="ellipsis"))
        finally:
            for handler, stream in zip(handlers, before, strict=True):
                if stream is not None:
                    handler.setStream(stream)


def resume_command() -> str:
    """The command that this process was started with."""
    interpreter, *rest = sys.orig_argv
    is_script = bool(rest) and not rest[0].startswith("-") and not rest[0].endswith(".py")
    words = [Path(rest[0]).name, *rest[1:]] if is_script else [Path(interpreter).name, *rest]
    return shlex.join(words)


def run_sweep(fields: Mapping[str, Any], arguments: Sequence[str], trials: TrialRunner) -> None:
    """Bring the sweep that ``fields`` and command-line ``arguments`` describe to its total."""
    plan = SweepSpec(name_of(fields, arguments), fields, arguments)
    with open_dict(trials.config):
        trials.config.hydra.sweeper.study_name = plan.name  # the output folder is called after it
    sweep, sampler = plan.prepared(trials)
    study = plan.open(sampler, trials, join=fields["join"])
    if fields["join"]:
        _join(plan, sweep, study, trials)
        return
    _check_same_setup(plan, sweep, study, trials)
    ask_to_stop(study, False)
    reclaim(study, sweep.limits.retry)
    done, total = len(finished(study)), sweep.limits.n_trials
    if done >= total:
        text = "sweep %s is complete: %d trials are finished, nothing is left to train; raise hydra.sweeper.n_trials (now %d) for more"
        log.info(text, sweep.name, done, total)
        _recorded(plan, sweep, study, lambda: None)  # a parent that was killed has not closed its runs
    else:
        log.info("sweep %s: %d of %d trials are finished, %d to go", sweep.name, done, total, total - done)
        _recorded(plan, sweep, study, lambda: _run(plan, sweep, study, trials))
    _write_results(study, Path(trials.config.hydra.sweep.dir))


def _check_same_setup(plan: SweepSpec, sweep: Sweep, study: Study, trials: TrialRunner) -> None:
    groups = {f"{GROUP}{name}": option for name, option in trials.chosen(sweep.space.fixed).items()}
    settings = trials.settings(plan.fields["question"] or [], sweep.space.fixed)
    check_same_setup(study, {"cap": str(plan.fields["cap"]["max"]), **groups, **sweep.space.described()}, settings)


def _join(plan: SweepSpec, sweep: Sweep, study: Study, trials: TrialRunner) -> None:
    """Work on the study until the sweep is over; its parent, wherever that is, prepares and closes it."""
    _check_same_setup(plan, sweep, study, trials)
    listen()
    log.info("joined sweep %s: %d of %d trials are finished", sweep.name, len(finished(study)), sweep.limits.n_trials)
    try:
        ran = work(study, sweep, plan.objective(sweep, trials), plan.fields["recycle_after"], to_the_end=True)
    except (Interrupted, KeyboardInterrupt):
        log.info("stopped; the trial in flight is in the queue again")
        raise SystemExit(130) from None
    if stopping(study):
        log.warning(
            "sweep %s was stopped; this worker leaves after %d trials and may join again when it goes on",
            sweep.name,
            ran,
        )
        raise SystemExit(130)
    log.info("this worker leaves sweep %s after %d trials", sweep.name, ran)


def _recorded(plan: SweepSpec, sweep: Sweep, study: Study, run: Callable[[], None]) -> None:
    """``run`` what is left, and tell the recorder how it began and ended."""
    recorder = instantiate(plan.fields["recorder"]) if plan.fields["recorder"] else None
    if recorder:
        facts = {"cap": plan.fields["cap"]["max"], "space": sweep.space.described(), "command": resume_command()}
        recorder.start(sweep.name, facts)
    status = "FAILED"
    try:
        run()
        status = "FINISHED"
    except (Interrupted, KeyboardInterrupt):
        status = "KILLED"
        ask_to_stop(study)  # those who joined from elsewhere, too
        log.warning("sweep %s was stopped; the same command goes on from here: %s", sweep.name, resume_command())
        raise SystemExit(130) from None
    finally:
        if recorder:
            failed = [trial for trial in finished(study) if trial.state is TrialState.FAIL]
            reasons = {trial.number: trial.user_attrs.get("reason", "") for trial in failed}
            recorder.finish(status, reasons, {trial.number for trial in running(study)})


def _run(plan: SweepSpec, sweep: Sweep, study: Study, trials: TrialRunner) -> None:
    listen()
    sweep.limits.begin(study)
    n_trials, n_jobs, isolated = sweep.limits.n_trials, plan.fields["n_jobs"], plan.isolated(trials)
    with narrated(study, n_trials, live=isolated) as tell:
        if isolated:
            folder = Path(trials.config.hydra.sweep.dir) / ".submitit"
            log.info("starting %d worker(s); their logs are in %s", n_jobs, folder)
            WorkerPool(study, sweep, with_workers(plan, trials, n_jobs), n_jobs).run(tell)
        else:
            work(study, replace(sweep, after_trial=tell), plan.objective(sweep, trials), to_the_end=True)
    if reason := sweep.limits.reached(study):
        log.info("sweep %s ends with %d trials: %s", sweep.name, len(finished(study)), reason)


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
