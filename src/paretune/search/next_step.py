"""What a second of training is worth: of a trial that waits at a rung, and of a new one.

The idea of freeze-thaw (Swersky, Snoek and Adams 2014,
https://arxiv.org/abs/1406.3896): it is the hypervolume that a trial is expected to add
by the end of its training, for each second until then. A trial that waits has less of
its training left than a new one, so it goes on unless what is known of it by now is
worse than what is expected of a new one.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import log, sqrt
from statistics import median

import numpy as np
from numpy.typing import NDArray
from optuna.trial import FrozenTrial

from paretune.search.capped_sampler import configuration_of
from paretune.search.costs import Configuration
from paretune.search.front_model import FrontModel
from paretune.search.observations import compute_log_error
from paretune.search.pausing import read_pause
from paretune.search.racing import Race, read_rung_scores

Floats = NDArray[np.float64]
# What is assumed of how much the log error falls from a rung to the end, as so many
# trials: the mean and the deviation for each time that the epochs are e times as many.
# Of 90 trainings on MNIST (studies/curves).
PRIOR_TRIALS = 4
PRIOR_FALL = 0.27
PRIOR_DEVIATION = 0.15
# Of the seconds' logarithm on columns in [0, 1].
RIDGE = 0.1
ALIKE = 0.5  # distance of log errors at a rung within which others tell much
LEAST_TIMES = 0.1  # that the epochs may be e times as many
LEAST_EPOCH_S = 1e-3
ATTEMPT_S = 0.5  # of a trial that is taken up, beside its epochs


@dataclass(frozen=True)
class Progress:
    """A trial as far as it was trained: its log error at each rung by the epoch, and at
    its end if it is there; ``epoch_s`` are seconds of an epoch, if they were measured,
    and ``epochs`` those of its whole training, if they are known.
    """

    params: Configuration
    rung_losses: Mapping[int, float]
    end_loss: float | None = None
    epoch_s: float | None = None
    epochs: int | None = None

    @property
    def epoch(self) -> int:
        """The last rung that it was at."""
        return max(self.rung_losses)


def list_progress(trials: Sequence[FrozenTrial], score_at: int) -> list[Progress]:
    """That of ``trials`` whose score is the value at ``score_at``; those that were at no
    rung are left out.
    """
    progress: list[Progress] = []
    for trial in trials:
        scores = read_rung_scores(trial.user_attrs)
        if not scores:
            continue
        pause = read_pause(trial)
        progress.append(
            Progress(
                configuration_of(trial),
                {epoch: compute_log_error(score) for epoch, score in scores.items()},
                compute_log_error(trial.values[score_at]) if trial.values else None,
                pause.epoch_s if pause else None,
                pause.epochs if pause else None,
            )
        )
    return progress


class StepValues:
    """The expected hypervolume a second, as ``model`` has it, of trials in a ``race``
    of which these were ``seen``.
    """

    def __init__(self, model: FrontModel, race: Race, seen: Sequence[Progress]) -> None:
        self.model = model
        self.seen = seen
        known = [one.epochs for one in seen if one.epochs]
        self.epochs = int(median(known)) if known else race.guess_last_epoch()

    def value_waiting(self, waiting: Sequence[Progress]) -> Floats:
        """The values ``(N,)`` of going on with each of those that wait at a rung."""
        if not waiting:
            return np.zeros(0)
        losses = [one.rung_losses[one.epoch] for one in waiting]
        falls = [self._find_fall(one) for one in waiting]
        gains = self.model.improve(
            [one.params for one in waiting],
            np.array(losses) - np.array([fall.mean for fall in falls]),
            np.array([fall.deviation for fall in falls]),
            self.model.reference,
        )
        epoch_s = np.array([one.epoch_s or LEAST_EPOCH_S for one in waiting])
        left = [(one.epochs or self.epochs) - one.epoch for one in waiting]
        return np.asarray(gains / (ATTEMPT_S + epoch_s * np.maximum(left, 1)))

    def value_new(self, candidates: Sequence[Configuration]) -> Floats:
        """The values ``(M,)`` of beginning each of the ``candidates``."""
        surrogate = self.model.surrogate
        assert surrogate
        gains = self.model.predict_gains(surrogate, candidates, self.model.reference)
        seconds = ATTEMPT_S + self._predict_epoch_s(candidates) * self.epochs
        return gains / seconds

    def _find_fall(self, waiting: Progress) -> "_Fall":
        """Of the log error from where the trial waits to its end: what it was of others
        that had about as much at the same rung.
        """
        epoch = waiting.epoch
        losses, falls = self._falls[epoch]
        distances = (losses - waiting.rung_losses[epoch]) / ALIKE
        weights = np.exp(-0.5 * distances**2)
        times = max(log((waiting.epochs or self.epochs) / epoch), LEAST_TIMES)
        total = weights.sum() + PRIOR_TRIALS
        mean = (weights @ falls + PRIOR_TRIALS * PRIOR_FALL * times) / total
        squares = weights @ (falls - mean) ** 2
        squares += PRIOR_TRIALS * (PRIOR_DEVIATION * times) ** 2
        return _Fall(float(mean), float(sqrt(squares / total)))

    @cached_property
    def _falls(self) -> Mapping[int, tuple[Floats, Floats]]:
        """By the epoch of a rung: the log errors ``(N,)`` there of trials that came to
        their end, and how much they fell until then.
        """
        losses: dict[int, list[float]] = defaultdict(list)
        falls: dict[int, list[float]] = defaultdict(list)
        for one in self.seen:
            if one.end_loss is None:
                continue
            for epoch, loss in one.rung_losses.items():
                losses[epoch].append(loss)
                falls[epoch].append(loss - one.end_loss)
        return defaultdict(
            lambda: (np.zeros(0), np.zeros(0)),
            {
                epoch: (np.array(losses[epoch]), np.array(falls[epoch]))
                for epoch in losses
            },
        )

    def _predict_epoch_s(self, candidates: Sequence[Configuration]) -> Floats:
        """Seconds ``(M,)`` of an epoch: settings make it so many times as long."""
        timed = [one for one in self.seen if one.epoch_s is not None]
        if not timed:
            return np.ones(len(candidates))
        seconds = [max(one.epoch_s or 0.0, LEAST_EPOCH_S) for one in timed]
        rows = self.model.make_rows([one.params for one in timed])
        predicted = _regress(rows, np.log(seconds), self.model.make_rows(candidates))
        return np.exp(predicted)


@dataclass(frozen=True)
class _Fall:
    """How much a number falls: mean and deviation."""

    mean: float
    deviation: float


def _regress(rows: Floats, values: Floats, asked: Floats) -> Floats:
    """Ridge regression: values ``(M,)`` at ``asked`` ``(M, D)`` of those at ``rows``
    ``(N, D)``, never beyond those that were seen.
    """
    middle = rows.mean(axis=0)
    mean = values.mean()
    centred = rows - middle
    gram = centred.T @ centred + RIDGE * np.eye(rows.shape[1])
    slopes = np.linalg.solve(gram, centred.T @ (values - mean))
    predicted = mean + (asked - middle) @ slopes
    return np.asarray(np.clip(predicted, values.min(), values.max()))
