"""The loop of a worker: ask, run, tell, until the sweep has its total."""

import logging
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from optuna.storages._heartbeat import get_heartbeat_thread
from optuna.study import Study
from optuna.trial import Trial, TrialState

from paretune.errors import ConfigError, Raced
from paretune.search import TrialHandle, made_current
from paretune.search.claims import claim, fail, held, put_back, reclaim, requeue, too_long
from paretune.search.interrupts import Watch, interrupted
from paretune.search.racing import Race, judge
from paretune.search.space import Space
from paretune.search.stopping import Limits, shown
from paretune.search.study import finished, running, stopping

__all__ = ["Interrupted", "Objective", "Sweep", "work"]

log = logging.getLogger(__name__)

WAIT_S = 1.0

Objective = Callable[[TrialHandle, list[str]], Sequence[float]]


class Interrupted(BaseException):
    """Somebody asked the sweep to stop; the trial in flight is back in the queue."""


@dataclass(frozen=True)
class Sweep:
    """What a worker needs to know of its sweep.

    ``suggest`` may have a trial suggest more parameters than the space holds, given the overrides so far. ``after_trial`` is
    called with the number of each trial of this process, and now and then with ``None`` while it waits for those of others.
    """

    name: str
    space: Space
    limits: Limits
    race: Race | None = None
    suggest: Callable[[Trial, list[str]], None] | None = None
    after_trial: Callable[[int | None], None] = lambda number: None


def work(
    study: Study, sweep: Sweep, objective: Objective, at_most: int | None = None, *, to_the_end: bool = False
) -> int:
    """Run trials until the sweep's limits are reached, or ``at_most``; returns how many this worker ran.

    Once all are in somebody's hands it leaves, or, ``to_the_end``, waits for what comes back from workers that die.
    A trial that raises or returns anything but finite numbers is a failed one. Raises
    :class:`~paretune.errors.SweepError` once too many have failed, :class:`Interrupted` after Ctrl-C or SIGTERM.
    """
    ran = 0
    while not stopping(study) and ran != at_most:
        reclaim(study, sweep.limits.retry)
        if sweep.limits.reached(study):
            break
        trial = _ask(study) if len(finished(study)) + len(running(study)) < sweep.limits.n_trials else None
        if trial and trial.number >= sweep.limits.n_trials:  # asked for at the same time; it waits for a larger total
            put_back(study, trial)
            trial = None
        if not trial and not to_the_end:
            break
        attempt = claim(study, trial) if trial else None
        if not trial or attempt is None:
            sweep.after_trial(None)
            time.sleep(WAIT_S)
            continue
        _run(study, sweep, trial, attempt, objective)
        sweep.after_trial(trial.number)
        ran += 1
    sweep.after_trial(None)
    return ran


def _ask(study: Study) -> Trial:
    with warnings.catch_warnings():
        # Optuna beats the heart in study.optimize only, which fails stale trials instead of running them again.
        warnings.filterwarnings("ignore", message="Heartbeat of storage is supposed to be used")
        return study.ask()


def _run(study: Study, sweep: Sweep, trial: Trial, attempt: int, objective: Objective) -> None:
    started_s = time.perf_counter()
    watch = _watch(study, sweep, trial, attempt)
    try:
        overrides = _overrides(sweep, trial)
        searched = dict(line.split("=", 1) for line in overrides)
        log.info("trial %d: %s", trial.number, " ".join(overrides))
        handle = TrialHandle(sweep.name, trial.number, attempt, searched, judge(study, trial, sweep.race))
        with watch, get_heartbeat_thread(trial._trial_id, study._storage), made_current(handle):
            values = _numbers(objective(handle, overrides), len(study.directions))
    except (KeyboardInterrupt, SystemExit) as error:
        if watch.late:
            _failed(study, trial, attempt, too_long(sweep.limits.trial_timeout_s))
        elif stopping(study) or interrupted(error):
            requeue(study, trial)
            raise Interrupted from error
        else:
            _failed(study, trial, attempt, f"the task left with {type(error).__name__}({error})")
    except Raced as raced:
        log.info("trial %d stops: %s", trial.number, raced)
        if _mine(study, trial, attempt):
            study.tell(trial, state=TrialState.PRUNED, skip_if_finished=True)
    except Exception as error:
        if type(error).__name__ == "UncompletedJobError":  # submitit's: the time of a Slurm job is up
            requeue(study, trial)
            raise Interrupted from error
        _failed(study, trial, attempt, f"{type(error).__name__}: {error}")
    else:
        if _mine(study, trial, attempt):
            study.tell(trial, values, skip_if_finished=True)
        log.info("trial %d: %s in %.1f s", trial.number, shown(values), time.perf_counter() - started_s)


def _overrides(sweep: Sweep, trial: Trial) -> list[str]:
    drawn = _draw(sweep.space, trial)
    overrides = sweep.space.overrides(drawn)
    if sweep.suggest:
        sweep.suggest(trial, overrides)
        overrides += [f"{name}={value}" for name, value in trial.params.items() if name not in drawn]
    return overrides


def _watch(study: Study, sweep: Sweep, trial: Trial, attempt: int) -> Watch:
    def last_words(late: bool) -> None:
        if late:
            _failed(study, trial, attempt, too_long(sweep.limits.trial_timeout_s))
        else:
            requeue(study, trial)

    return Watch(lambda: stopping(study), sweep.limits.trial_timeout_s, last_words)


def _failed(study: Study, trial: Trial, attempt: int, reason: str) -> None:
    """Close a trial as failed; its traceback is in its own log, the console gets a line."""
    log.error("trial %d failed: %s", trial.number, reason.split("\n", maxsplit=1)[0][:300])
    if _mine(study, trial, attempt):
        fail(study, trial, reason)


def _mine(study: Study, trial: Trial, attempt: int) -> bool:
    """Whether what came of the trial counts; not if this worker was cut off from the database for too long."""
    mine = held(study, trial, attempt)
    if not mine:
        log.warning("trial %d is over or in other hands by now; what came of this attempt is dropped", trial.number)
    return mine


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
    if len(numbers) != objectives or not all(map(isfinite, numbers)):
        raise ConfigError(
            f"task function returned `{returned}`; expected {objectives} finite number{'s' if objectives > 1 else ''}, one for "
            f"each direction; set hydra.sweeper.direction"
        )
    return numbers
