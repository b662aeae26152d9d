"""Any Optuna sampler, under a hard cap."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from paretune.search.capped_sampler import CappedSampler
from paretune.search.costs import Configuration
from paretune.search.feasible_space import FeasibleSpace
from paretune.search.storage import read_trial

# Of the wrapped sampler (each costs what its ask costs) before one is resized to fit.
BASE_DRAWS = 2
MAX_SEED = 2**31


class FeasibleSampler(CappedSampler):
    """Draws with the sampler that ``make_base(seed)`` builds and keeps what fits; what
    misses is resized.

    With one objective it is shrunk onto the cap, with several to a random size below
    it.
    """

    def __init__(
        self,
        make_base: Callable[[int], BaseSampler],
        feasible: FeasibleSpace,
        *,
        n_startup: int = 20,
        seed: int = 0,
    ) -> None:
        super().__init__(feasible, n_startup=n_startup, seed=seed)
        self.make_base = make_base

    def propose(
        self, study: Study, trial: FrozenTrial, rng: np.random.Generator
    ) -> Configuration:
        """A draw of the wrapped sampler that fits."""
        feasible = self.feasible
        seed = int(rng.integers(MAX_SEED))
        base = self.make_base(seed)
        trial = read_trial(study, trial)  # with what before_trial noted on it
        for _ in range(BASE_DRAWS):
            params = self._draw_with(base, study, trial)
            if feasible.fits(params):
                return params

        share = 1.0  # of one objective the best one is likely large
        if len(study.directions) > 1:
            share = float(rng.random())  # a front has members of every size
        smaller = feasible.resize(params, feasible.cost_at_share(share))
        if feasible.fits(smaller):
            return smaller
        return feasible.draw_at_share(rng, share)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """The wrapped sampler's draw of a define-by-run parameter outside of the
        space.
        """
        n_drawn = len(trial.params)
        rng = np.random.default_rng([self.seed, trial.number, n_drawn])
        seed = int(rng.integers(MAX_SEED))
        base = self.make_base(seed)
        return base.sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Pass on to the wrapped sampler (the grid sampler takes its next point
        here).
        """
        base = self.make_base(self.seed)
        base.before_trial(study, trial)

    def after_trial(
        self,
        study: Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """Pass on to the wrapped sampler."""
        base = self.make_base(self.seed)
        # A finished grid asks study.optimize to stop, which is not what runs here.
        with suppress(RuntimeError):
            base.after_trial(study, trial, state, values)

    def _draw_with(
        self, base: BaseSampler, study: Study, trial: FrozenTrial
    ) -> Configuration:
        """The sampler's joint draw where it makes one, parameter by parameter where it
        does not.
        """
        space = self.feasible.space
        params: Configuration = {}
        for name, choice in space.choices.items():
            params[name] = base.sample_independent(study, trial, name, choice)
        branch = space.distributions(space.branch_of(params))

        joint: dict[str, BaseDistribution] = {}
        for name, dist in base.infer_relative_search_space(study, trial).items():
            if branch.get(name) == dist:
                joint[name] = dist
        drawn = base.sample_relative(study, trial, joint)

        for name, dist in branch.items():
            if not space.is_active(name, params):
                continue
            if name in drawn:
                params[name] = drawn[name]
            else:
                params[name] = base.sample_independent(study, trial, name, dist)
        return params
