"""The default sampler: propose where the params-vs-score front is expected to grow most."""

from collections.abc import Sequence
from math import log
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from paretune.front import front
from paretune.search.drawing import Drawing, Params, on_grid, uniform
from paretune.search.feasible import CappedSampler
from paretune.search.improvement import expected_improvement
from paretune.search.surrogate import Surrogate, features

__all__ = ["FrontSampler"]

Floats = NDArray[np.float64]
FEWEST = 5  # trials of a branch before its surrogate is asked
DRAWS, MUTANTS = 96, 96  # candidates of each kind a branch
LEAST_ERROR = 1e-4  # a score of 1 has no logarithm of its error


class FrontSampler(CappedSampler):
    """Maximises the expected hypervolume improvement of (log cost, log error), one objective of which is free.

    The study minimises a cost that ``drawing`` counts and maximises a score in [0, 1] such as F1. A candidate's cost is
    counted, not predicted, so that only its error needs a model (a Gaussian process for each branch of the space) and the
    improvement has the closed form of :mod:`paretune.search.improvement`. Candidates are feasible draws over all costs and
    mutations of front members. Trials that are still running count at their predicted value; failed and pruned ones do
    not count.

    Works in any Optuna study::

        drawing = Drawing(Space(common={"w": IntDistribution(2, 64)}), count=lambda params: params["w"] ** 2, cap=900)
        study = optuna.create_study(directions=["minimize", "maximize"], sampler=FrontSampler(drawing))
    """

    def propose(self, study: Study, trial: FrozenTrial, rng: np.random.Generator) -> Params:
        """The candidate with the largest expected improvement."""
        score_at = _score_objective(study.directions)
        done = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
        running = [t for t in study.get_trials(deepcopy=False, states=[TrialState.RUNNING]) if t.number != trial.number]
        best: tuple[float, Params] = (-1.0, {})
        views = [_Branch(self.drawing, choice, done, running, score_at) for choice in self.drawing.space.combinations()]
        known = np.concatenate([view.known for view in views])
        reference = (log(self.drawing.upper), float(known[:, 1].max(initial=0.0)) + 0.1)
        for view in views:
            if view.surrogate is None:  # too little is known of it: learn more
                return self.drawing.spread(rng, float(rng.random()), view.choice)
            candidates = view.candidates(rng, known)
            gains = view.gains(candidates, known, reference)
            if gains.max() > best[0]:
                best = (float(gains.max()), candidates[int(gains.argmax())])
        return best[1]


class _Branch:
    """What is known of one branch: its measured points, its surrogate, the trials running in it."""

    def __init__(
        self,
        drawing: Drawing,
        choice: Params,
        done: Sequence[FrozenTrial],
        running: Sequence[FrozenTrial],
        score_at: int,
    ) -> None:
        self.drawing, self.choice = drawing, choice
        self.name = drawing.space.branch_of(choice)
        self.distributions = drawing.space.distributions(self.name)
        own = [trial for trial in done if self._holds(trial)]
        self.members = [dict(trial.params) for trial in own]
        losses = np.array([log(max(1 - trial.values[score_at], LEAST_ERROR)) for trial in own])
        self.known = np.column_stack([self._log_costs(self.members), losses]).reshape(-1, 2)
        self.surrogate = Surrogate(self._rows(self.members), losses) if len(own) >= FEWEST else None
        pending = [dict(trial.params) for trial in running if self._holds(trial)]
        if self.surrogate and pending:
            believed = self.surrogate.believe(self._rows(pending))
            self.known = np.concatenate([self.known, np.column_stack([self._log_costs(pending), believed])])

    def candidates(self, rng: np.random.Generator, known: Floats) -> list[Params]:
        """Feasible draws spread over all costs, and mutations of members of the front."""
        draws = [self.drawing.spread(rng, float(rng.random()), self.choice) for _ in range(DRAWS)]
        parents = [self.members[i] for i in front(self.known[: len(self.members)])]
        mutants = [self._mutant(parents[int(rng.integers(len(parents)))], rng) for _ in range(MUTANTS)]
        return [params for params in [*draws, *mutants] if self.drawing.fits(params)]

    def gains(self, candidates: list[Params], known: Floats, reference: tuple[float, float]) -> Floats:
        """Expected improvement of each candidate."""
        assert self.surrogate
        mean, deviation = self.surrogate.predict(self._rows(candidates))
        return expected_improvement(self._log_costs(candidates), mean, deviation, known, reference)

    def _holds(self, trial: FrozenTrial) -> bool:
        chosen = all(trial.params.get(name) == value for name, value in self.choice.items())
        return chosen and set(self.distributions) <= set(trial.params)

    def _log_costs(self, configurations: Sequence[Params]) -> Floats:
        return np.log([self.drawing.cost(params) for params in configurations]).reshape(-1)

    def _rows(self, configurations: Sequence[Params]) -> Floats:
        """Features, the log cost among them: it explains more of a score than any single width."""
        rows = [features(params, self.distributions) for params in configurations]
        low, high = log(self.drawing.smallest), log(self.drawing.upper)
        share = (self._log_costs(configurations) - low) / max(high - low, 1e-9)
        return np.column_stack([np.array(rows).reshape(len(configurations), -1), share])

    def _mutant(self, parent: Params, rng: np.random.Generator) -> Params:
        """``parent`` with one to three parameters changed: a step of a tenth or so of the range, or another choice."""
        count = min(int(rng.integers(1, 4)), len(self.distributions))
        names = rng.choice(list(self.distributions), size=count, replace=False)
        return parent | {str(n): _stepped(parent[n], self.distributions[n], rng) for n in names}


def _stepped(value: Any, dist: BaseDistribution, rng: np.random.Generator) -> Any:
    if isinstance(dist, CategoricalDistribution):
        return uniform(dist, rng)
    low, high = dist.low, dist.high  # type: ignore[attr-defined]
    step = rng.normal(0.0, 0.15)
    if dist.log:  # type: ignore[attr-defined]
        return on_grid(value * (high / low) ** step, dist)  # type: ignore[arg-type]
    return on_grid(value + (high - low) * step, dist)  # type: ignore[arg-type]


def _score_objective(directions: Sequence[StudyDirection]) -> int:
    """Index of the maximised objective."""
    return directions.index(StudyDirection.MAXIMIZE)
