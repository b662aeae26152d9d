"""Learning curves as far as a study knows them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import log

from optuna.trial import FrozenTrial

from paretune.front import LEAST_ERROR
from paretune.pause import Pause
from paretune.search.capped_sampler import configuration_of
from paretune.search.costs import Configuration
from paretune.search.pausing import read_pause
from paretune.search.racing import read_rung_scores

STANDARD_ERROR = "standard error"  # of a trial's score: its attribute


@dataclass(frozen=True)
class PartialCurve:
    """A trial as far as it was trained: its log error at each rung of a race by the
    epoch, and at its end if it is there; ``pause`` is where it waits, or waited last,
    if it did. ``deviation`` is how far the log error at the end is off, as a standard
    error; 0 where nobody has told.
    """

    params: Configuration
    rung_losses: Mapping[int, float]
    end_loss: float | None = None
    pause: Pause | None = None
    deviation: float = 0.0

    @classmethod
    def of(cls, trial: FrozenTrial, score_at: int) -> "PartialCurve":
        """That of a trial whose score is the value at ``score_at``."""
        rung_losses: dict[int, float] = {}
        for epoch, score in read_rung_scores(trial.user_attrs).items():
            rung_losses[epoch] = compute_log_error(score)
        end_loss = None
        deviation = 0.0
        if trial.values:
            score = trial.values[score_at]
            end_loss = compute_log_error(score)
            standard_error = trial.user_attrs.get(STANDARD_ERROR, 0.0)
            deviation = standard_error / max(1 - score, LEAST_ERROR)
        params = configuration_of(trial)
        return cls(params, rung_losses, end_loss, read_pause(trial), deviation)

    def until_pause(self) -> "PartialCurve":
        """What of it was there when it waited last; nothing if it never did."""
        epoch = self.pause.epoch if self.pause else 0
        reached = {at: loss for at, loss in self.rung_losses.items() if at <= epoch}
        return replace(self, rung_losses=reached, end_loss=None)

    @property
    def epoch(self) -> int:
        """The last rung that it was at."""
        return max(self.rung_losses)

    @property
    def loss(self) -> float:
        """What it had there."""
        return self.rung_losses[self.epoch]


def compute_log_error(score: float) -> float:
    """The log of one less a score in [0, 1]."""
    error = max(1 - score, LEAST_ERROR)
    return log(error)
