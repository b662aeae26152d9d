"""How a trial ended, as a recorder is told it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from optuna.trial import FrozenTrial, TrialState

from paretune.search.claims import ATTEMPT
from paretune.search.space import Space
from paretune.search.storage import read_note
from paretune.search.study import Direction, read_reason


class Ending(StrEnum):
    """What became of an attempt at a trial."""

    COMPLETE = "complete"
    RACED = "raced"
    FAILED = "failed"
    WAITING = "waiting"  # it goes on later, or again


ENDINGS = {
    TrialState.COMPLETE: Ending.COMPLETE,
    TrialState.PRUNED: Ending.RACED,
    TrialState.FAIL: Ending.FAILED,
}


@dataclass(frozen=True)
class TrialEnd:
    """The end of an attempt at the trial ``number`` of a ``sweep``.

    ``values`` are those of its objectives, which are minimised or maximised as the
    ``directions`` say; none unless it is complete. ``searched`` are
    the overrides that were searched, by their names. ``reason`` says why it failed.
    """

    sweep: str
    number: int
    attempt: int
    ending: Ending
    values: Sequence[float]
    directions: Sequence[Direction]
    searched: Mapping[str, str]
    reason: str = ""


def describe_end(
    sweep: str, trial: FrozenTrial, space: Space, directions: Sequence[Direction]
) -> TrialEnd:
    """How the last attempt at ``trial`` ended, whose parameters are of ``space``."""
    lines = space.overrides(trial.params)
    ending = ENDINGS.get(trial.state, Ending.WAITING)
    attempts = int(read_note(trial, ATTEMPT) or 0)
    # One that waits has the number of its next attempt.
    has_ended = ending is not Ending.WAITING
    return TrialEnd(
        sweep=sweep,
        number=trial.number,
        attempt=attempts if has_ended else attempts - 1,
        ending=ending,
        values=trial.values or (),
        directions=tuple(directions),
        searched=dict(line.split("=", 1) for line in lines),
        reason=read_reason(trial),
    )
