"""How many seconds whole trainings take, learnt from those that were timed."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paretune.search.costs import Configuration
from paretune.search.front_model import FrontModel
from paretune.search.guessed_durations import GuessedDurations

Floats = NDArray[np.float64]
# Of the logarithm of seconds, on columns in [0, 1].
RIDGE = 0.1
# The last trials that tell how a guess and the seconds of this machine go together.
COMPARED = 50


class TrainingTimes:
    """The seconds of whole trainings, of which those of the ``timed`` took so many
    ``seconds``; 1 before any was timed. With ``guesses`` they are told by these.
    """

    def __init__(
        self,
        model: FrontModel,
        timed: Sequence[Configuration],
        seconds: Sequence[float],
        guesses: GuessedDurations | None = None,
    ) -> None:
        self.model = model
        self.timed = timed
        self.logs = np.log(seconds)
        self.guesses = guesses

    def predict_roughly(self, candidates: Sequence[Configuration]) -> Floats:
        """Those ``(M,)`` of whole trainings, soon: each setting makes it so many times
        as long. Never beyond those that were timed.
        """
        if not self.timed:
            return np.ones(len(candidates))
        predicted = self._ridge.predict(self.model.make_rows(candidates))
        return np.asarray(np.exp(np.clip(predicted, self.logs.min(), self.logs.max())))

    @cached_property
    def _ridge(self) -> Any:
        # It takes half a second to import.
        from sklearn.linear_model import Ridge

        return Ridge(alpha=RIDGE).fit(self.model.make_rows(self.timed), self.logs)

    def predict(self, candidates: Sequence[Configuration]) -> Floats:
        """Those ``(M,)`` of whole trainings: the guesses, times what trainings on this
        machine took of theirs, and no less than the shortest took; infinite for what
        cannot be built. Without guesses as :meth:`predict_roughly`.

        On two sweeps of MNIST it was off by a factor of 1.23 (root mean square of its
        logarithm), the rough one by 1.9.
        """
        ratio = self._compare()
        if self.guesses is None or ratio is None:
            return self.predict_roughly(candidates)
        seconds = ratio * self.guesses.list_new(candidates)
        return np.asarray(np.maximum(seconds, np.exp(self.logs.min())))

    def _compare(self) -> float | None:
        """How many seconds there are for each unit of a guess, by the last trainings;
        ``None`` if nothing tells.
        """
        if self.guesses is None or not self.timed:
            return None
        guessed = self.guesses.list_trained(self.timed[-COMPARED:])
        # An earlier version may have built what this one refuses.
        is_known = np.isfinite(guessed)
        if not is_known.any():
            return None
        logs = self.logs[-COMPARED:][is_known] - np.log(guessed[is_known])
        return float(np.exp(np.median(logs)))
