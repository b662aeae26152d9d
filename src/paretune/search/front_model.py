"""A model of all that was measured in a study, whatever the branch, and the candidates
that it has to offer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from paretune.front import front
from paretune.search.columns import Columns
from paretune.search.costs import Configuration
from paretune.search.ehvi import expected_improvement
from paretune.search.feasible_space import FeasibleSpace
from paretune.search.forest import Forest
from paretune.search.growing_forest import GrowingForest
from paretune.search.mutation import mutate
from paretune.search.observations import History, Observation
from paretune.search.per_trial import PerObject
from paretune.search.surrogate import Surrogate, select_training_points

Floats = NDArray[np.float64]
ConfigurationKey = frozenset[tuple[str, Any]]
FEWEST = 5  # trials before a surrogate is asked
# Columns up to which the surrogate is a Gaussian process, which was measured in a space
# of six (`python -m studies search`); it was not compared with a forest there.
MOST_OF_PROCESS = 12
N_MUTANTS = 64
LOG_COST = -2  # its column in the rows of surrogates
# of the reference beyond the largest cost and error, so that models there are worth
# something too
COST_MARGIN = 0.02
LOSS_MARGIN = 0.1


class Predictor(Protocol):
    """What a surrogate is asked."""

    def predict(self, rows: Floats) -> tuple[Floats, Floats]:
        """Mean and deviation ``(M,)`` of the loss at ``rows`` ``(M, D)``."""


@dataclass
class Remembered:
    """What later models of the same study need not work out again: the cost of each
    configuration that was measured, whether it is whole, its key in sets, and a
    forest's trees.

    A model is the same with and without it.
    """

    keys: PerObject[ConfigurationKey] = field(default_factory=PerObject)
    costs: PerObject[float] = field(default_factory=PerObject)
    are_whole: PerObject[bool] = field(default_factory=PerObject)
    forest: GrowingForest = field(default_factory=GrowingForest)


class FrontModel:
    """The measured points of a study, a surrogate for the others, and the trials that
    are running.

    ``known`` are the points ``(N, 2)`` of (share of the cost, log error) of ended
    trials, and behind them those of running ones, at their predicted loss.
    ``surrogate`` is ``None`` as long as there are too few measurements. ``branches``
    are the choices that may be proposed: not those of which every trial failed.
    """

    def __init__(
        self,
        feasible: FeasibleSpace,
        exponent: float,
        columns: Columns,
        history: History,
        remembered: Remembered | None = None,
    ) -> None:
        self.feasible = feasible
        self.exponent = exponent
        self.columns = columns
        self.history = history
        self._remembered = remembered or Remembered()
        self._costs_of_candidates: PerObject[float] = PerObject()
        self.branches = _keep_promising(feasible, history)
        seen = self._keep_whole(history.seen)

        ended = [observation for observation in seen if observation.epoch is None]
        self.members = [observation.params for observation in ended]
        self.surrogate: Predictor | None = None
        if len(seen) >= FEWEST:
            self.surrogate = self._fit_surrogate(seen)
        self.known = self._make_points(self.members, self._estimate_losses(ended))
        if self.surrogate:
            running = [params for params in history.running if self._is_whole(params)]
            if running:
                self._add_running(self.surrogate, running)

    def _keep_whole(self, seen: Sequence[Observation]) -> list[Observation]:
        """The observations of configurations that may be proposed."""
        return [one for one in seen if self.has(one.params)]

    def has(self, params: Configuration) -> bool:
        """Whether a configuration that was measured is one that may be proposed; worked
        out once of each.
        """
        is_whole = self._remembered.are_whole.get(params)
        if is_whole is None:
            is_whole = self._is_whole(params)
            self._remembered.are_whole.keep(params, is_whole)
            if is_whole and self.feasible.costs:
                # A polynomial may turn out to be wrong, and this is kept.
                cost = self.feasible.costs.exact(params)
                self._remembered.costs.keep(params, cost)
        return is_whole

    def _is_whole(self, params: Configuration) -> bool:
        """Whether ``params`` have every parameter of a branch that may be proposed, and
        can be built: an earlier version may have built what this one refuses.
        """
        if not _has_all(self.feasible, params):
            return False
        [cost] = self._weigh([params])
        return isfinite(cost)

    def _estimate_losses(self, ended: Sequence[Observation]) -> Floats:
        """The losses ``(N,)`` at the ends of trainings: each as it was measured, or, as
        far as it is uncertain, between that and what is expected there. Or the front
        would be that of the luckiest.
        """
        losses = np.array([one.loss for one in ended])
        deviations = np.array([one.deviation for one in ended])
        if self.surrogate is None or not deviations.any():
            return losses
        expected, spread = self.surrogate.predict(self._make_rows_of(ended))
        share = spread**2 / (spread**2 + deviations**2)
        return np.asarray(share * losses + (1 - share) * expected)

    def _fit_surrogate(self, seen: Sequence[Observation]) -> Predictor:
        if len(self.columns) <= MOST_OF_PROCESS:
            return Surrogate(*self._make_points_to_learn(seen))
        forest, since = self._remembered.forest.grow(
            seen, self._grow_forest, is_exact=not self.history.waiting
        )
        if not since:
            return forest
        losses = np.array([observation.loss for observation in since])
        return forest.add_points(self._make_rows_of(since), losses)

    def _grow_forest(self, seen: Sequence[Observation]) -> Forest:
        return Forest(*self._make_points_to_learn(seen), size_column=LOG_COST)

    def _make_points_to_learn(
        self, seen: Sequence[Observation]
    ) -> tuple[Floats, Floats]:
        """The rows ``(N, D)`` and losses ``(N,)`` that a surrogate learns from."""
        configurations = [observation.params for observation in seen]
        losses = np.array([observation.loss for observation in seen])
        selected = select_training_points(self._costs(configurations), losses)
        chosen = [seen[i] for i in selected]
        return self._make_rows_of(chosen), losses[selected]

    def _make_rows_of(self, seen: Sequence[Observation]) -> Floats:
        configurations = [observation.params for observation in seen]
        return self.make_rows(configurations, [one.epoch for one in seen])

    def _add_running(
        self, surrogate: Predictor, running: Sequence[Configuration]
    ) -> None:
        """Count trials that are running at the loss that is predicted for them."""
        rows = self.make_rows(running)
        if isinstance(surrogate, Surrogate):
            predicted = surrogate.add_fantasies(rows)
        else:
            predicted, _ = surrogate.predict(rows)
        points = self._make_points(running, predicted)
        self.known = np.concatenate([self.known, points])

    def make_candidates(
        self, rng: np.random.Generator, draws: Sequence[Configuration]
    ) -> list[Configuration]:
        """The feasible ones of ``draws`` and of mutations of members of the front;
        nothing that was tried.
        """
        candidates = [*draws, *self._mutate_front(rng)]
        tried = self._list_tried()
        untried = [
            params for params in candidates if frozenset(params.items()) not in tried
        ]
        costs = self._weigh(untried)
        pairs = zip(untried, costs, strict=True)
        return [params for params, cost in pairs if cost <= self.feasible.cap]

    def _list_tried(self) -> set[ConfigurationKey]:
        """The configurations that were tried, or are being tried."""
        keys = self._remembered.keys
        tried = {frozenset(params.items()) for params in self.history.running}
        for params in (*self.history.ended, *self.history.waiting):
            key = keys.get(params)
            if key is None:
                key = frozenset(params.items())
                keys.keep(params, key)
            tried.add(key)
        return tried

    def _mutate_front(self, rng: np.random.Generator) -> list[Configuration]:
        """Mutations of members of the front, of all sizes alike: each is of the member
        that is nearest to a cost at random. Most members may be small ones.
        """
        measured = self.known[: len(self.members)]
        parents = front(measured)
        if not len(parents):
            return []
        costs = measured[parents, 0]
        mutants: list[Configuration] = []
        for share in rng.random(N_MUTANTS).tolist():
            nearest = int(np.abs(costs - share).argmin())
            parent = self.members[parents[nearest]]
            mutants.append(mutate(parent, self.feasible, rng))
        return mutants

    def predict_gains(
        self,
        surrogate: Predictor,
        candidates: Sequence[Configuration],
        reference: tuple[float, float],
    ) -> Floats:
        """Expected improvement ``(M,)`` of each candidate over the known points."""
        rows = self.make_rows(candidates)
        mean, deviation = surrogate.predict(rows)
        return self.improve(candidates, mean, deviation, reference)

    def improve(
        self,
        configurations: Sequence[Configuration],
        mean: Floats,
        deviation: Floats,
        reference: tuple[float, float],
    ) -> Floats:
        """Expected improvement ``(M,)`` over the known points, of a loss with this mean
        and deviation ``(M,)``.
        """
        costs = self._costs(configurations)
        return expected_improvement(costs, mean, deviation, self.known, reference)

    @property
    def reference(self) -> tuple[float, float]:
        """The point, beyond all known ones, that volume is measured from."""
        worst = float(self.known[:, 1].max(initial=0.0))
        return 1 + COST_MARGIN, worst + LOSS_MARGIN

    def _costs(self, configurations: Sequence[Configuration]) -> Floats:
        """The costs of whole configurations, from 0 to 1.

        What is cheaper than the least cost that counts is worth no more than one of
        that cost.
        """
        return self.feasible.axis.shares_of(self._weigh(configurations), self.exponent)

    def _weigh(self, configurations: Sequence[Configuration]) -> Floats:
        """The costs ``(N,)`` themselves, each weighed once."""
        costs = np.zeros(len(configurations))
        new: list[int] = []
        for index, params in enumerate(configurations):
            cost = self._remembered.costs.get(params)
            if cost is None:
                cost = self._costs_of_candidates.get(params)
            if cost is None:
                new.append(index)
            else:
                costs[index] = cost

        weighed = self.feasible.weigh([configurations[index] for index in new])
        for index, cost in zip(new, weighed.tolist(), strict=True):
            self._costs_of_candidates.keep(configurations[index], cost)
            costs[index] = cost
        return costs

    def _make_points(
        self, configurations: Sequence[Configuration], losses: Floats
    ) -> Floats:
        points = np.column_stack([self._costs(configurations), losses])
        return points.reshape(-1, 2)

    def make_rows(
        self, configurations: Sequence[Configuration], epochs: Sequence[int | None] = ()
    ) -> Floats:
        """The rows ``(N, D)`` that surrogates take: columns, the log cost (it explains
        more of a score than any one width), and how early a trial was seen.

        That is 0 at the end of its training, 1 after one epoch, 1/2 after two.
        """
        earliness = np.zeros(len(configurations))
        for i, epoch in enumerate(epochs):
            if epoch:
                earliness[i] = 1 / epoch

        columns = self.columns.make_rows(configurations)
        # The column before the last is LOG_COST.
        log_costs = self.feasible.axis.shares_of(self._weigh(configurations))
        return np.column_stack([columns, log_costs, earliness])


def _keep_promising(feasible: FeasibleSpace, history: History) -> list[Configuration]:
    """The branches without those of which every trial so far failed, and several
    did.
    """
    promising: list[Configuration] = []
    for choice in feasible.branches:
        is_seen = any(_is_of(one.params, choice) for one in history.seen)
        if is_seen:
            promising.append(choice)
            continue
        n_ended = sum(_is_of(params, choice) for params in history.ended)
        if n_ended < FEWEST:
            promising.append(choice)
    return promising


def _is_of(params: Mapping[str, Any], choice: Mapping[str, Any]) -> bool:
    return all(params.get(name) == value for name, value in choice.items())


def _has_all(feasible: FeasibleSpace, params: Mapping[str, Any]) -> bool:
    """Whether ``params`` have every parameter of a branch that may be proposed."""
    space = feasible.space
    if not any(_is_of(params, choice) for choice in feasible.branches):
        return False
    names = space.distributions(space.branch_of(params))
    missing = [name for name in names if name not in params]
    return not any(space.is_active(name, params) for name in missing)
