"""What a second of training is worth: of a trial that waits at a rung, and of a new one.

The idea of freeze-thaw (Swersky, Snoek and Adams 2014,
https://arxiv.org/abs/1406.3896): it is the hypervolume that a trial is expected to add
by the end of its training, for each second until then. A trial that waits has less of
its training left than a new one, so it goes on unless what is known of it by now is
worse than what is expected of a new one.
"""

from collections.abc import Sequence
from statistics import median

import numpy as np
from numpy.typing import NDArray

from paretune.search.costs import Configuration
from paretune.search.falls import Falls
from paretune.search.front_model import FrontModel
from paretune.search.guessed_durations import GuessedDurations
from paretune.search.partial_curves import PartialCurve
from paretune.search.racing import Race
from paretune.search.training_times import TrainingTimes

Floats = NDArray[np.float64]
# New trials whose seconds are told as well as can be: those that are worth most by a
# rough guess of theirs.
SHORTLIST = 32
LEAST_EPOCH_S = 1e-3
ATTEMPT_S = 0.5  # of a trial that is taken up, beside its epochs


class StepValues:
    """The expected hypervolume a second, as ``model`` has it, of trials in a ``race``
    of which these were ``seen``.
    """

    def __init__(
        self,
        model: FrontModel,
        race: Race,
        seen: Sequence[PartialCurve],
        guesses: GuessedDurations | None = None,
    ) -> None:
        self.model = model
        self.falls = Falls(seen)
        # Those that have waited are the ones that were timed.
        timed = [trial for trial in seen if trial.pause and model.has(trial.params)]
        self.epochs = _find_usual_epochs(timed) or race.guess_last_epoch()
        params = [trial.params for trial in timed]
        seconds = [self._count_seconds(trial) for trial in timed]
        self.times = TrainingTimes(model, params, seconds, guesses)

    def value_waiting(self, waiting: Sequence[PartialCurve]) -> Floats:
        """The values ``(N,)`` of going on with each of those that wait at a rung."""
        if not waiting:
            return np.zeros(0)
        means: list[float] = []
        deviations: list[float] = []
        for trial in waiting:
            epochs = self._count_epochs(trial)
            fall = self.falls.predict(trial.epoch, trial.loss, epochs)
            means.append(trial.loss - fall.mean)
            deviations.append(fall.deviation)
        gains = self.model.improve(
            [trial.params for trial in waiting],
            np.array(means),
            np.array(deviations),
            self.model.reference,
        )
        seconds = [self._count_seconds_left(trial) for trial in waiting]
        return np.asarray(gains / np.array(seconds))

    def _count_epochs(self, trial: PartialCurve) -> int:
        """Those of its whole training."""
        known = trial.pause.epochs if trial.pause else None
        return known or self.epochs

    def _count_seconds_left(self, trial: PartialCurve) -> float:
        epochs_left = max(self._count_epochs(trial) - trial.epoch, 1)
        return ATTEMPT_S + _find_epoch_s(trial) * epochs_left

    def _count_seconds(self, trial: PartialCurve) -> float:
        """Those of its whole training."""
        begin_s = trial.pause.begin_s if trial.pause else 0.0
        return ATTEMPT_S + begin_s + _find_epoch_s(trial) * self._count_epochs(trial)

    def value_new(self, candidates: Sequence[Configuration]) -> Floats:
        """The values ``(M,)`` of beginning each of a few ``candidates``."""
        return self._predict_gains(candidates) / self.times.predict(candidates)

    def choose_new(self, candidates: Sequence[Configuration]) -> tuple[int, float]:
        """The position of the candidate that is worth most, and its value."""
        gains = self._predict_gains(candidates)
        rough_values = gains / self.times.predict_roughly(candidates)
        shortlist = np.argsort(-rough_values, kind="stable")[:SHORTLIST]

        shortlisted = [candidates[index] for index in shortlist]
        seconds = self.times.predict(shortlisted)
        values = gains[shortlist] / seconds
        best = values.argmax()
        return int(shortlist[best]), float(values[best])

    def _predict_gains(self, candidates: Sequence[Configuration]) -> Floats:
        surrogate = self.model.surrogate
        assert surrogate
        return self.model.predict_gains(surrogate, candidates, self.model.reference)


def _find_usual_epochs(timed: Sequence[PartialCurve]) -> int | None:
    """Those of a whole training; ``None`` if none of the trials knows."""
    known: list[int] = []
    for trial in timed:
        if trial.pause and trial.pause.epochs:
            known.append(trial.pause.epochs)
    return int(median(known)) if known else None


def _find_epoch_s(trial: PartialCurve) -> float:
    if trial.pause is None:
        return LEAST_EPOCH_S
    return max(trial.pause.epoch_s, LEAST_EPOCH_S)
