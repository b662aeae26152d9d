"""When a sweep is over."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np
from numpy.typing import NDArray
from optuna._hypervolume import compute_hypervolume
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from paretune.errors import ConfigError, SweepError
from paretune.front import LEAST_ERROR, UNCAPPED, front_volume
from paretune.search.study import cap_of, finished, running

Floats = NDArray[np.float64]
LEAST_MARGIN = 1e-3
COST_AND_SCORE = [StudyDirection.MINIMIZE, StudyDirection.MAXIMIZE]


def losses(trials: Sequence[FrozenTrial], directions: Sequence[StudyDirection]) -> Floats:
    """Objectives of complete trials ``(N, objectives)``, all to be minimised, each in the unit that tells trials apart.

    That is the logarithm of a cost that is always positive, and of the error (1 - score) of a score in [0, 1].
    """
    values = np.array([trial.values for trial in trials], dtype=float).reshape(-1, len(directions))
    columns = [_minimised(column, direction) for column, direction in zip(values.T, directions, strict=True)]
    return np.column_stack(columns)


def _minimised(column: Floats, direction: StudyDirection) -> Floats:
    if direction is StudyDirection.MAXIMIZE:
        fraction = bool(((column >= 0) & (column <= 1)).all())
        return np.log(np.maximum(1 - column, LEAST_ERROR)) if fraction else -column
    return np.log(column) if bool((column > 0).all()) else column


def hypervolume(points: Floats, reference: Floats) -> float:
    """What ``points`` ``(N, objectives)`` dominate below ``reference``; of one objective, how far the best one is below."""
    if not len(points):
        return 0.0
    if points.shape[1] == 1:
        return float(reference[0] - points.min())
    return float(compute_hypervolume(points, reference))


def _reference(points: Floats) -> Floats:
    """A tenth of the range beyond the worst of each objective, so that the ends of the front count too, and equal ones."""
    worst, best = points.max(axis=0), points.min(axis=0)
    return np.asarray(worst + np.maximum(0.1 * (worst - best), LEAST_MARGIN))


def is_flat(study: Study, trials: int, tolerance: float) -> bool:
    """Whether the last ``trials`` finished ones added no more than the share ``tolerance`` to the hypervolume."""
    last = sorted(finished(study), key=lambda trial: trial.datetime_complete)[-trials:]  # type: ignore[arg-type, return-value]
    complete = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
    late = {trial.number for trial in last}
    before = np.array([trial.number not in late for trial in complete], dtype=bool)
    if len(last) < trials or not before.any():
        return False
    points = losses(complete, study.directions)
    reference = _reference(points)
    whole = hypervolume(points, reference)
    return whole - hypervolume(points[before], reference) <= tolerance * whole


@dataclass
class Clock:
    """When this command started, and with how many finished trials."""

    done: int
    started_s: float = field(default_factory=time.monotonic)

    def left_s(self, done: int, total: int) -> float | None:
        """Seconds to go at the pace so far; unknown before the first trial ends."""
        if done <= self.done:
            return None
        return (time.monotonic() - self.started_s) / (done - self.done) * (total - done)


def status_line(study: Study, total: int, clock: Clock) -> str:
    """One line: counts of trials, the front, its hypervolume, the best score and its cost, the time to go."""
    done = finished(study)
    of = {state: sum(trial.state is state for trial in done) for state in (TrialState.FAIL, TrialState.PRUNED)}
    parts = [f"{len(done)} of {total} done"]
    parts += [f"{of[TrialState.FAIL]} failed"] if of[TrialState.FAIL] else []
    parts += [f"{of[TrialState.PRUNED]} raced"] if of[TrialState.PRUNED] else []
    in_hand = len(running(study))
    parts += [f"{in_hand} running"] if in_hand else []
    parts += _scores(study, [trial for trial in done if trial.state is TrialState.COMPLETE])
    left_s = clock.left_s(len(done), total)
    parts += [f"{_spoken(left_s)} left"] if left_s else []
    return " | ".join(parts)


def _scores(study: Study, complete: list[FrozenTrial]) -> list[str]:
    if not complete:
        return []
    points = losses(complete, study.directions)
    best = complete[int(points[:, -1].argmin())]
    *costs, score = cast("list[float]", best.values)
    best_score = f"{score:.4f}" if 0 <= score <= 1 else shown([score])
    found = f"best {best_score}" + (f" at {shown(costs)}" if costs else "")
    if len(study.directions) == 1:
        return [found]
    on_front = sum(not ((points <= row).all(1) & (points < row).any(1)).any() for row in points)
    return [f"front {on_front}", f"hypervolume {_volume(study, complete, points):.3f}", found]


def _volume(study: Study, complete: list[FrozenTrial], points: Floats) -> float:
    """Of counts of parameters and scores in [0, 1] as the tracking store has it, so that the two agree."""
    values, cap = np.array([trial.values for trial in complete]), cap_of(study)
    if study.directions == COST_AND_SCORE:
        costs, scores = values.T
        counts = cap is not None or bool(((costs >= 1) & (costs < UNCAPPED) & (costs % 1 == 0)).all())
        if counts and bool(((scores >= 0) & (scores <= 1)).all()):
            return front_volume(costs, scores, cap)
    return hypervolume(points, _reference(points))


def shown(values: Sequence[float]) -> str:
    """Numbers for a person: whole ones whole, others with six digits."""
    return ", ".join(f"{value:,.0f}" if float(value).is_integer() else f"{value:,.6g}" for value in values)


def _spoken(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


# Kept in the study, so that every worker knows them.
DEADLINE = "deadline"  # seconds since 1970
FAILED_BEFORE = "failed before"  # trials, before the command that runs now: their cause may be mended


@dataclass(frozen=True)
class Limits:
    """What a sweep may use up; ``n_trials`` is the total, over all workers and restarts.

    After ``timeout_s`` seconds of one command no further trial starts. With ``flat_trials`` the sweep ends when that many
    trials in a row added no more than the share ``tolerance`` to the hypervolume. A trial that runs for longer than
    ``trial_timeout_s`` fails. One whose worker dies is started again up to ``retry`` times. More failures than
    ``max_failure_rate`` of ``n_trials`` end the sweep.
    """

    n_trials: int
    max_failure_rate: float = 0.3
    retry: int = 3
    timeout_s: float | None = None
    trial_timeout_s: float | None = None
    flat_trials: int | None = None
    tolerance: float = 0.001

    def __post_init__(self) -> None:
        at_least = {"n_trials": 1, "retry": 0, "timeout_s": 0, "trial_timeout_s": 0, "flat_trials": 1, "tolerance": 0}
        for name, low in at_least.items():
            value = getattr(self, name)
            if value is not None and value < low:
                message = f"{name} `{value}` is too small; expected at least {low}; set hydra.sweeper.{name}"
                raise ConfigError(message)

    def begin(self, study: Study) -> None:
        """Start the clock of ``timeout_s``, and count failures from here; the parent calls it before any worker starts."""
        study.set_user_attr(FAILED_BEFORE, _failed(finished(study)))
        study.set_user_attr(DEADLINE, time.time() + self.timeout_s if self.timeout_s is not None else None)

    def reached(self, study: Study) -> str | None:
        """Why no further trial is to start; ``None`` if one may.

        Raises :class:`~paretune.errors.SweepError` once too many trials have failed since the command began.
        """
        done = finished(study)
        failed = _failed(done) - study.user_attrs.get(FAILED_BEFORE, 0)
        if failed > self.max_failure_rate * self.n_trials:
            raise SweepError(
                f"sweep `{study.study_name}` stops: {failed} trials of {self.n_trials} failed, more than the share "
                f"{self.max_failure_rate:g} it allows; their errors are in the log; mend the cause and run the same "
                f"command, or raise hydra.sweeper.max_failure_rate"
            )
        deadline = study.user_attrs.get(DEADLINE)
        if len(done) >= self.n_trials:
            return "its total is reached"
        if deadline is not None and time.time() > deadline:
            return "its time is over"
        if self.flat_trials and is_flat(study, self.flat_trials, self.tolerance):
            return f"the last {self.flat_trials} trials added nothing to its hypervolume"
        return None


def _failed(trials: Sequence[FrozenTrial]) -> int:
    return sum(trial.state is TrialState.FAIL for trial in trials)
