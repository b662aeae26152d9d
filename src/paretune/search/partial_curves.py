"""Learning curves of a race as far as they are known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from optuna.trial import FrozenTrial

from paretune.search.capped_sampler import configuration_of
from paretune.search.costs import Configuration
from paretune.search.observations import compute_log_error
from paretune.search.pausing import Pause, read_pause
from paretune.search.racing import read_rung_scores


@dataclass(frozen=True)
class PartialCurve:
    """A trial as far as it was trained: its log error at each rung by the epoch, and at
    its end if it is there; ``pause`` is where it waits, or waited last, if it did.
    """

    params: Configuration
    rung_losses: Mapping[int, float]
    end_loss: float | None = None
    pause: Pause | None = None

    @property
    def epoch(self) -> int:
        """The last rung that it was at."""
        return max(self.rung_losses)

    @property
    def loss(self) -> float:
        """What it had there."""
        return self.rung_losses[self.epoch]


def list_partial_curves(
    trials: Sequence[FrozenTrial], score_at: int
) -> list[PartialCurve]:
    """Those of ``trials`` whose score is the value at ``score_at``; those that were at no
    rung are left out.
    """
    curves: list[PartialCurve] = []
    for trial in trials:
        scores = read_rung_scores(trial.user_attrs)
        if not scores:
            continue
        end_loss = None
        if trial.values:
            end_loss = compute_log_error(trial.values[score_at])
        rung_losses = {
            epoch: compute_log_error(score) for epoch, score in scores.items()
        }
        params = configuration_of(trial)
        curves.append(PartialCurve(params, rung_losses, end_loss, read_pause(trial)))
    return curves
