"""A whole sweep: its space, its sampler, its study, then a worker."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from hydra.utils import get_method, instantiate
from omegaconf import OmegaConf, open_dict
from optuna.samplers import BaseSampler
from optuna.study import Study

from hydra_plugins.paretune_sweeper._trials import HydraTrials
from paretune.errors import ConfigError
from paretune.search.feasible import FeasibleSampler
from paretune.search.handle import TrialHandle
from paretune.search.space import Space, parse_space
from paretune.search.study import Direction, finished, open_study, reclaim
from paretune.search.worker import Interrupted, Sweep, work

__all__ = ["run_sweep"]

log = logging.getLogger(__name__)


def run_sweep(fields: Mapping[str, Any], arguments: Sequence[str], trials: HydraTrials) -> None:
    """Bring the sweep that ``fields`` and command-line ``arguments`` describe to its total."""
    params = [f"{key}={value}" for key, value in (fields["params"] or {}).items()]
    named = {line.split("=", 1)[0].lstrip("+~") for line in arguments}
    lines = [*(line for line in params if line.split("=", 1)[0] not in named), *arguments]
    space = parse_space(
        lines, is_group=trials.is_group, own_space=lambda chosen: trials.own_space(fields["space"], chosen)
    )
    if not space.everything():
        message = (
            "sweep `-m` has nothing to search; expected at least one sweep such as 'model.widths.0=interval(4,32)'; "
            "add one, or leave out -m to run once"
        )
        raise ConfigError(message)
    name = fields["study_name"] or _name_of(arguments)
    with open_dict(trials.config):
        trials.config.hydra.sweeper.study_name = name  # the output folder is called after it
    sampler = _sampler(fields, space, trials)
    directions = _directions(fields["direction"])
    study = open_study(name, fields["storage"], directions, sampler)
    sweep = Sweep(name, fields["n_trials"], space, fields["max_failure_rate"])
    recorder = instantiate(fields["recorder"]) if fields["recorder"] else None
    facts = {"arguments": list(arguments), "cap": fields["cap"]["max"], "space": _text_of(space)}
    _run(study, sweep, trials, recorder, facts)
    _write_results(study, Path(trials.config.hydra.sweep.dir))


def _run(study: Study, sweep: Sweep, trials: HydraTrials, recorder: Any, facts: Mapping[str, Any]) -> None:
    if taken_back := reclaim(study):
        log.info("%d trials were cut off and are in the queue again", taken_back)
    done = len(finished(study))
    if done >= sweep.n_trials:
        log.info(
            "sweep %s is complete: %d trials are finished, nothing is left to train; "
            "raise hydra.sweeper.n_trials (now %d) for more",
            sweep.name, done, sweep.n_trials,
        )  # fmt: skip
        return
    log.info(
        "sweep %s: %d of %d trials are finished, %d to go",
        sweep.name,
        done,
        sweep.n_trials,
        sweep.n_trials - done,
    )
    if recorder:
        recorder.start(sweep.name, facts)
    status = "FAILED"

    def objective(trial: TrialHandle, drawn: list[str]) -> Sequence[float]:
        return trials.run(trial, [*sweep.space.fixed, *drawn])

    try:
        work(study, sweep, objective)
        status = "FINISHED"
    except Interrupted:
        status = "KILLED"
        log.warning("sweep %s was stopped; the same command goes on from here", sweep.name)
        raise SystemExit(130) from None
    finally:
        if recorder:
            recorder.finish(status)


def _sampler(fields: Mapping[str, Any], space: Space, trials: HydraTrials) -> FeasibleSampler:
    config, cap = dict(fields["sampler"]), fields["cap"]["max"]
    seed = config.pop("seed", None) or 0

    def make_base(derived_seed: int) -> BaseSampler:
        sampler: BaseSampler = instantiate(config, seed=derived_seed)
        return sampler

    if cap is None or fields["cap"]["count"] is None:
        return FeasibleSampler(make_base, space, seed=seed)
    counted = trials.counter(get_method(fields["cap"]["count"]))

    def count(params: dict[str, Any]) -> int:
        groups, values = space.grouped_overrides(params)
        return counted([*space.fixed, *groups], values)

    return FeasibleSampler(make_base, space, count=count, cap=cap, seed=seed)


def _directions(direction: str | Sequence[str]) -> list[Direction]:
    names = [direction] if isinstance(direction, str) else list(direction)
    for name in names:
        if name not in ("minimize", "maximize"):
            message = f"direction `{name}` is unknown; expected minimize or maximize; set hydra.sweeper.direction"
            raise ConfigError(message)
    return cast("list[Direction]", names)


def _name_of(arguments: Sequence[str]) -> str:
    """The same name for the same question, so that the same command, or one for more trials, resumes the sweep."""
    question = sorted(line for line in arguments if not line.startswith("hydra."))
    return f"adhoc-{hashlib.sha256(' '.join(question).encode()).hexdigest()[:8]}"


def _text_of(space: Space) -> dict[str, str]:
    return {name: str(distribution) for name, distribution in space.everything().items()}


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
