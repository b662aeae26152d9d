"""The loop of a worker: ask, run, tell, until the sweep has its total."""

import logging
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any

from optuna.storages._heartbeat import get_heartbeat_thread
from optuna.study import Study
from optuna.trial import Trial, TrialState

from paretune.errors import ConfigError, Raced, SweepError
from paretune.search.handle import TrialHandle, running
from paretune.search.race import Race
from paretune.search.rungs import racer
from paretune.search.space import Space
from paretune.search.study import claim, finished, put_back, reclaim, requeue, stopping

__all__ = ["Interrupted", "Objective", "Sweep", "work"]

log = logging.getLogger(__name__)

Objective = Callable[[TrialHandle, list[str]], Sequence[float]]


class Interrupted(BaseException):
    """Somebody asked the sweep to stop; the trial in flight is back in the queue."""


@dataclass(frozen=True)
class Sweep:
    """What a worker needs to know of its sweep; ``n_trials`` is the total, over all workers and restarts.

    A trial whose worker dies is started again up to ``retry`` times. ``suggest`` may have a trial suggest more parameters
    than the space holds, given the overrides so far.
    """

    name: str
    n_trials: int
    space: Space
    max_failure_rate: float = 0.3
    retry: int = 3
    race: Race | None = None
    suggest: Callable[[Trial, list[str]], None] | None = None


def work(study: Study, sweep: Sweep, objective: Objective) -> int:
    """Run trials until all ``n_trials`` are finished or in the hands of other workers; returns how many this one ran.

    A trial that raises or returns anything but finite numbers is a failed one. Raises
    :class:`~paretune.errors.SweepError` once more than ``max_failure_rate`` of ``n_trials`` have failed,
    :class:`Interrupted` after Ctrl-C or SIGTERM.
    """
    ran = 0
    while not stopping(study):
        reclaim(study, sweep.retry)
        _check_failures(study, sweep)
        if len(finished(study)) >= sweep.n_trials:
            break
        trial = _ask(study)
        if trial.number >= sweep.n_trials:  # the last ones are running elsewhere; this one waits for a larger total
            put_back(study, trial)
            break
        _run(study, sweep, trial, objective)
        ran += 1
    return ran


def _ask(study: Study) -> Trial:
    with warnings.catch_warnings():
        # Optuna beats the heart in study.optimize only, which fails stale trials instead of running them again.
        warnings.filterwarnings("ignore", message="Heartbeat of storage is supposed to be used")
        return study.ask()


def _run(study: Study, sweep: Sweep, trial: Trial, objective: Objective) -> None:
    attempt = claim(trial)
    overrides = sweep.space.overrides(_draw(sweep.space, trial))
    if sweep.suggest:
        drawn = set(trial.params)
        sweep.suggest(trial, overrides)
        overrides = [*overrides, *(f"{name}={value}" for name, value in trial.params.items() if name not in drawn)]
    searched = dict(line.split("=", 1) for line in overrides)
    log.info("trial %d of %d: %s", trial.number + 1, sweep.n_trials, " ".join(overrides))
    started_s = time.perf_counter()
    try:
        handle = TrialHandle(sweep.name, trial.number, attempt, searched, racer(study, trial, sweep.race))
        with get_heartbeat_thread(trial._trial_id, study._storage), running(handle):
            values = _numbers(objective(handle, overrides), len(study.directions))
    except (KeyboardInterrupt, SystemExit) as error:  # Lightning turns Ctrl-C into SystemExit
        requeue(study, trial)
        raise Interrupted from error
    except Raced as raced:
        log.info("trial %d stops: %s", trial.number + 1, raced)
        study.tell(trial, state=TrialState.PRUNED, skip_if_finished=True)
        return
    except Exception as error:
        log.exception("trial %d failed", trial.number + 1)
        trial.set_user_attr("reason", f"{type(error).__name__}: {error}"[:2000])
        study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)
        return
    study.tell(trial, values, skip_if_finished=True)
    shown = ", ".join(f"{value:,.6g}" for value in values)
    log.info("trial %d: %s in %.1f s", trial.number + 1, shown, time.perf_counter() - started_s)


def _check_failures(study: Study, sweep: Sweep) -> None:
    failed = [trial for trial in finished(study) if trial.state is TrialState.FAIL]
    if len(failed) > sweep.max_failure_rate * sweep.n_trials:
        message = (
            f"sweep `{sweep.name}` stops: {len(failed)} trials of {sweep.n_trials} failed, more than the share "
            f"{sweep.max_failure_rate:g} it allows; their errors are in the log; mend the cause and run the same "
            f"command, or raise hydra.sweeper.max_failure_rate"
        )
        raise SweepError(message)


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
