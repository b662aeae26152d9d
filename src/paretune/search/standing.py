"""Where the trials of a study stand."""

from dataclasses import dataclass, field
from typing import Self

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from paretune.search.pausing import is_paused


@dataclass(frozen=True)
class Standing:
    """All trials of a study at one moment, each in one list, by their numbers.

    ``queued`` ones wait to be trained first or again, ``paused`` ones at a rung.
    """

    finished: list[FrozenTrial] = field(default_factory=list)
    running: list[FrozenTrial] = field(default_factory=list)
    paused: list[FrozenTrial] = field(default_factory=list)
    queued: list[FrozenTrial] = field(default_factory=list)

    @classmethod
    def read(cls, study: Study) -> Self:
        """That of the trials of ``study`` now."""
        standing = cls()
        for trial in study.get_trials(deepcopy=False):
            standing._list_of(trial).append(trial)
        return standing

    def _list_of(self, trial: FrozenTrial) -> list[FrozenTrial]:
        if trial.state.is_finished():
            return self.finished
        if trial.state is TrialState.RUNNING:
            return self.running
        return self.paused if is_paused(trial) else self.queued

    @property
    def n_begun(self) -> int:
        """How many were begun and need not be begun again."""
        return len(self.finished) + len(self.running) + len(self.paused)

    @property
    def n_trials(self) -> int:
        """How many there are, which is the number of the next one."""
        return self.n_begun + len(self.queued)
