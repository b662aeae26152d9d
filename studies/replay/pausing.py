"""Pause instead of kill, as a policy: the sweeper's own choice of what a free worker
does next.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import optuna
from optuna.trial import Trial

from paretune.pause import Pause
from paretune.search.capped_sampler import CappedSampler
from paretune.search.claims import ask, pause
from paretune.search.pausing import read_pause
from paretune.search.racing import decide_pause
from paretune.search.worker import suggest_all
from studies.replay import sweeps
from studies.replay.policy import Outcome, Setting, Step

RACE = replace(sweeps.RACE, pause=True)


@dataclass
class _Attempt:
    """A trial in a worker's hands: its step, and the seconds since it took it up."""

    trial: Trial
    step: Step
    seconds: float = 0.0


class PausingPolicy:
    """A sweep whose trials wait at rungs. All trials have one seed."""

    def __init__(self, setting: Setting, sampler: CappedSampler) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.space = setting.question.space
        self.study = optuna.create_study(
            directions=["minimize", "maximize"], sampler=sampler
        )
        self.stops = sorted({*RACE.epochs(), setting.epochs})
        self.in_hand: dict[int, _Attempt] = {}

    def ask(self, worker: int, now_s: float) -> Step | None:
        """The next rung of the worker's trial, of one that waits, or a new trial."""
        if worker in self.in_hand:
            attempt = self.in_hand[worker]
            until = self._find_next_stop(attempt.step.until)
            attempt.step = replace(attempt.step, until=until)
            return attempt.step
        asked = ask(self.study, lambda n_begun: True, RACE)
        if asked is None:
            return None
        trial, _ = asked
        params = suggest_all(self.space, trial)
        where = read_pause(trial)
        until = self._find_next_stop(where.epoch if where else 0)
        step = Step(trial.number, params, 0, until)
        self.in_hand[worker] = _Attempt(trial, step)
        return step

    def _find_next_stop(self, epoch: int) -> int:
        return next(stop for stop in self.stops if stop > epoch)

    def tell(self, worker: int, outcome: Outcome) -> None:
        """The trial goes on, waits at its rung, or is complete."""
        attempt = self.in_hand[worker]
        trial = attempt.trial
        attempt.seconds += outcome.step_s
        if outcome.epoch == self.stops[-1]:
            del self.in_hand[worker]
            self.study.tell(trial, [outcome.cost, outcome.best])
            return
        pauses = decide_pause(self.study, trial, RACE, 0, lambda: attempt.seconds)
        if not pauses(outcome.epoch, (outcome.cost, outcome.f1[-1])):
            return
        del self.in_hand[worker]
        epoch_s = outcome.epochs_s / outcome.epoch
        where = Pause(outcome.epoch, epoch_s, self.stops[-1], outcome.begin_s)
        pause(self.study, trial, where)


def pause_with(
    make_sampler: Callable[[Setting], CappedSampler],
) -> Callable[[Setting], PausingPolicy]:
    """Makes the policy of a sweep with such a sampler, and with pauses."""

    def make(setting: Setting) -> PausingPolicy:
        return PausingPolicy(setting, make_sampler(setting))

    return make
