"""A whole sweep, as the parent sees it: prepare, start or resume, close."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import OmegaConf, open_dict
from optuna.study import Study
from optuna.trial import TrialState

from hydra_plugins.paretune_sweeper._console import narrated, resume_command
from hydra_plugins.paretune_sweeper._crew import Crew
from hydra_plugins.paretune_sweeper._plan import Plan, name_of
from hydra_plugins.paretune_sweeper._trials import HydraTrials
from hydra_plugins.paretune_sweeper._workers import with_workers
from paretune.search.claims import reclaim
from paretune.search.interrupts import listen
from paretune.search.question import GROUP, hold_to
from paretune.search.study import ask_to_stop, finished, running, stopping
from paretune.search.worker import Interrupted, Sweep, work

__all__ = ["run_sweep"]

log = logging.getLogger(__name__)


def run_sweep(fields: Mapping[str, Any], arguments: Sequence[str], trials: HydraTrials) -> None:
    """Bring the sweep that ``fields`` and command-line ``arguments`` describe to its total."""
    plan = Plan(name_of(fields, arguments), fields, arguments)
    with open_dict(trials.config):
        trials.config.hydra.sweeper.study_name = plan.name  # the output folder is called after it
    sweep, sampler = plan.prepared(trials)
    study = plan.open(sampler, trials, join=fields["join"])
    if fields["join"]:
        _join(plan, sweep, study, trials)
        return
    _hold(plan, sweep, study, trials)
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


def _hold(plan: Plan, sweep: Sweep, study: Study, trials: HydraTrials) -> None:
    groups = {f"{GROUP}{name}": option for name, option in trials.chosen(sweep.space.fixed).items()}
    settings = trials.settings(plan.fields["question"] or [], sweep.space.fixed)
    hold_to(study, {"cap": str(plan.fields["cap"]["max"]), **groups, **sweep.space.described()}, settings)


def _join(plan: Plan, sweep: Sweep, study: Study, trials: HydraTrials) -> None:
    """Work on the study until the sweep is over; its parent, wherever that is, prepares and closes it."""
    _hold(plan, sweep, study, trials)
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


def _recorded(plan: Plan, sweep: Sweep, study: Study, run: Callable[[], None]) -> None:
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


def _run(plan: Plan, sweep: Sweep, study: Study, trials: HydraTrials) -> None:
    listen()
    sweep.limits.begin(study)
    n_trials, n_jobs, isolated = sweep.limits.n_trials, plan.fields["n_jobs"], plan.isolated(trials)
    with narrated(study, n_trials, live=isolated) as tell:
        if isolated:
            folder = Path(trials.config.hydra.sweep.dir) / ".submitit"
            log.info("starting %d worker(s); their logs are in %s", n_jobs, folder)
            Crew(study, sweep, with_workers(plan, trials, n_jobs), n_jobs).run(tell)
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
