"""The first generation of the search, which later ones are compared with: a Gaussian
process for each family, candidates of each, and the expected hypervolume improvement.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial

from paretune.front import front
from paretune.search.capped_sampler import CappedSampler
from paretune.search.costs import Configuration
from paretune.search.ehvi import expected_improvement
from paretune.search.feasible_space import FeasibleSpace
from paretune.search.front_model import COST_MARGIN, LOSS_MARGIN
from paretune.search.mutation import MAX_MUTATIONS, mutate_value
from paretune.search.observations import History, Observation
from paretune.search.one_thread import on_one_thread
from paretune.search.surrogate import Surrogate, make_features, select_training_points

Floats = NDArray[np.float64]
FEWEST = 5  # trials of a branch before its surrogate is asked
N_DRAWS = 96  # candidates of each kind
N_MUTANTS = 96
DRAW_ATTEMPTS = 2  # at the cost of a candidate; it need not be met


class BranchModel:
    """The measured points of one branch, its surrogate, and the trials running in it.

    ``known`` are the points ``(N, 2)`` of (share of the cost, log error) of ended
    trials, and behind them those of running ones, at their predicted loss.
    ``surrogate`` is ``None`` as long as there are too few measurements.
    """

    def __init__(
        self,
        feasible: FeasibleSpace,
        exponent: float,
        choice: Configuration,
        history: History,
    ) -> None:
        self.feasible = feasible
        self.exponent = exponent
        self.choice = choice
        branch = feasible.space.branch_of(choice)
        self.distributions = feasible.space.distributions(branch)
        seen = [
            observation
            for observation in history.seen
            if self.holds(observation.params)
        ]
        running = [params for params in history.running if self.holds(params)]

        self.members: list[Configuration] = []
        losses: list[float] = []
        for observation in seen:
            if observation.epoch is None:
                self.members.append(observation.params)
                losses.append(observation.loss)
        self.known = self._make_points(self.members, np.array(losses))

        self.surrogate: Surrogate | None = None
        if len(seen) >= FEWEST:
            self.surrogate = self._fit_surrogate(seen)
            if running:
                self._add_running(self.surrogate, running)

    def _fit_surrogate(self, seen: Sequence[Observation]) -> Surrogate:
        configurations = [observation.params for observation in seen]
        losses = np.array([observation.loss for observation in seen])
        costs = self._costs(configurations)
        selected = select_training_points(costs, losses)

        chosen: list[Configuration] = []
        epochs: list[int | None] = []
        for i in selected:
            chosen.append(configurations[i])
            epochs.append(seen[i].epoch)
        rows = self._make_rows(chosen, epochs)
        return Surrogate(rows, losses[selected])

    def _add_running(
        self, surrogate: Surrogate, running: Sequence[Configuration]
    ) -> None:
        """Count trials that are running at the loss that is predicted for them."""
        rows = self._make_rows(running)
        predicted = surrogate.add_fantasies(rows)
        points = self._make_points(running, predicted)
        self.known = np.concatenate([self.known, points])

    def holds(self, params: Mapping[str, Any]) -> bool:
        """Whether ``params`` are of this branch, and whole."""
        for name, value in self.choice.items():
            if params.get(name) != value:
                return False
        missing = [name for name in self.distributions if name not in params]
        return not any(self.feasible.space.is_active(name, params) for name in missing)

    def make_candidates(self, rng: np.random.Generator) -> list[Configuration]:
        """Feasible draws spread over all costs, and mutations of members of the
        front.
        """
        shares = rng.random(N_DRAWS).tolist()
        candidates = self.feasible.draw_at_shares(
            rng, shares, self.choice, self.exponent, DRAW_ATTEMPTS
        )

        measured = self.known[: len(self.members)]
        parents = front(measured)
        if len(parents):
            for _ in range(N_MUTANTS):
                position = int(rng.integers(len(parents)))
                parent = self.members[parents[position]]
                candidates.append(_mutate(parent, self.feasible, rng))

        return self.feasible.keep_fitting(candidates)

    def predict_gains(
        self,
        surrogate: Surrogate,
        candidates: Sequence[Configuration],
        known: Floats,
        reference: tuple[float, float],
    ) -> Floats:
        """Expected improvement ``(M,)`` of each candidate over the points ``known`` of
        all branches.
        """
        rows = self._make_rows(candidates)
        mean, deviation = surrogate.predict(rows)
        costs = self._costs(candidates)
        return expected_improvement(costs, mean, deviation, known, reference)

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

    def _make_rows(
        self, configurations: Sequence[Configuration], epochs: Sequence[int | None] = ()
    ) -> Floats:
        """Features, the log cost (it explains more of a score than any one width), and
        how early a trial was seen.

        That is 0 at the end of its training, 1 after one epoch, 1/2 after two.
        """
        features = np.array(
            [make_features(params, self.distributions) for params in configurations]
        )

        earliness = np.zeros(len(configurations))
        for i, epoch in enumerate(epochs):
            if epoch:
                earliness[i] = 1 / epoch

        columns = features.reshape(len(configurations), -1)
        log_costs = self.feasible.shares_of(configurations)
        return np.column_stack([columns, log_costs, earliness])


def _mutate(
    parent: Configuration, feasible: FeasibleSpace, rng: np.random.Generator
) -> Configuration:
    """As :func:`~paretune.search.mutation.mutate` was then: any parameter is as likely
    to be changed.
    """
    space = feasible.space
    distributions = space.distributions(space.branch_of(parent))
    names = [name for name in parent if name in distributions]
    number = min(int(rng.integers(1, MAX_MUTATIONS + 1)), len(names))
    mutated = dict(parent)
    for name in map(str, rng.choice(names, size=number, replace=False)):
        mutated[name] = mutate_value(parent[name], distributions[name], rng)
    return feasible.complete(mutated, rng)


class FirstFrontSampler(CappedSampler):
    """The default sampler as it was until 2026-11-29: a Gaussian process a family."""

    def __init__(
        self, feasible: FeasibleSpace, *, exponent: float = 0.0, **start: Any
    ) -> None:
        super().__init__(feasible, **start)
        self.exponent = exponent

    def propose(
        self, study: Study, trial: FrozenTrial, rng: np.random.Generator
    ) -> Configuration:
        """The candidate with the largest expected improvement."""
        with on_one_thread():
            return self._propose_best(study, trial, rng)

    def _propose_best(
        self, study: Study, trial: FrozenTrial, rng: np.random.Generator
    ) -> Configuration:
        models = self._make_models(study, trial)
        if not models:  # whatever was tried so far failed
            return self._draw_any(rng)

        known = np.concatenate([model.known for model in models])
        worst = float(known[:, 1].max(initial=0.0))
        reference = (1 + COST_MARGIN, worst + LOSS_MARGIN)

        best_gain = -1.0
        best: Configuration = {}
        for model in models:
            if model.surrogate is None:  # too little is known of it: learn more
                return self._draw_any(rng, model.choice)
            candidates = model.make_candidates(rng)
            gains = model.predict_gains(model.surrogate, candidates, known, reference)
            if gains.max() > best_gain:
                best_gain = float(gains.max())
                best = candidates[int(gains.argmax())]
        return best

    def _make_models(self, study: Study, trial: FrozenTrial) -> list[BranchModel]:
        """The models of the branches that may be proposed: not those of which every
        trial failed.
        """
        score_at = study.directions.index(StudyDirection.MAXIMIZE)
        trials = study.get_trials(deepcopy=False)
        history = History.read(trials, score_at, trial.number)

        models: list[BranchModel] = []
        for choice in self.feasible.branches:
            model = BranchModel(self.feasible, self.exponent, choice, history)
            n_ended = sum(model.holds(params) for params in history.ended)
            if model.surrogate or n_ended < FEWEST:
                models.append(model)
        return models

    def _draw_any(
        self, rng: np.random.Generator, choice: Mapping[str, Any] | None = None
    ) -> Configuration:
        share = float(rng.random())
        branch = dict(choice) if choice else None
        return self.feasible.draw_at_share(rng, share, branch, self.exponent)
