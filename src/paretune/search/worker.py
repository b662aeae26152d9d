"""The loop of a worker: ask, run, tell, until the sweep has its total."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any

from optuna.study import Study
from optuna.trial import Trial, TrialState

from paretune.errors import ConfigError, SweepError
from paretune.search.handle import TrialHandle, running
from paretune.search.space import Space
from paretune.search.study import claim, finished, requeue

__all__ = ["Interrupted", "Objective", "Sweep", "work"]

log = logging.getLogger(__name__)

Objective = Callable[[TrialHandle, list[str]], Sequence[float]]


class Interrupted(BaseException):
    """Somebody asked the sweep to stop; the trial in flight is back in the queue."""


@dataclass(frozen=True)
class Sweep:
    """What a worker needs to know of its sweep; ``n_trials`` is the total, over all workers and restarts."""

    name: str
    n_trials: int
    space: Space
    max_failure_rate: float


def work(study: Study, sweep: Sweep, objective: Objective) -> None:
    """Run trials until ``n_trials`` are finished.

    A trial that raises or returns no finite numbers is a failed one. Raises :class:`SweepError` once more than
    ``max_failure_rate`` of ``n_trials`` have failed, :class:`Interrupted` after Ctrl-C.
    """
    while len(finished(study)) < sweep.n_trials:
        study.optimize(lambda trial: _run(study, sweep, trial, objective), n_trials=1, catch=(Exception,))
        failed = [trial for trial in finished(study) if trial.state is TrialState.FAIL]
        if len(failed) > sweep.max_failure_rate * sweep.n_trials:
            message = (
                f"sweep `{sweep.name}` stops: {len(failed)} trials of {sweep.n_trials} failed, more than "
                f"the share {sweep.max_failure_rate:g} it allows; their errors are in the log; mend the cause and run the same "
                f"command, or raise hydra.sweeper.max_failure_rate"
            )
            raise SweepError(message)


def _run(study: Study, sweep: Sweep, trial: Trial, objective: Objective) -> Sequence[float]:
    attempt = claim(trial)
    params = _draw(sweep.space, trial)
    overrides = sweep.space.overrides(params)
    searched = dict(line.split("=", 1) for line in overrides)
    log.info("trial %d of %d: %s", trial.number + 1, sweep.n_trials, " ".join(overrides))
    started_s = time.perf_counter()
    try:
        with running(TrialHandle(sweep.name, trial.number, attempt, searched)) as handle:
            values = _numbers(objective(handle, overrides), len(study.directions))
    except (KeyboardInterrupt, SystemExit) as error:  # Lightning turns Ctrl-C into SystemExit
        requeue(study, trial)
        raise Interrupted from error
    except Exception:
        log.exception("trial %d failed", trial.number + 1)
        raise
    shown = ", ".join(f"{value:,.6g}" for value in values)
    log.info("trial %d: %s in %.1f s", trial.number + 1, shown, time.perf_counter() - started_s)
    return values


def _draw(space: Space, trial: Trial) -> Mapping[str, Any]:
    """The sampler has drawn the whole configuration already; this hands it over name by name."""
    params = {name: trial._suggest(name, dist) for name, dist in space.choices.items()}
    branch = space.distributions(space.branch_of(params))
    return params | {name: trial._suggest(name, dist) for name, dist in branch.items()}


def _numbers(returned: Any, objectives: int) -> Sequence[float]:
    values = returned if isinstance(returned, (list, tuple)) else [returned]
    try:
        numbers = [float(value) for value in values]
    except (TypeError, ValueError):
        numbers = []
    if len(numbers) != objectives or any(isnan(number) for number in numbers):
        message = (
            f"task function returned `{returned}`; expected {objectives} number{'s' if objectives > 1 else ''}, one for "
            f"each direction; set hydra.sweeper.direction"
        )
        raise ConfigError(message)
    return numbers
