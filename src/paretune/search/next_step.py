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
from paretune.search.partial_curves import PartialCurve
from paretune.search.racing import Race

Floats = NDArray[np.float64]
# Of the logarithm of seconds, on columns in [0, 1].
RIDGE = 0.1
LEAST_EPOCH_S = 1e-3
ATTEMPT_S = 0.5  # of a trial that is taken up, beside its epochs


class StepValues:
    """The expected hypervolume a second, as ``model`` has it, of trials in a ``race``
    of which these were ``seen``.
    """

    def __init__(
        self, model: FrontModel, race: Race, seen: Sequence[PartialCurve]
    ) -> None:
        self.model = model
        self.falls = Falls(seen)
        # Of those that were timed, which are those that have waited.
        self.timed: list[Configuration] = []
        self.seconds: list[float] = []
        known_epochs: list[int] = []
        for trial in seen:
            if trial.pause:
                self.timed.append(trial.params)
                self.seconds.append(max(trial.pause.epoch_s, LEAST_EPOCH_S))
            if trial.pause and trial.pause.epochs:
                known_epochs.append(trial.pause.epochs)
        self.epochs = race.guess_last_epoch()
        if known_epochs:
            self.epochs = int(median(known_epochs))

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
        epoch_s = LEAST_EPOCH_S
        if trial.pause:
            epoch_s = max(trial.pause.epoch_s, LEAST_EPOCH_S)
        epochs_left = max(self._count_epochs(trial) - trial.epoch, 1)
        return ATTEMPT_S + epoch_s * epochs_left

    def value_new(self, candidates: Sequence[Configuration]) -> Floats:
        """The values ``(M,)`` of beginning each of the ``candidates``."""
        surrogate = self.model.surrogate
        assert surrogate
        gains = self.model.predict_gains(surrogate, candidates, self.model.reference)
        seconds = ATTEMPT_S + self.predict_epoch_s(candidates) * self.epochs
        return gains / seconds

    def predict_epoch_s(self, candidates: Sequence[Configuration]) -> Floats:
        """Seconds ``(M,)`` of an epoch: each setting makes it so many times as long.
        Never beyond those that were measured; 1 before any was.
        """
        if not self.timed:
            return np.ones(len(candidates))
        # It takes half a second to import.
        from sklearn.linear_model import Ridge

        logs = np.log(self.seconds)
        ridge = Ridge(alpha=RIDGE).fit(self.model.make_rows(self.timed), logs)
        predicted = ridge.predict(self.model.make_rows(candidates))
        return np.asarray(np.exp(np.clip(predicted, logs.min(), logs.max())))
