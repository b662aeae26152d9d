"""How far a sweep is, in lines on the console: one for each trial, and the status
line.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from paretune.costs import volume_end_of
from paretune.front import Floats, costs_of, front, front_volume
from paretune.search.caps import Caps
from paretune.search.standing import Standing
from paretune.search.stopping import (
    compute_hypervolume,
    compute_losses,
    compute_reference_point,
    find_seconds_left,
)
from paretune.search.storage import find_best_trials
from paretune.search.study import list_finished, read_reason
from paretune.search.worker import format_values
from paretune.time_words import format_duration

log = logging.getLogger(__name__)


class Progress:
    """How far a sweep is, on the console: call it often. It logs each newly finished
    trial once, and the status line.

    Its argument is the number of a trial that this process ran and has logged itself.
    ``show``, where it is set, is called instead of logging the line.
    """

    def __init__(self, study: Study, n_trials: int | None, caps: Caps) -> None:
        self.study = study
        self.n_trials = n_trials
        self.caps = caps
        self.logged = {trial.number for trial in list_finished(study)}
        self.done_before = len(self.logged)
        self.started_s = time.monotonic()
        self.show: Callable[[], None] | None = None

    def __call__(self, ran: int | None = None) -> None:
        fresh = [
            trial
            for trial in list_finished(self.study)
            if trial.number not in self.logged
        ]
        for trial in fresh:
            self.logged.add(trial.number)
            if trial.number != ran:
                result = format_values(trial.values or ()) or read_reason(trial)
                log.info(
                    "trial %d: %s %s", trial.number, trial.state.name.lower(), result
                )
        if self.show:
            self.show()
        elif fresh:
            log.info(self.line())

    def line(self) -> str:
        """Counts of trials, the front, its hypervolume, the best score and its cost,
        the time to go.
        """
        now = Standing.read(self.study)
        done = now.finished
        parts = [self._describe_done(len(done)), *_count_others(now)]
        complete = _list_complete(done)
        if complete:
            parts += self._describe_scores(complete)

        seconds_left = self._guess_seconds_left(len(done))
        if seconds_left is not None:
            parts.append(f"{format_duration(seconds_left)} left")
        return " | ".join(parts)

    def _describe_done(self, n_done: int) -> str:
        if self.n_trials is None:
            return f"{n_done} done"
        return f"{n_done} of {self.n_trials} done"

    def _guess_seconds_left(self, n_done: int) -> float | None:
        """Until all trials are done, or the time of the sweep is over; ``None`` if
        nothing is known of either, or nothing is left to do.
        """
        guesses: list[float] = []
        if self.n_trials is not None:
            n_left = self.n_trials - n_done
            if n_left <= 0:
                return None
            guesses += self._guess_trials_s(n_left, n_done - self.done_before)
        limit_s = find_seconds_left(self.study)
        if limit_s is not None:
            guesses.append(max(limit_s, 0.0))
        return min(guesses, default=None)

    def _guess_trials_s(self, n_left: int, n_new: int) -> list[float]:
        """The seconds that ``n_left`` trials take, by those of the ``n_new`` ones; empty
        without any.
        """
        if n_new <= 0:
            return []
        trial_s = (time.monotonic() - self.started_s) / n_new
        return [trial_s * n_left]

    def _describe_scores(self, complete: list[FrozenTrial]) -> list[str]:
        losses = compute_losses(complete, self.study.directions)
        lowest = int(losses[:, -1].argmin())
        values = cast("list[float]", complete[lowest].values)
        best = f"best {format_score(values)}"
        if len(values) == 1:
            return [best]

        if len(values) == 2:
            # Of equal trials one is on the front, as in reports.
            n_members = len(front(losses))
        else:
            n_members = len(
                {tuple(trial.values) for trial in find_best_trials(self.study)}
            )
        volume = self._compute_volume(losses)
        return [f"front {n_members}", f"hypervolume {volume:.3f}", best]

    def _compute_volume(self, losses: Floats) -> float:
        """The hypervolume as the tracking store has it, so that the two agree.

        For objectives that the store has not, that of the losses.
        """
        points = self.points()
        if points is None:
            return compute_hypervolume(losses, compute_reference_point(losses))
        cap = self.caps.most.get(self.caps.axis)
        return front_volume(points[:, 0], 1 - points[:, 1], cap, self.caps.axis)

    def points(self) -> Floats | None:
        """Costs and errors ``(N, 2)`` of complete trials.

        ``None`` if there are none, or for other objectives than counts and scores.
        """
        complete = _list_complete(list_finished(self.study))
        directions = [direction.name for direction in self.study.directions]
        if not complete or directions != ["MINIMIZE", "MAXIMIZE"]:
            return None
        costs, scores = np.array([trial.values for trial in complete]).T
        are_fractions = (scores >= 0) & (scores <= 1)
        if self._are_counts(costs) and are_fractions.all():
            return costs_of(costs, scores)
        return None

    def _are_counts(self, costs: Floats) -> bool:
        axis = self.caps.axis
        if axis in self.caps.most:
            return True
        end = volume_end_of(axis)
        is_count = (costs >= 1) & (costs < end) & (costs % 1 == 0)
        return bool(is_count.all())


def _list_complete(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    return [trial for trial in trials if trial.state is TrialState.COMPLETE]


def format_score(values: Sequence[float]) -> str:
    """The last of ``values``, and the costs before it."""
    *costs, score = values
    text = format_values([score])
    if 0 <= score <= 1:
        text = f"{score:.4f}"
    if costs:
        text += f" at {format_values(costs)}"
    return text


def _count_others(now: Standing) -> list[str]:
    """Counts of the trials that are not complete, where there are any."""
    states = Counter(trial.state for trial in now.finished)
    counts = {
        "failed": states[TrialState.FAIL],
        "raced": states[TrialState.PRUNED],
        "waiting": len(now.paused),
        "running": len(now.running),
    }
    return [f"{count} {state}" for state, count in counts.items() if count]
