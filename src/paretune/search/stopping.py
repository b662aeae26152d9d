"""When a sweep is over."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from paretune.errors import SweepError, check_least
from paretune.front import LEAST_ERROR
from paretune.search.storage import dominated_volume, note_of_study, study_notes
from paretune.search.study import ended_s, finished, reason_of

Floats = NDArray[np.float64]
LEAST_MARGIN = 1e-3

# Kept in the study, so that every worker knows them.
DEADLINE = "deadline"  # seconds since 1970
FAILED_BEFORE = "failed before"  # trials, before the command that runs now: their cause may be mended


@dataclass(frozen=True)
class Limits:
    """What a sweep may use up; ``n_trials`` is the total, over all workers and restarts.

    After ``timeout_s`` seconds of one command no further trial starts. With ``flat_trials`` the sweep ends when that many
    trials in a row added no more than the share ``tolerance`` to the hypervolume. A trial that runs for longer than
    ``trial_timeout_s`` fails. One whose worker dies is started again up to ``retry`` times. More failures than
    ``max_failure_rate`` of ``n_trials`` end the sweep. ``None``: no such limit.
    """

    n_trials: int
    max_failure_rate: float
    retry: int
    timeout_s: float | None
    trial_timeout_s: float | None
    flat_trials: int | None
    tolerance: float
    # whether there is a configuration for the trial of this number, which a grid may not have
    has_trial: Callable[[Study, int], bool] = lambda study, number: True

    def __post_init__(self) -> None:
        for name, least in {"n_trials": 1, "retry": 0}.items():
            check_least(f"hydra.sweeper.{name}", getattr(self, name), least)
        check_least("hydra.sweeper.flat_trials", self.flat_trials, 1, null=True)
        check_least("hydra.sweeper.tolerance", self.tolerance, 0, whole=False)
        check_least("hydra.sweeper.max_failure_rate", self.max_failure_rate, 0, most=1, whole=False)
        for name in ("timeout_s", "trial_timeout_s"):
            check_least(f"hydra.sweeper.{name}", getattr(self, name), 0, whole=False, null=True)

    def leaves_room(self, study: Study, begun: int) -> bool:
        """Whether the sweep has more trials than the ``begun`` ones."""
        return begun < self.n_trials and self.has_trial(study, begun)

    def begin(self, study: Study) -> None:
        """Start the clock of ``timeout_s``, and count failures from here; the parent calls it before any worker starts."""
        note_of_study(study, FAILED_BEFORE, len(_failed(finished(study))))
        note_of_study(study, DEADLINE, time.time() + self.timeout_s if self.timeout_s is not None else None)

    def reached(self, study: Study) -> str | None:
        """Why no further trial is to start; ``None`` if one may.

        Raises :class:`~paretune.errors.SweepError` once too many trials have failed since the command began.
        """
        done, notes = finished(study), study_notes(study)
        failed = _failed(done)[notes.get(FAILED_BEFORE, 0) :]
        if len(failed) > self.max_failure_rate * self.n_trials:
            raise SweepError(
                f"sweep `{study.study_name}` stops: {len(failed)} trials of {self.n_trials} failed, more than the share "
                f"{self.max_failure_rate:g} it allows; trial {failed[0].number}: {reason_of(failed[0])}; their tracebacks are in the logs "
                f"in their folders; mend the cause and run the same command, or raise hydra.sweeper.max_failure_rate"
            )
        deadline = notes.get(DEADLINE)
        if len(done) >= self.n_trials:
            return "its total is reached"
        if not self.has_trial(study, len(done)):
            return "every configuration that fits was tried"
        if deadline is not None and time.time() > deadline:
            return "its time is over"
        if self.flat_trials and is_flat(study, self.flat_trials, self.tolerance):
            return f"the last {self.flat_trials} trials added nothing to its hypervolume"
        return None


def is_flat(study: Study, trials: int, tolerance: float) -> bool:
    """Whether the last ``trials`` finished ones added no more than the share ``tolerance`` to the hypervolume."""
    last = sorted(finished(study), key=ended_s)[-trials:]
    complete = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
    late = {trial.number for trial in last}
    before = np.array([trial.number not in late for trial in complete], dtype=bool)
    if len(last) < trials or not before.any():
        return False
    points = losses(complete, study.directions)
    reference = reference_point(points)
    whole = hypervolume(points, reference)
    return whole - hypervolume(points[before], reference) <= tolerance * whole


def losses(trials: Sequence[FrozenTrial], directions: Sequence[StudyDirection]) -> Floats:
    """Objectives of complete trials ``(N, objectives)``, all to be minimised, each in the unit that tells trials apart.

    That is the logarithm of a cost that is always positive, and of the error (1 - score) of a score in [0, 1].
    """
    values = np.array([trial.values for trial in trials], dtype=float).reshape(-1, len(directions))
    columns = [_minimised(column, direction) for column, direction in zip(values.T, directions, strict=True)]
    return np.column_stack(columns)


def reference_point(points: Floats) -> Floats:
    """A tenth of the range beyond the worst of each objective, so that the ends of the front count too, and equal ones."""
    worst, best = points.max(axis=0), points.min(axis=0)
    return np.asarray(worst + np.maximum(0.1 * (worst - best), LEAST_MARGIN))


def hypervolume(points: Floats, reference: Floats) -> float:
    """What ``points`` ``(N, objectives)`` dominate below ``reference``; of one objective, how far the best one is below."""
    if points.shape[1] == 1:
        return float(reference[0] - points.min())
    return dominated_volume(points, reference)


def _minimised(column: Floats, direction: StudyDirection) -> Floats:
    if direction is StudyDirection.MAXIMIZE:
        is_fraction = bool(((column >= 0) & (column <= 1)).all())
        return np.log(np.maximum(1 - column, LEAST_ERROR)) if is_fraction else -column
    return np.log(column) if bool((column > 0).all()) else column


def _failed(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Those that failed, in the order in which they did."""
    failed = [trial for trial in trials if trial.state is TrialState.FAIL]
    return sorted(failed, key=ended_s)
