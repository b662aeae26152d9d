"""The measurements of a study's trials so far."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter

from optuna.trial import FrozenTrial, TrialState

from paretune.search.costs import Configuration
from paretune.search.partial_curves import PartialCurve
from paretune.search.pausing import is_paused
from paretune.search.per_trial import PerTrial
from paretune.search.study import read_end_s

MEASURED_STATES = (TrialState.COMPLETE, TrialState.PRUNED)
ObservationKey = tuple[int | None, int | None, float]
ENDED_STATES = (*MEASURED_STATES, TrialState.FAIL)


@dataclass(frozen=True)
class Observation:
    """A measurement: the parameters, and the log error after so many epochs.

    ``epoch`` is that of the rung it was taken at; ``None`` at the end of the training.
    ``trial`` is the number of the trial. ``deviation`` is the standard error of the
    loss, 0 if nobody has told it.
    """

    params: Configuration
    loss: float
    epoch: int | None
    trial: int | None = None
    deviation: float = 0.0

    @property
    def key(self) -> ObservationKey:
        """What tells it from others of the same study."""
        return self.trial, self.epoch, self.loss

    @classmethod
    def all_of(cls, curve: PartialCurve, trial: int) -> "list[Observation]":
        """The measurements of the trial of this number, which has such a ``curve``: at
        each rung of a race, and at its end if it got there.
        """
        observations = [
            cls(curve.params, loss, epoch, trial)
            for epoch, loss in curve.rung_losses.items()
        ]
        if curve.end_loss is not None:
            observations.append(
                cls(curve.params, curve.end_loss, None, trial, curve.deviation)
            )
        return observations


@dataclass(frozen=True)
class Record:
    """What is known of a trial: its curve, its measurements that teach, and when it
    ended, in seconds since 1970; 0 before. Of a trial that was taken up again those
    teach that it had when it waited.
    """

    curve: PartialCurve
    observations: list[Observation]
    end_s: float

    @classmethod
    def of(cls, trial: FrozenTrial, score_at: int) -> "Record":
        """That of a trial whose score is the value at ``score_at``."""
        curve = PartialCurve.of(trial, score_at)
        observations: list[Observation] = []
        if trial.state in MEASURED_STATES or is_paused(trial):
            observations = Observation.all_of(curve, trial.number)
        elif trial.state is TrialState.RUNNING:
            observations = Observation.all_of(curve.until_pause(), trial.number)
        return cls(curve, observations, read_end_s(trial))

    @property
    def params(self) -> Configuration:
        """Its configuration."""
        return self.curve.params


@dataclass(frozen=True)
class History:
    """The measurements of a study, in the order in which its trials ended, those of
    trials that wait at a rung, or have waited there, behind them; and the
    configurations of its trials that are running, that wait and that ended.
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
        ended: list[Record] = []
        waiting: list[Record] = []
        running: list[Record] = []
        for trial in trials:
            if trial.state in ENDED_STATES:
                ended.append(records.of(trial))
            elif is_paused(trial):
                waiting.append(records.of(trial))
            elif trial.state is TrialState.RUNNING and trial.number != number:
                running.append(records.of(trial))

        ended.sort(key=attrgetter("end_s"))
        for record in (*ended, *waiting, *running):
            history.seen.extend(record.observations)
        history.ended.extend(record.params for record in ended)
        history.waiting.extend(record.params for record in waiting)
        history.running.extend(record.params for record in running)
        return history
