"""The measurements of a study's trials so far."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

from optuna.trial import FrozenTrial, TrialState

from paretune.front import LEAST_ERROR
from paretune.search.capped_sampler import configuration_of
from paretune.search.costs import Configuration
from paretune.search.pausing import is_paused
from paretune.search.racing import read_rung_scores

MEASURED_STATES = (TrialState.COMPLETE, TrialState.PRUNED)


@dataclass(frozen=True)
class Observation:
    """A measurement: the parameters, and the log error after so many epochs.

    ``epoch`` is that of the rung it was taken at; ``None`` at the end of the training.
    """

    params: Configuration
    loss: float
    epoch: int | None

    @classmethod
    def all_of(cls, trial: FrozenTrial, score_at: int) -> "list[Observation]":
        """The measurements of a trial at each rung of a race, and at its end if it got
        there.
        """
        params = configuration_of(trial)
        observations: list[Observation] = []

        for epoch, score in read_rung_scores(trial.user_attrs).items():
            loss = compute_log_error(score)
            observations.append(cls(params, loss, epoch))

        if trial.values:
            loss = compute_log_error(trial.values[score_at])
            observations.append(cls(params, loss, None))
        return observations


@dataclass(frozen=True)
class History:
    """The measurements of a study, and the configurations of its trials that are
    running and that ended or wait at a rung.
    """

    seen: list[Observation]
    running: list[Configuration]
    ended: list[Configuration]

    @classmethod
    def read(
        cls, trials: Sequence[FrozenTrial], score_at: int, number: int
    ) -> "History":
        """That of ``trials`` whose score is the value at ``score_at``, without the
        running one of this ``number``.
        """
        history = cls([], [], [])
        for trial in trials:
            if trial.state in MEASURED_STATES or is_paused(trial):
                history.seen.extend(Observation.all_of(trial, score_at))
                history.ended.append(configuration_of(trial))
            elif trial.state is TrialState.FAIL:
                history.ended.append(configuration_of(trial))
            elif trial.state is TrialState.RUNNING and trial.number != number:
                history.running.append(configuration_of(trial))
        return history


def compute_log_error(score: float) -> float:
    """The log of one less a score in [0, 1]."""
    error = max(1 - score, LEAST_ERROR)
    return log(error)
