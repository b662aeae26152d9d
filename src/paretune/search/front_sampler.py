"""The default sampler: propose where the cost-vs-score front is expected to grow most."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from paretune.errors import ConfigError, check_least
from paretune.front import LEAST_ERROR, front
from paretune.search.costs import Params
from paretune.search.distributions import draw_uniform, snap_to_grid
from paretune.search.ehvi import Surrogate, expected_improvement, features, select_training_points
from paretune.search.feasible_space import FeasibleSpace
from paretune.search.racing import rung_scores
from paretune.search.samplers import CappedSampler, configuration_of

Floats = NDArray[np.float64]
FEWEST = 5  # trials of a branch before its surrogate is asked
DRAWS, MUTANTS = 96, 96  # candidates of each kind a branch
BEYOND = (0.02, 0.1)  # of the reference beyond the largest cost and error, so that models there are worth something too
OVER = (TrialState.COMPLETE, TrialState.PRUNED)


class FrontSampler(CappedSampler):
    """Maximises the expected hypervolume improvement of (cost, log error), one objective of which is free.

    The study minimises a cost that ``feasible`` counts and maximises a score in [0, 1] such as F1. A candidate's cost is
    counted, not predicted, so that only its error needs a model (a Gaussian process for each branch of the space) and the
    improvement has the closed form of :mod:`paretune.search.ehvi`. Candidates are feasible draws over all costs and
    mutations of front members. Trials that are still running count at their predicted value; raced ones teach the
    surrogate what they had at the rungs they reached, but are on no front.

    ``exponent`` says which sizes matter: with 0 every decade of the cost as much as any other, with 1 every parameter as much as
    any other, so that most proposals are large (:meth:`~paretune.search.feasible_space.FeasibleSpace.at_share`).

    Works in any Optuna study::

        feasible = FeasibleSpace(Space(common={"w": IntDistribution(2, 64)}), count=lambda params: params["w"] ** 2, cap=900)
        study = optuna.create_study(directions=["minimize", "maximize"], sampler=FrontSampler(feasible))
    """

    def __init__(self, feasible: FeasibleSpace, *, exponent: float = 0.0, **start: Any) -> None:
        super().__init__(feasible, **start)
        check_least("sampler.exponent", exponent, 0, most=1, whole=False)
        self.exponent = exponent

    def check_objectives(self, directions: Sequence[str]) -> None:
        """Raise :class:`~paretune.errors.ConfigError` unless there are a cost that is counted and a score."""
        if sorted(directions) != ["maximize", "minimize"] or not self.feasible.costs:
            raise ConfigError(
                f"sampler `front` weighs a counted cost against a score, and this study has directions {list(directions)} and "
                f"{'a' if self.feasible.costs else 'no'} count of the cost; expected [minimize, maximize] and a count (cap.count "
                f"of the sweeper); use another sampler"
            )

    def propose(self, study: Study, trial: FrozenTrial, rng: np.random.Generator) -> Params:
        """The candidate with the largest expected improvement."""
        score_at = study.directions.index(StudyDirection.MAXIMIZE)
        trials = study.get_trials(deepcopy=False)
        seen = [observation for t in trials if t.state in OVER for observation in Observation.all_of(t, score_at)]
        running = [t for t in trials if t.state is TrialState.RUNNING and t.number != trial.number]
        ended = [configuration_of(t) for t in trials if t.state in (*OVER, TrialState.FAIL)]
        best: tuple[float, Params] = (-1.0, {})
        views = [_Branch(self, choice, seen, running) for choice in self.feasible.branches]
        views = [view for view in views if view.surrogate or sum(map(view.holds, ended)) < FEWEST]
        if not views:  # whatever was tried so far failed
            return self.feasible.spread(rng, float(rng.random()), exponent=self.exponent)
        known = np.concatenate([view.known for view in views])
        reference = (1 + BEYOND[0], float(known[:, 1].max(initial=0.0)) + BEYOND[1])
        for view in views:
            if view.surrogate is None:  # too little is known of it: learn more
                return self.feasible.spread(rng, float(rng.random()), view.choice, self.exponent)
            candidates = view.candidates(rng)
            gains = view.gains(candidates, known, reference)
            if gains.max() > best[0]:
                best = (float(gains.max()), candidates[int(gains.argmax())])
        return best[1]


@dataclass(frozen=True)
class Observation:
    """A measurement: the parameters, the log error, and the epoch of the rung it was taken at (``None``: at the end)."""

    params: Params
    loss: float
    epoch: int | None

    @classmethod
    def all_of(cls, trial: FrozenTrial, score_at: int) -> "list[Observation]":
        """What a trial had at each rung of a race, and at its end if it got there."""
        scores: list[tuple[int | None, float]] = [*rung_scores(trial.user_attrs).items()]
        scores += [(None, trial.values[score_at])] if trial.values else []
        return [cls(configuration_of(trial), log(max(1 - score, LEAST_ERROR)), epoch) for epoch, score in scores]


class _Branch:
    """What is known of one branch: its measured points, its surrogate, the trials running in it."""

    def __init__(
        self, sampler: FrontSampler, choice: Params, seen: Sequence[Observation], running: Sequence[FrozenTrial]
    ) -> None:
        self.feasible, self.exponent, self.choice = sampler.feasible, sampler.exponent, choice
        self.distributions = self.feasible.space.distributions(self.feasible.space.branch_of(choice))
        seen = [observation for observation in seen if self.holds(observation.params)]
        configurations, losses = [observation.params for observation in seen], np.array([s.loss for s in seen])
        at_end = [i for i, observation in enumerate(seen) if observation.epoch is None]
        self.members = [configurations[i] for i in at_end]
        costs = self._costs(configurations)
        self.known = np.column_stack([costs[at_end], losses[at_end]]).reshape(-1, 2)
        self.surrogate: Surrogate | None = None
        if len(seen) >= FEWEST:
            chosen = select_training_points(costs, losses)
            rows = self._rows([configurations[i] for i in chosen], [seen[i].epoch for i in chosen])
            self.surrogate = Surrogate(rows, losses[chosen])
        pending = [params for params in map(configuration_of, running) if self.holds(params)]
        if self.surrogate and pending:
            predicted = self.surrogate.add_fantasies(self._rows(pending))
            self.known = np.concatenate([self.known, np.column_stack([self._costs(pending), predicted])])

    def candidates(self, rng: np.random.Generator) -> list[Params]:
        """Feasible draws spread over all costs, and mutations of members of the front."""
        draws = [self.feasible.spread(rng, float(rng.random()), self.choice, self.exponent) for _ in range(DRAWS)]
        parents = [self.members[i] for i in front(self.known[: len(self.members)])]
        mutants = [
            self._mutant(parents[int(rng.integers(len(parents)))], rng) for _ in range(MUTANTS if parents else 0)
        ]
        return [params for params in [*draws, *mutants] if self.feasible.fits(params)]

    def gains(self, candidates: list[Params], known: Floats, reference: tuple[float, float]) -> Floats:
        """Expected improvement of each candidate."""
        assert self.surrogate
        mean, deviation = self.surrogate.predict(self._rows(candidates))
        return expected_improvement(self._costs(candidates), mean, deviation, known, reference)

    def holds(self, params: Mapping[str, Any]) -> bool:
        """Whether ``params`` are of this branch, and whole."""
        chosen = all(params.get(name) == value for name, value in self.choice.items())
        space = self.feasible.space
        return chosen and all(name in params or not space.is_active(name, params) for name in self.distributions)

    def _costs(self, configurations: Sequence[Params]) -> Floats:
        """Of whole configurations, from 0 to 1; what is cheaper than the least cost that counts is worth no more than one of that cost."""
        return self.feasible.shares(configurations, self.exponent)

    def _rows(self, configurations: Sequence[Params], epochs: Sequence[int | None] = ()) -> Floats:
        """Features, the log cost (it explains more of a score than any one width), and how early a trial was seen.

        That is 0 at the end of its training, 1 after one epoch, 1/2 after two.
        """
        rows = np.array([features(params, self.distributions) for params in configurations])
        early = [1 / epoch if epoch else 0.0 for epoch in (epochs or [None] * len(configurations))]
        return np.column_stack([rows.reshape(len(configurations), -1), self.feasible.shares(configurations), early])

    def _mutant(self, parent: Params, rng: np.random.Generator) -> Params:
        """``parent`` with one to three parameters changed: a step of a tenth or so of the range, or another choice."""
        names = [name for name in parent if name in self.distributions]
        changed = rng.choice(names, size=min(int(rng.integers(1, 4)), len(names)), replace=False)
        steps = {str(name): _stepped(parent[name], self.distributions[name], rng) for name in changed}
        return self.feasible.completed(parent | steps, rng)


def _stepped(value: Any, dist: BaseDistribution, rng: np.random.Generator) -> Any:
    if isinstance(dist, CategoricalDistribution):
        return draw_uniform(dist, rng)
    low, high = dist.low, dist.high  # type: ignore[attr-defined]
    step = rng.normal(0.0, 0.15)
    if dist.log:  # type: ignore[attr-defined]
        return snap_to_grid(value * (high / low) ** step, dist)  # type: ignore[arg-type]
    return snap_to_grid(value + (high - low) * step, dist)  # type: ignore[arg-type]
