"""Pause instead of kill, as a policy: the sweeper's own choice of what a free worker
does next.
"""

from collections.abc import Callable
from dataclasses import replace

import optuna
from optuna.trial import Trial

from paretune.search.capped_sampler import CappedSampler
from paretune.search.claims import ask, pause
from paretune.search.pausing import Pause, read_pause
from paretune.search.racing import decide_pause
from paretune.search.worker import suggest_all
from studies.replay import sweeps
from studies.replay.policy import Outcome, Setting, Step

RACE = replace(sweeps.RACE, pause=True)


class PausingPolicy:
    """A sweep whose trials wait at each rung. All trials have one seed."""

    def __init__(self, setting: Setting, sampler: CappedSampler) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.space = setting.question.space
        self.study = optuna.create_study(
            directions=["minimize", "maximize"], sampler=sampler
        )
        self.stops = sorted({*RACE.epochs(), setting.epochs})
        self.in_hand: dict[int, Trial] = {}
        self.seconds: dict[int, float] = {}

    def ask(self, worker: int, now_s: float) -> Step | None:
        """A trial that waits, up to its next rung, or a new one."""
        asked = ask(self.study, lambda n_begun: True, RACE)
        if asked is None:
            return None
        trial, _ = asked
        self.in_hand[worker] = trial
        params = suggest_all(self.space, trial)
        where = read_pause(trial)
        waited_at = where.epoch if where else 0
        until = next(stop for stop in self.stops if stop > waited_at)
        return Step(trial.number, params, 0, until)

    def tell(self, worker: int, outcome: Outcome) -> None:
        """The trial waits at its rung, or is complete."""
        trial = self.in_hand.pop(worker)
        seconds = self.seconds.pop(trial.number, 0.0) + outcome.step_s
        if outcome.epoch == self.stops[-1]:
            self.study.tell(trial, [outcome.cost, outcome.best])
            return
        self.seconds[trial.number] = seconds
        pauses = decide_pause(self.study, trial, RACE, 0)
        assert pauses(outcome.epoch, (outcome.cost, outcome.f1[-1]))
        where = Pause(outcome.epoch, seconds / outcome.epoch, self.stops[-1])
        pause(self.study, trial, where)


def pause_with(
    make_sampler: Callable[[Setting], CappedSampler],
) -> Callable[[Setting], PausingPolicy]:
    """Makes the policy of a sweep with such a sampler, and with pauses."""

    def make(setting: Setting) -> PausingPolicy:
        return PausingPolicy(setting, make_sampler(setting))

    return make
