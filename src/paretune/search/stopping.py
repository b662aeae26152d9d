"""When a sweep is over: its limits, and whether its hypervolume still grows."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from paretune.errors import SweepError, check_least
from paretune.front import LEAST_ERROR
from paretune.search.storage import (
    compute_dominated_volume,
    note_on_study,
    read_study_notes,
)
from paretune.search.study import list_finished, read_end_s, read_reason

Floats = NDArray[np.float64]
LEAST_MARGIN = 1e-3
LEAST_TOTAL = 20  # trials, of which a share may fail in a sweep without a total

# Kept in the study, so that every worker knows them.
DEADLINE = "deadline"  # seconds since 1970
# Trials, before the command that runs now: their cause may be mended.
FAILED_BEFORE = "failed before"


@dataclass(frozen=True)
class Limits:
    """The limits of what a sweep may use up; ``n_trials`` is the total, over all
    workers and restarts, or ``None``: as many as something else leaves time for.

    After ``timeout_s`` seconds of one command no further trial starts. With
    ``flat_trials`` the sweep ends when that many trials in a row added no more than the
    share ``tolerance`` to the hypervolume. A trial that runs for longer than
    ``trial_timeout_s`` fails. One whose worker dies is started again up to ``retry``
    times. More failures than ``max_failure_rate`` of ``n_trials`` end the sweep; where
    there is no total, of the trials so far. ``None``: no such limit.
    """

    n_trials: int | None
    max_failure_rate: float
    retry: int
    timeout_s: float | None
    trial_timeout_s: float | None
    flat_trials: int | None
    tolerance: float
    # whether there is a configuration for the trial of this number, which a grid may
    # not have
    has_trial: Callable[[Study, int], bool] = lambda study, number: True

    def __post_init__(self) -> None:
        check_least("hydra.sweeper.n_trials", self.n_trials, 1, null=True)
        check_least("hydra.sweeper.retry", self.retry, 0)
        check_least("hydra.sweeper.flat_trials", self.flat_trials, 1, null=True)
        check_least("hydra.sweeper.tolerance", self.tolerance, 0, whole=False)
        check_least(
            "hydra.sweeper.max_failure_rate",
            self.max_failure_rate,
            0,
            most=1,
            whole=False,
        )
        check_least(
            "hydra.sweeper.timeout_s", self.timeout_s, 0, whole=False, null=True
        )
        check_least(
            "hydra.sweeper.trial_timeout_s",
            self.trial_timeout_s,
            0,
            whole=False,
            null=True,
        )

    def leaves_room(self, study: Study, begun: int) -> bool:
        """Whether the sweep has more trials than the ``begun`` ones."""
        if self.n_trials is not None and begun >= self.n_trials:
            return False
        return self.has_trial(study, begun)

    def begin(self, study: Study) -> None:
        """Start the clock of ``timeout_s``, and count failures from here.

        The parent calls it before any worker starts.
        """
        failed = _list_failed(list_finished(study))
        note_on_study(study, FAILED_BEFORE, len(failed))
        deadline_s = None
        if self.timeout_s is not None:
            deadline_s = time.time() + self.timeout_s
        note_on_study(study, DEADLINE, deadline_s)

    def reached(self, study: Study) -> str | None:
        """Why no further trial is to start; ``None`` if one may.

        Raises :class:`~paretune.errors.SweepError` once too many trials have failed
        since the command began.
        """
        done = list_finished(study)
        self._check_failures(study, done)
        if self.n_trials is not None and len(done) >= self.n_trials:
            return "its total is reached"
        if not self.has_trial(study, len(done)):
            return "every configuration that fits was tried"
        seconds_left = find_seconds_left(study)
        if seconds_left is not None and seconds_left < 0:
            return "its time is over"
        if self.flat_trials and is_flat(study, self.flat_trials, self.tolerance):
            return (
                f"the last {self.flat_trials} trials added nothing to its hypervolume"
            )
        return None

    def _check_failures(self, study: Study, done: Sequence[FrozenTrial]) -> None:
        n_before = read_study_notes(study).get(FAILED_BEFORE, 0)
        failed = _list_failed(done)[n_before:]
        total = self.n_trials or max(len(done), LEAST_TOTAL)
        if len(failed) <= self.max_failure_rate * total:
            return
        first = failed[0]
        raise SweepError(
            f"sweep `{study.study_name}` stops: {len(failed)} trials of "
            f"{total} failed, more than the share "
            f"{self.max_failure_rate:g} it allows; trial {first.number}: "
            f"{read_reason(first)}; "
            "their tracebacks are in the logs in their folders; mend the cause and "
            "run the same command (add hydra.sweeper.retry_failed=true to run these "
            "again), or raise hydra.sweeper.max_failure_rate"
        )


def find_seconds_left(study: Study) -> float | None:
    """How long the sweep goes on at most; ``None`` if no time was set for it."""
    deadline_s: float | None = read_study_notes(study).get(DEADLINE)
    if deadline_s is None:
        return None
    return deadline_s - time.time()


def is_flat(study: Study, trials: int, tolerance: float) -> bool:
    """Whether the last ``trials`` finished ones added no more than the share
    ``tolerance`` to the hypervolume.
    """
    last = sorted(list_finished(study), key=read_end_s)[-trials:]
    late = {trial.number for trial in last}
    complete = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
    is_early = np.array([trial.number not in late for trial in complete], dtype=bool)
    if len(last) < trials or not is_early.any():
        return False

    points = compute_losses(complete, study.directions)
    reference = compute_reference_point(points)
    whole = compute_hypervolume(points, reference)
    before = compute_hypervolume(points[is_early], reference)
    return whole - before <= tolerance * whole


def compute_losses(
    trials: Sequence[FrozenTrial], directions: Sequence[StudyDirection]
) -> Floats:
    """Objectives of complete trials ``(N, objectives)``, all to be minimised, each in
    the unit that tells trials apart.

    That is the logarithm of a cost that is always positive, and of the error (1 -
    score) of a score in [0, 1].
    """
    values = np.array([trial.values for trial in trials], dtype=float).reshape(
        -1, len(directions)
    )
    columns: list[Floats] = []
    for column, direction in zip(values.T, directions, strict=True):
        if direction is StudyDirection.MAXIMIZE:
            columns.append(_turn_score(column))
        else:
            columns.append(_turn_cost(column))
    return np.column_stack(columns)


def _turn_score(scores: Floats) -> Floats:
    """The logarithm of the error of scores that are fractions; the negative of
    others.
    """
    is_fraction = (scores >= 0) & (scores <= 1)
    if not is_fraction.all():
        return -scores
    errors = np.maximum(1 - scores, LEAST_ERROR)
    return np.asarray(np.log(errors))


def _turn_cost(costs: Floats) -> Floats:
    """The logarithm of costs that are all positive; others as they are."""
    if not (costs > 0).all():
        return costs
    return np.asarray(np.log(costs))


def compute_reference_point(points: Floats) -> Floats:
    """A tenth of the range beyond the worst of each objective.

    So the ends of the front count too, and equal points.
    """
    worst = points.max(axis=0)
    best = points.min(axis=0)
    margin = np.maximum(0.1 * (worst - best), LEAST_MARGIN)
    return np.asarray(worst + margin)


def compute_hypervolume(points: Floats, reference: Floats) -> float:
    """The volume that ``points`` ``(N, objectives)`` dominate below ``reference``.

    Of one objective it is how far the best one is below.
    """
    if points.shape[1] == 1:
        return float(reference[0] - points.min())
    return compute_dominated_volume(points, reference)


def _list_failed(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Those that failed, in the order in which they did."""
    failed: list[FrozenTrial] = []
    for trial in trials:
        if trial.state is TrialState.FAIL:
            failed.append(trial)
    failed.sort(key=read_end_s)
    return failed
