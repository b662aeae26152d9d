"""A whole sweep, as the parent sees it: prepare, start or resume, close."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import OmegaConf, open_dict
from optuna.study import Study

from hydra_plugins.paretune_sweeper._plan import Plan, name_of
from hydra_plugins.paretune_sweeper._trials import HydraTrials
from hydra_plugins.paretune_sweeper._workers import Crew, with_workers
from paretune.search.question import hold_to
from paretune.search.study import ask_to_stop, finished, reclaim
from paretune.search.worker import Interrupted, Sweep, work

__all__ = ["run_sweep"]

log = logging.getLogger(__name__)


def run_sweep(fields: Mapping[str, Any], arguments: Sequence[str], trials: HydraTrials) -> None:
    """Bring the sweep that ``fields`` and command-line ``arguments`` describe to its total."""
    plan = Plan(name_of(fields, arguments), fields, arguments)
    with open_dict(trials.config):
        trials.config.hydra.sweeper.study_name = plan.name  # the output folder is called after it
    sweep = plan.sweep(trials)
    study = plan.open(sweep, trials)
    hold_to(study, {"cap": str(fields["cap"]["max"]), **sweep.space.described()})
    ask_to_stop(study, False)
    reclaim(study, sweep.retry)
    done = len(finished(study))
    if done >= sweep.n_trials:
        text = "sweep %s is complete: %d trials are finished, nothing is left to train; raise hydra.sweeper.n_trials (now %d) for more"
        log.info(text, sweep.name, done, sweep.n_trials)
    else:
        to_go = sweep.n_trials - done
        log.info("sweep %s: %d of %d trials are finished, %d to go", sweep.name, done, sweep.n_trials, to_go)
        _recorded(plan, sweep, study, trials)
    _write_results(study, Path(trials.config.hydra.sweep.dir))


def _recorded(plan: Plan, sweep: Sweep, study: Study, trials: HydraTrials) -> None:
    """Run what is left, and tell the recorder how it began and ended."""
    recorder = instantiate(plan.fields["recorder"]) if plan.fields["recorder"] else None
    if recorder:
        facts = {"arguments": list(plan.arguments), "cap": plan.fields["cap"]["max"], "space": sweep.space.described()}
        recorder.start(sweep.name, facts)
    status = "FAILED"
    try:
        _run(plan, sweep, study, trials)
        status = "FINISHED"
    except Interrupted:
        status = "KILLED"
        log.warning("sweep %s was stopped; the same command goes on from here", sweep.name)
        raise SystemExit(130) from None
    finally:
        if recorder:
            recorder.finish(status)


def _run(plan: Plan, sweep: Sweep, study: Study, trials: HydraTrials) -> None:
    n_jobs = plan.fields["n_jobs"]
    if n_jobs == 1:
        work(study, sweep, plan.objective(sweep, trials))
        return
    log.info("starting %d workers; their logs are in %s", n_jobs, Path(trials.config.hydra.sweep.dir) / ".submitit")
    told = {trial.number for trial in finished(study)}

    def tell() -> None:
        for trial in finished(study):
            if trial.number not in told:
                told.add(trial.number)
                values = ", ".join(f"{value:,.6g}" for value in trial.values or ()) or trial.user_attrs.get(
                    "reason", ""
                )
                log.info("trial %d of %d: %s %s", trial.number + 1, sweep.n_trials, trial.state.name.lower(), values)

    Crew(study, sweep, with_workers(plan, trials, n_jobs), n_jobs).run(tell)


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
