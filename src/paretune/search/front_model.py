"""A model of all that was measured in a study, whatever the branch, and the candidates
that it has to offer.
"""

from collections.abc import Mapping, Sequence
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
from paretune.search.mutation import mutate
from paretune.search.observations import History, Observation
from paretune.search.surrogate import Surrogate, select_training_points

Floats = NDArray[np.float64]
FEWEST = 5  # trials before a surrogate is asked
# Columns up to which the surrogate is a Gaussian process, which was measured in a space
# of six (`python -m studies search`); it was not compared with a forest there.
MOST_OF_PROCESS = 12
N_DRAWS = 64  # candidates of each kind
N_MUTANTS = 128
# of the reference beyond the largest cost and error, so that models there are worth
# something too
COST_MARGIN = 0.02
LOSS_MARGIN = 0.1
DRAW_ATTEMPTS = 1  # at the cost of a candidate; it need not be met


class Predictor(Protocol):
    """What a surrogate is asked."""

    def predict(self, rows: Floats) -> tuple[Floats, Floats]:
        """Mean and deviation ``(M,)`` of the loss at ``rows`` ``(M, D)``."""


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
    ) -> None:
        self.feasible = feasible
        self.exponent = exponent
        self.columns = columns
        self.branches = _keep_promising(feasible, history)
        seen = [
            observation
            for observation in history.seen
            if _is_whole(feasible, observation.params)
        ]

        self.members: list[Configuration] = []
        losses: list[float] = []
        for observation in seen:
            if observation.epoch is None:
                self.members.append(observation.params)
                losses.append(observation.loss)
        self.known = self._make_points(self.members, np.array(losses))

        self.surrogate: Predictor | None = None
        if len(seen) >= FEWEST:
            self.surrogate = self._fit_surrogate(seen)
            running = [
                params for params in history.running if _is_whole(feasible, params)
            ]
            if running:
                self._add_running(self.surrogate, running)

    def _fit_surrogate(self, seen: Sequence[Observation]) -> Predictor:
        configurations = [observation.params for observation in seen]
        losses = np.array([observation.loss for observation in seen])
        selected = select_training_points(self._costs(configurations), losses)
        chosen = [configurations[i] for i in selected]
        epochs = [seen[i].epoch for i in selected]
        rows = self.make_rows(chosen, epochs)
        if len(self.columns) <= MOST_OF_PROCESS:
            return Surrogate(rows, losses[selected])
        return Forest(rows, losses[selected])

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

    def make_candidates(self, rng: np.random.Generator) -> list[Configuration]:
        """Feasible draws spread over all costs and branches, and mutations of members
        of the front.
        """
        candidates: list[Configuration] = []
        n_branch_draws = -(-N_DRAWS // len(self.branches))
        for choice in self.branches:
            shares = rng.random(n_branch_draws).tolist()
            candidates += self.feasible.draw_at_shares(
                rng, shares, choice, self.exponent, DRAW_ATTEMPTS
            )

        measured = self.known[: len(self.members)]
        parents = front(measured)
        if len(parents):
            for _ in range(N_MUTANTS):
                position = int(rng.integers(len(parents)))
                parent = self.members[parents[position]]
                candidates.append(mutate(parent, self.feasible, rng))
        return self.feasible.keep_fitting(candidates)

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
        return self.feasible.shares_of(configurations, self.exponent)

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
        rows = np.array([self.columns.make_row(params) for params in configurations])

        earliness = np.zeros(len(configurations))
        for i, epoch in enumerate(epochs):
            if epoch:
                earliness[i] = 1 / epoch

        columns = rows.reshape(len(configurations), -1)
        log_costs = self.feasible.shares_of(configurations)
        return np.column_stack([columns, log_costs, earliness])


def _keep_promising(feasible: FeasibleSpace, history: History) -> list[Configuration]:
    """The branches without those of which every trial so far failed, and several
    did.
    """
    promising: list[Configuration] = []
    for choice in feasible.branches:
        n_ended = sum(_is_of(params, choice) for params in history.ended)
        n_seen = sum(_is_of(one.params, choice) for one in history.seen)
        if n_seen or n_ended < FEWEST:
            promising.append(choice)
    return promising


def _is_of(params: Mapping[str, Any], choice: Mapping[str, Any]) -> bool:
    return all(params.get(name) == value for name, value in choice.items())


def _is_whole(feasible: FeasibleSpace, params: Mapping[str, Any]) -> bool:
    """Whether ``params`` have every parameter of a branch that may be proposed, and can
    be built: an earlier version may have built what this one refuses.
    """
    space = feasible.space
    if not any(_is_of(params, choice) for choice in feasible.branches):
        return False
    names = space.distributions(space.branch_of(params))
    missing = [name for name in names if name not in params]
    if any(space.is_active(name, params) for name in missing):
        return False
    return isfinite(feasible.cost(dict(params)))
