"""Sweeps with a race as policies: an Optuna study in memory, a sampler, and the race of
``sweeps/record.yaml``.
"""

from collections.abc import Callable
from copy import copy

import optuna
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.trial import Trial, TrialState

from paretune.search.capped_sampler import CappedSampler
from paretune.search.feasible_sampler import FeasibleSampler
from paretune.search.feasible_space import FeasibleSpace
from paretune.search.front_sampler import FrontSampler
from paretune.search.portfolio import place_entries
from paretune.search.racing import Race, judge
from paretune.search.worker import suggest_all
from studies.first_generation import FirstFrontSampler
from studies.replay.policy import Outcome, Setting, Step

RACE = Race(eta=3, rungs=2, min_epochs=3, margin=0.15)
MakeSampler = Callable[[Setting], BaseSampler]


class SweepPolicy:
    """A sweep: each worker trains one trial after another, and at each rung the race
    says whether it goes on. All trials have one seed.
    """

    def __init__(self, setting: Setting, sampler: BaseSampler) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.space = setting.question.space
        self.study = optuna.create_study(
            directions=["minimize", "maximize"], sampler=sampler
        )
        self.stops = sorted({*RACE.epochs(), setting.epochs})
        self.in_hand: dict[int, Trial] = {}
        self.steps: dict[int, Step] = {}

    def ask(self, worker: int, now_s: float) -> Step:
        """The next rung of the worker's trial, or a new trial."""
        if worker in self.in_hand:
            last = self.steps[worker]
            until = self.stops[self.stops.index(last.until) + 1]
            step = Step(last.trial, last.params, last.seed, until)
        else:
            trial = self.study.ask()
            self.in_hand[worker] = trial
            params = suggest_all(self.space, trial)
            step = Step(trial.number, params, seed=0, until=self.stops[0])
        self.steps[worker] = step
        return step

    def tell(self, worker: int, outcome: Outcome) -> None:
        """The trial goes on, is stopped by the race, or is complete."""
        trial = self.in_hand[worker]
        if outcome.epoch == self.stops[-1]:
            del self.in_hand[worker]
            self.study.tell(trial, [outcome.cost, outcome.best])
            return
        may_stay = judge(self.study, trial, RACE)
        if not may_stay(outcome.epoch, (outcome.cost, outcome.f1[-1])):
            del self.in_hand[worker]
            self.study.tell(trial, state=TrialState.PRUNED)


def make_first(setting: Setting) -> CappedSampler:
    """The default of ``paretune train`` until 2026-11-29."""
    return FirstFrontSampler(_forget_defaults(setting), seed=setting.seed)


def make_front(setting: Setting) -> CappedSampler:
    """The default of ``paretune train``, whose draws are uniform here."""
    return FrontSampler(_forget_defaults(setting), seed=setting.seed)


def make_front_near_defaults(setting: Setting) -> CappedSampler:
    """The default of ``paretune train``."""
    return FrontSampler(setting.question.feasible, seed=setting.seed)


def _forget_defaults(setting: Setting) -> FeasibleSpace:
    """The space without what the config's values are."""
    feasible = copy(setting.question.feasible)
    feasible.defaults = None
    return feasible


def begin_with_portfolio(
    make: Callable[[Setting], CappedSampler],
) -> Callable[[Setting], CappedSampler]:
    """Another sampler, after the known configurations."""

    def make_sampler(setting: Setting) -> CappedSampler:
        sampler = make(setting)
        sampler.portfolio = place_entries(setting.portfolio, setting.question.feasible)
        return sampler

    return make_sampler


def begin_quickly(
    make: Callable[[Setting], CappedSampler],
) -> Callable[[Setting], CappedSampler]:
    """Another sampler whose first trials are quick ones."""

    def make_sampler(setting: Setting) -> CappedSampler:
        sampler = make(setting)
        sampler.guess_duration = setting.question.spec.sampler.guess_duration
        return sampler

    return make_sampler


def make_random(setting: Setting) -> BaseSampler:
    """Draws that fit; with the race, ASHA of two objectives."""
    return _wrap(lambda seed: RandomSampler(seed=seed), setting)


def make_tpe(setting: Setting) -> BaseSampler:
    """Optuna's TPE in the wrapper."""
    return _wrap(lambda seed: TPESampler(seed=seed), setting)


def make_nsgaii(setting: Setting) -> BaseSampler:
    """Optuna's NSGA-II in the wrapper."""
    return _wrap(lambda seed: NSGAIISampler(seed=seed), setting)


def _wrap(make: Callable[[int], BaseSampler], setting: Setting) -> FeasibleSampler:
    return FeasibleSampler(make, _forget_defaults(setting), seed=setting.seed)


def sweep_with(make_sampler: MakeSampler) -> Callable[[Setting], SweepPolicy]:
    """Makes the policy of a sweep with such a sampler."""

    def make(setting: Setting) -> SweepPolicy:
        return SweepPolicy(setting, make_sampler(setting))

    return make
