"""Pause instead of kill, as a policy: a trial that is at a rung waits there, and a free
worker does what promises most hypervolume for a second of training.

The idea of freeze-thaw (Swersky, Snoek and Adams 2014,
https://arxiv.org/abs/1406.3896) with the cost of a race: what is begun goes on to the
end with the probability that a race of so many rungs has.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import log
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.trial import Trial

from paretune.front import LEAST_ERROR
from paretune.search.capped_sampler import CappedSampler
from paretune.search.ehvi import expected_improvement
from paretune.search.forest import Forest
from paretune.search.front_model import FrontModel
from paretune.search.front_sampler import COST_MARGIN, LOSS_MARGIN, FrontSampler
from paretune.search.observations import History, Observation
from paretune.search.one_thread import on_one_thread
from paretune.search.worker import suggest_all
from studies.replay.policy import Outcome, Setting, Step

Floats = NDArray[np.float64]
RUNGS = (1, 3, 9)
ETA = 3
N_STARTUP = 20
# What is assumed of how much the log error falls from a rung to the end, as so many
# trials: the mean, and its deviation.
PRIOR_TRIALS = 4
PRIOR_FALL = {1: 0.9, 3: 0.5, 9: 0.25}
PRIOR_DEVIATION = {1: 0.5, 3: 0.3, 9: 0.15}


@dataclass
class _Paused:
    """A trial, and what it has by now."""

    number: int
    params: dict[str, Any]
    cost: float
    losses: dict[int, float] = field(default_factory=dict)  # log errors, by epoch
    epoch: int = 0
    seconds: float = 0.0

    @property
    def loss(self) -> float:
        """The log error at the rung where it is."""
        return self.losses[self.epoch]

    @property
    def epoch_s(self) -> float:
        """The seconds of an epoch."""
        return self.seconds / self.epoch


class PausingPolicy:
    """The search that pauses."""

    def __init__(self, setting: Setting, sampler: CappedSampler) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.setting = setting
        self.space = setting.question.space
        self.feasible = setting.question.feasible
        self.sampler = sampler
        self.study = optuna.create_study(
            directions=["minimize", "maximize"], sampler=sampler
        )
        self.stops = [*RUNGS, setting.epochs]
        self.trials: dict[int, Trial] = {}
        self.paused: dict[int, _Paused] = {}
        self.running: dict[int, _Paused] = {}
        self.ended: list[_Paused] = []

    def ask(self, worker: int, now_s: float) -> Step:
        """The step of most expected volume a second."""
        with on_one_thread():
            chosen = self._choose_paused()
            one = self.paused.pop(chosen) if chosen is not None else self._begin()
        self.running[worker] = one
        until = next(stop for stop in self.stops if stop > one.epoch)
        return Step(one.number, one.params, 0, until)

    def tell(self, worker: int, outcome: Outcome) -> None:
        """The trial waits at its rung, or is complete."""
        one = self.running.pop(worker)
        one.cost = outcome.cost
        one.seconds += outcome.step_s
        one.epoch = outcome.epoch
        one.losses[one.epoch] = log(max(1 - outcome.f1[-1], LEAST_ERROR))
        if one.epoch < self.stops[-1]:
            self.paused[one.number] = one
            return
        one.losses[one.epoch] = log(max(1 - outcome.best, LEAST_ERROR))
        self.ended.append(one)
        self.study.tell(self.trials.pop(one.number), [outcome.cost, outcome.best])

    def _begin(self) -> _Paused:
        trial = self.study.ask()
        self.trials[trial.number] = trial
        params = self._planned or suggest_all(self.space, trial)
        self._planned = None
        return _Paused(trial.number, params, self.feasible.cost(params))

    _planned: dict[str, Any] | None = None

    def _choose_paused(self) -> int | None:
        """The number of the trial that goes on; ``None`` for a new one, whose
        configuration is then planned.
        """
        begun = len(self.paused) + len(self.running) + len(self.ended)
        if begun < N_STARTUP:
            return None
        model = self._make_model()
        if model.surrogate is None:
            return None
        worst = float(model.known[:, 1].max(initial=0.0))
        reference = (1 + COST_MARGIN, worst + LOSS_MARGIN)

        numbers = list(self.paused)
        waiting = [self.paused[number] for number in numbers]
        rates = self._rate_paused(model, waiting, reference)

        rng = np.random.default_rng([self.setting.seed, begun, len(self.ended)])
        candidates = model.make_candidates(rng)
        tried = {frozenset(one.params.items()) for one in self._list_all()}
        candidates = [c for c in candidates if frozenset(c.items()) not in tried]
        gains = model.predict_gains(model.surrogate, candidates, reference)
        seconds = self._predict_epoch_s(model, candidates) * self._expect_epochs(0)
        new_rates = gains / seconds
        best = int(new_rates.argmax())
        if len(rates) and rates.max() >= new_rates[best]:
            return numbers[int(rates.argmax())]
        self._planned = candidates[best]
        return None

    def _rate_paused(
        self,
        model: FrontModel,
        waiting: Sequence[_Paused],
        reference: tuple[float, float],
    ) -> Floats:
        """The expected volume a second of each trial that waits."""
        if not waiting:
            return np.zeros(0)
        falls = {epoch: self._find_fall(epoch) for epoch in RUNGS}
        mean = np.array([one.loss - falls[one.epoch][0] for one in waiting])
        deviation = np.array([falls[one.epoch][1] for one in waiting])
        costs = self.feasible.shares_of([one.params for one in waiting])
        gains = expected_improvement(costs, mean, deviation, model.known, reference)
        seconds = [one.epoch_s * self._expect_epochs(one.epoch) for one in waiting]
        return np.asarray(gains / np.array(seconds))

    def _find_fall(self, epoch: int) -> tuple[float, float]:
        """How much lower the log error of a trial is at its end than at this rung: mean
        and deviation.
        """
        last = self.stops[-1]
        falls = [
            one.losses[epoch] - one.losses[last]
            for one in self.ended
            if epoch in one.losses
        ]
        n = len(falls) + PRIOR_TRIALS
        prior = PRIOR_FALL[epoch]
        mean = (sum(falls) + PRIOR_TRIALS * prior) / n
        squares = sum((fall - mean) ** 2 for fall in falls)
        squares += PRIOR_TRIALS * PRIOR_DEVIATION[epoch] ** 2
        return mean, float(np.sqrt(squares / n))

    def _expect_epochs(self, epoch: int) -> float:
        """The epochs that a trial which is after ``epoch`` takes on average, where one
        in :data:`ETA` goes on from each rung.
        """
        expected = 0.0
        probability = 1.0
        for stop in self.stops:
            if stop > epoch:
                expected += probability * (stop - epoch)
                probability /= ETA
                epoch = stop
        return expected

    def _predict_epoch_s(
        self, model: FrontModel, candidates: Sequence[dict[str, Any]]
    ) -> Floats:
        known = [one for one in self._list_all() if one.epoch]
        rows = model.make_rows([one.params for one in known])
        seconds = np.log([max(one.epoch_s, 1e-3) for one in known])
        mean, _ = Forest(rows, seconds).predict(model.make_rows(candidates))
        return np.exp(mean)

    def _make_model(self) -> FrontModel:
        history = History([], [], [])
        last = self.stops[-1]
        for one in [*self.ended, *self.paused.values()]:
            history.ended.append(one.params)
            for epoch, loss in one.losses.items():
                at = None if epoch == last else epoch
                history.seen.append(Observation(one.params, loss, at))
        history.running.extend(one.params for one in self.running.values())
        assert isinstance(self.sampler, FrontSampler)
        return FrontModel(self.feasible, 0.0, self.sampler.columns, history)

    def _list_all(self) -> list[_Paused]:
        return [*self.ended, *self.paused.values(), *self.running.values()]


def make_pausing(setting: Setting) -> PausingPolicy:
    """The default sampler with pauses."""
    sampler = FrontSampler(setting.question.feasible, seed=setting.seed)
    return PausingPolicy(setting, sampler)
