"""Trials that wait at a rung of a race: which of them goes on, if any.

A trial that waits has the state WAITING and the note :data:`PAUSED`. By itself the rule
is that of asynchronous successive halving (Li et al. 2020,
https://arxiv.org/abs/1810.05934): from each rung the best go on. A sampler that has a
better one implements :class:`ChoosesSteps`.
"""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from paretune.pause import Pause
from paretune.search.racing import Race, find_staying
from paretune.search.storage import read_note

PAUSED = "paused"


@runtime_checkable
class ChoosesSteps(Protocol):
    """A sampler that weighs paused trials against new ones."""

    def choose_paused(
        self,
        study: Study,
        race: Race,
        paused: Sequence[FrozenTrial],
        *,
        may_begin: bool,
    ) -> FrozenTrial | None:
        """The one of the ``paused`` trials that is worth most; ``None`` if a new one is
        worth more, and ``may_begin``.
        """


def read_pause(trial: FrozenTrial | Trial) -> Pause | None:
    """Where a trial stopped last, also if it has gone on since; ``None`` if it never
    did.
    """
    noted: dict[str, Any] | None = read_note(trial, PAUSED)
    if noted is None:
        return None
    return Pause(**noted)


def is_paused(trial: FrozenTrial) -> bool:
    """Whether it waits at a rung; no other one that waits was trained yet, or it was cut
    off.
    """
    return trial.state is TrialState.WAITING and read_pause(trial) is not None


def list_paused(study: Study) -> list[FrozenTrial]:
    """The trials that wait at a rung."""
    waiting = study.get_trials(deepcopy=False, states=[TrialState.WAITING])
    return [trial for trial in waiting if is_paused(trial)]


def choose_paused(
    study: Study, race: Race | None, paused: Sequence[FrozenTrial], *, may_begin: bool
) -> FrozenTrial | None:
    """The one of the ``paused`` trials that goes on now; ``None`` if none does, or if a
    new one is worth more, and ``may_begin``.
    """
    if not paused:
        return None
    if race is None:
        # The sweep was started with a race, and goes on without.
        return None if may_begin else paused[0]
    sampler = study.sampler
    if isinstance(sampler, ChoosesSteps):
        # To rank a rung takes long: a sampler that weighs all of them needs no ranks.
        choice = paused if may_begin else list_promoted(study, race, paused)
        return sampler.choose_paused(study, race, choice, may_begin=may_begin)
    return max(list_promoted(study, race, paused), key=_rank, default=None)


def may_go_on(study: Study, race: Race | None, paused: Sequence[FrozenTrial]) -> bool:
    """Whether any of the ``paused`` trials goes on if no new one may begin."""
    return race is None or bool(list_promoted(study, race, paused))


def list_promoted(
    study: Study, race: Race, paused: Sequence[FrozenTrial]
) -> list[FrozenTrial]:
    """Those that would not be stopped by the race if they came to their rung now."""
    epochs = {_find_epoch(trial) for trial in paused}
    staying = {epoch: find_staying(study, epoch, race) for epoch in epochs}
    return [trial for trial in paused if trial.number in staying[_find_epoch(trial)]]


def _find_epoch(trial: FrozenTrial) -> int:
    pause = read_pause(trial)
    assert pause
    return pause.epoch


def _rank(trial: FrozenTrial) -> tuple[int, int]:
    """The farther the better; of equals the older one."""
    return _find_epoch(trial), -trial.number
