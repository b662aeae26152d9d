"""How much the log error of a trial falls from a rung of a race to its end."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import log, sqrt

import numpy as np

from paretune.search.partial_curves import PartialCurve

# What is assumed before others came to their end, as so many trials: the mean and the
# deviation for each time that the epochs are e times as many. Of 90 trainings on MNIST
# (studies/curves).
PRIOR_TRIALS = 4
PRIOR_FALL = 0.27
PRIOR_DEVIATION = 0.15
ALIKE = 0.5  # distance of log errors at a rung within which others tell much
LEAST_TIMES = 0.1  # of them, that is a logarithm


@dataclass(frozen=True)
class Fall:
    """How much a log error falls: mean and deviation."""

    mean: float
    deviation: float


class Falls:
    """What the trials that came to their end tell of those that have not.

    The deviation is that of single trials, not that of the mean.
    """

    def __init__(self, seen: Sequence[PartialCurve]) -> None:
        # By the epoch of a rung: log errors there, and how much they fell.
        self.losses: dict[int, list[float]] = defaultdict(list)
        self.falls: dict[int, list[float]] = defaultdict(list)
        for trial in seen:
            if trial.end_loss is None:
                continue
            for epoch, loss in trial.rung_losses.items():
                self.losses[epoch].append(loss)
                self.falls[epoch].append(loss - trial.end_loss)

    def predict(self, epoch: int, loss: float, epochs: int) -> Fall:
        """From a rung at ``epoch``, where a trial has this log error, to the end after
        ``epochs``: a mean over the others, the more weight the nearer their log errors
        there are.
        """
        losses = np.array(self.losses[epoch])
        falls = np.array(self.falls[epoch])
        distances = (losses - loss) / ALIKE
        weights = np.exp(-0.5 * distances**2)
        total = PRIOR_TRIALS + weights.sum()

        times = max(log(epochs / epoch), LEAST_TIMES)
        prior_sum = PRIOR_TRIALS * PRIOR_FALL * times
        mean = (prior_sum + weights @ falls) / total

        prior_squares = PRIOR_TRIALS * (PRIOR_DEVIATION * times) ** 2
        squares = prior_squares + weights @ (falls - mean) ** 2
        return Fall(float(mean), sqrt(squares / total))
