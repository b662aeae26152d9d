"""Sweeps with a race as policies: an Optuna study in memory, a sampler, and the race of
``sweeps/record.yaml``.
"""

from collections.abc import Callable

import optuna
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.trial import Trial, TrialState

from paretune.portfolio import read_portfolio
from paretune.search.feasible_sampler import FeasibleSampler
from paretune.search.feasible_space import FeasibleSpace
from paretune.search.front_sampler import FrontSampler
from paretune.search.portfolio import place_entries
from paretune.search.racing import Race, judge
from paretune.search.worker import suggest_all
from studies.first_generation import FirstFrontSampler
from studies.replay.policy import Outcome, Setting, Step

RACE = Race(eta=3, rungs=2, min_epochs=3, margin=0.15)
MakeSampler = Callable[[FeasibleSpace, int], BaseSampler]


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


def make_first(feasible: FeasibleSpace, seed: int) -> BaseSampler:
    """The default of ``paretune train`` until 2026-11-29."""
    return FirstFrontSampler(feasible, seed=seed)


def make_front(feasible: FeasibleSpace, seed: int) -> BaseSampler:
    """The default of ``paretune train``."""
    return FrontSampler(feasible, seed=seed)


def begin_with_portfolio(feasible: FeasibleSpace, seed: int) -> BaseSampler:
    """The first default, after the known configurations."""
    sampler = FirstFrontSampler(feasible, seed=seed)
    sampler.portfolio = place_entries(read_portfolio(), feasible)
    return sampler


def make_random(feasible: FeasibleSpace, seed: int) -> BaseSampler:
    """Draws that fit; with the race, ASHA of two objectives."""
    return FeasibleSampler(lambda s: RandomSampler(seed=s), feasible, seed=seed)


def make_tpe(feasible: FeasibleSpace, seed: int) -> BaseSampler:
    """Optuna's TPE in the wrapper."""
    return FeasibleSampler(lambda s: TPESampler(seed=s), feasible, seed=seed)


def make_nsgaii(feasible: FeasibleSpace, seed: int) -> BaseSampler:
    """Optuna's NSGA-II in the wrapper."""
    return FeasibleSampler(lambda s: NSGAIISampler(seed=s), feasible, seed=seed)


def sweep_with(make_sampler: MakeSampler) -> Callable[[Setting], SweepPolicy]:
    """Makes the policy of a sweep with such a sampler."""

    def make(setting: Setting) -> SweepPolicy:
        sampler = make_sampler(setting.question.feasible, setting.seed)
        return SweepPolicy(setting, sampler)

    return make
