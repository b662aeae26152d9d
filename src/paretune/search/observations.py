"""The measurements of a study's trials so far."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from math import log
from operator import attrgetter

from optuna.trial import FrozenTrial, TrialState

from paretune.front import LEAST_ERROR
from paretune.search.capped_sampler import configuration_of
from paretune.search.costs import Configuration
from paretune.search.pausing import is_paused
from paretune.search.per_trial import PerTrial
from paretune.search.racing import read_rung_scores
from paretune.search.study import read_end_s

MEASURED_STATES = (TrialState.COMPLETE, TrialState.PRUNED)
ObservationKey = tuple[int | None, int | None, float]
ENDED_STATES = (*MEASURED_STATES, TrialState.FAIL)


@dataclass(frozen=True)
class Observation:
    """A measurement: the parameters, and the log error after so many epochs.

    ``epoch`` is that of the rung it was taken at; ``None`` at the end of the training.
    ``trial`` is the number of the trial.
    """

    params: Configuration
    loss: float
    epoch: int | None
    trial: int | None = None

    @property
    def key(self) -> ObservationKey:
        """What tells it from others of the same study."""
        return self.trial, self.epoch, self.loss

    @classmethod
    def all_of(cls, trial: FrozenTrial, score_at: int) -> "list[Observation]":
        """The measurements of a trial at each rung of a race, and at its end if it got
        there.
        """
        params = configuration_of(trial)
        observations: list[Observation] = []

        for epoch, score in read_rung_scores(trial.user_attrs).items():
            loss = compute_log_error(score)
            observations.append(cls(params, loss, epoch, trial.number))

        if trial.values:
            loss = compute_log_error(trial.values[score_at])
            observations.append(cls(params, loss, None, trial.number))
        return observations


@dataclass(frozen=True)
class Record:
    """What a trial teaches: its configuration, its measurements, and when it ended, in
    seconds since 1970; 0 before.
    """

    params: Configuration
    observations: list[Observation]
    end_s: float

    @classmethod
    def of(cls, trial: FrozenTrial, score_at: int) -> "Record":
        """That of a trial whose score is the value at ``score_at``."""
        observations: list[Observation] = []
        if trial.state in MEASURED_STATES or is_paused(trial):
            observations = Observation.all_of(trial, score_at)
        params = configuration_of(trial)
        if observations:
            params = observations[0].params
        return cls(params, observations, read_end_s(trial))


@dataclass(frozen=True)
class History:
    """The measurements of a study, in the order in which its trials ended, those of
    trials that wait at a rung behind them; and the configurations of its trials that
    are running, that wait and that ended.
    """

    seen: list[Observation] = field(default_factory=list)
    running: list[Configuration] = field(default_factory=list)
    waiting: list[Configuration] = field(default_factory=list)
    ended: list[Configuration] = field(default_factory=list)

    @classmethod
    def read(
        cls,
        trials: Sequence[FrozenTrial],
        score_at: int,
        number: int,
        records: PerTrial[Record] | None = None,
    ) -> "History":
        """That of ``trials`` whose score is the value at ``score_at``, without the
        running one of this ``number``; ``records`` may have those of an earlier call.
        """
        records = records or PerTrial(partial(Record.of, score_at=score_at))
        history = cls()
        waiting: list[Record] = []
        ended: list[Record] = []
        for trial in trials:
            if trial.state in ENDED_STATES:
                ended.append(records.of(trial))
            elif is_paused(trial):
                waiting.append(records.of(trial))
            elif trial.state is TrialState.RUNNING and trial.number != number:
                history.running.append(configuration_of(trial))

        ended.sort(key=attrgetter("end_s"))
        for record in (*ended, *waiting):
            history.seen.extend(record.observations)
        history.ended.extend(record.params for record in ended)
        history.waiting.extend(record.params for record in waiting)
        return history


def compute_log_error(score: float) -> float:
    """The log of one less a score in [0, 1]."""
    error = max(1 - score, LEAST_ERROR)
    return log(error)
