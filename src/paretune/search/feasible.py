"""Any Optuna sampler, under a hard cap: only models that fit are ever proposed."""

from collections.abc import Callable, Sequence
from math import inf
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from paretune.errors import CapError, ConfigError
from paretune.search.space import Space

__all__ = ["FeasibleSampler"]

Params = dict[str, Any]
TRIES = 50  # draws of the wrapped sampler before one is resized to fit
BISECTIONS = 24


class FeasibleSampler(BaseSampler):
    """Draws whole configurations with the sampler that ``make_base(seed)`` builds, and keeps those that fit.

    ``count`` gives the cost of a draw, ``cap`` its bound. The first ``n_startup`` trials are uniform draws resized to
    targets spread evenly over the logarithm of the cost, from the smallest model to the cap. Where draws keep missing
    the cap, the last one is shrunk onto it. Seeds derive from (seed, trial number), so that a resumed or parallel sweep
    does not draw its start again.

    Raises :class:`~paretune.errors.CapError` at once if the smallest model of the space exceeds the cap.
    """

    def __init__(
        self,
        make_base: Callable[[int], BaseSampler],
        space: Space,
        *,
        count: Callable[[Params], int] | None = None,
        cap: int | None = None,
        n_startup: int = 10,
        seed: int = 0,
    ) -> None:
        self.make_base, self.space, self.seed, self.n_startup = make_base, space, seed, n_startup
        self.count, self.cap = count, cap
        self._refusal: ConfigError | None = None
        self.smallest = min(self._cost(self._smallest_of(choice)) for choice in space.combinations())
        if self.smallest == inf and self._refusal:
            raise self._refusal  # not one model of the space can be built
        if cap and self.smallest > cap:
            message = (
                f"search space has {self.smallest:,} parameters in its smallest model, over the cap of {cap:,}; expected "
                f"room for at least one model; lower the space's lower ends or raise the cap"
            )
            raise CapError(message)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """All parameters of all branches; a trial gets values for those of one branch."""
        return self.space.everything()

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """One whole configuration that fits."""
        rng = np.random.default_rng([self.seed, trial.number])
        uniform = RandomSampler(seed=int(rng.integers(2**31)))
        if trial.number < self.n_startup:
            return self._resized(self._draw(uniform, study, trial), self._start_target(trial.number, rng))
        base = self.make_base(int(rng.integers(2**31)))
        for _ in range(TRIES):
            params = self._draw(base, study, trial)
            if self._cost(params) <= (self.cap or inf):
                return params
        return self._resized(params, self.cap or inf)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A parameter outside of the space (define-by-run code) is left to the wrapped sampler."""
        return self.make_base(self.seed).sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Pass on to the wrapped sampler."""
        self.make_base(self.seed).after_trial(study, trial, state, values)

    def _draw(self, sampler: BaseSampler, study: Study, trial: FrozenTrial) -> Params:
        def one(name: str, dist: BaseDistribution) -> Any:
            return sampler.sample_independent(study, trial, name, dist)

        params = {name: one(name, dist) for name, dist in self.space.choices.items()}
        branch = self.space.branch_of(params)
        return params | {name: one(name, dist) for name, dist in self.space.distributions(branch).items()}

    def _cost(self, params: Params) -> float:
        """What ``params`` cost: nothing without a cap, infinitely much if no model can be built from them."""
        if not (self.count and self.cap):
            return 0
        try:
            return self.count(params)
        except ConfigError as error:
            self._refusal = error
            return inf

    def _start_target(self, number: int, rng: np.random.Generator) -> float:
        if not self.cap:
            return 0.0
        share = (number + rng.random()) / self.n_startup
        return float(self.smallest * (self.cap / self.smallest) ** share)

    def _resized(self, params: Params, target: float) -> Params:
        """``params`` moved towards the lower or the upper ends of their ranges, to the largest cost within ``target``.

        If even the lower ends exceed ``target`` (a large kernel, say), the smallest model of the branch is the start.
        """
        if not self.cap:
            return params
        branch = self.space.distributions(self.space.branch_of(params))
        if self._cost(_moved(params, branch, 0.0)) > target:
            smallest = self._smallest_of({name: params[name] for name in self.space.choices})
            params = params | {name: smallest[name] for name, dist in branch.items() if not _is_real(dist)}
        low, high = 0.0, 2.0
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            low, high = (middle, high) if self._cost(_moved(params, branch, middle)) <= target else (low, middle)
        return _moved(params, branch, low)

    def _smallest_of(self, choice: Params) -> Params:
        """The lower ends of a branch, each categorical parameter at its cheapest value, one after another."""
        branch = self.space.distributions(self.space.branch_of(choice))
        params = choice | {
            name: dist.choices[0] if isinstance(dist, CategoricalDistribution) else dist.low  # type: ignore[attr-defined]
            for name, dist in branch.items()
        }
        for name, dist in branch.items():
            if isinstance(dist, CategoricalDistribution):
                _, cheapest = min((self._cost(params | {name: value}), i) for i, value in enumerate(dist.choices))
                params[name] = dist.choices[cheapest]
        return params


def _moved(params: Params, branch: dict[str, BaseDistribution], position: float) -> Params:
    """Whole-number parameters on their way from the lower end (0) over where they are (1) to the upper end (2)."""

    def move(value: int, dist: IntDistribution) -> int:
        end, share = (dist.low, 1 - position) if position <= 1 else (dist.high, position - 1)
        steps = round((value + (end - value) * share - dist.low) / dist.step)
        return min(dist.low + steps * dist.step, dist.high)

    ints = {name: dist for name, dist in branch.items() if isinstance(dist, IntDistribution)}
    return params | {name: move(params[name], dist) for name, dist in ints.items()}


def _is_real(dist: BaseDistribution) -> bool:
    """Learning rates and the like, which cost nothing."""
    return isinstance(dist, FloatDistribution)
