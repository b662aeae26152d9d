"""Guesses of how long trainings take, made before any of them."""

from collections.abc import Callable, Mapping, Sequence
from math import inf, isnan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paretune.search.costs import Configuration
from paretune.search.per_trial import PerObject

Floats = NDArray[np.float64]
GuessDuration = Callable[[Mapping[str, Any]], float]
LEAST_GUESS = 1e-12


class GuessedDurations:
    """Guesses above 0 of how long trainings take, without a training and up to a
    constant; infinite where ``guess`` gives no number. Of configurations that were
    trained each is made once.
    """

    def __init__(self, guess: GuessDuration) -> None:
        self.guess = guess
        self._of_trained: PerObject[float] = PerObject()

    def list_new(self, configurations: Sequence[Configuration]) -> Floats:
        """Those ``(N,)`` of configurations that come and go."""
        return np.array([self._guess(params) for params in configurations])

    def list_trained(self, configurations: Sequence[Configuration]) -> Floats:
        """Those ``(N,)`` of configurations that are kept themselves."""
        guesses: list[float] = []
        for params in configurations:
            guessed = self._of_trained.get(params)
            if guessed is None:
                guessed = self._guess(params)
                self._of_trained.keep(params, guessed)
            guesses.append(guessed)
        return np.array(guesses)

    def _guess(self, params: Configuration) -> float:
        duration = self.guess(params)
        return inf if isnan(duration) else max(duration, LEAST_GUESS)
