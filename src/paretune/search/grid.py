"""Every configuration of a space that fits, once."""

import logging
from collections.abc import Sequence
from itertools import product
from math import prod
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.study import Study
from optuna.trial import FrozenTrial

from paretune.errors import ConfigError
from paretune.search.drawing import Drawing, Params
from paretune.search.feasible import CappedSampler

__all__ = ["GridSampler"]

log = logging.getLogger(__name__)

MOST = 1_000_000
WORTH_A_WORD = 300  # counting one takes milliseconds


class GridSampler(CappedSampler):
    """Trial number n runs point n of the grid, in an order drawn from ``seed``; what is over the cap is left out.

    ``points`` are the configurations; a sweep needs no more trials than that. Raises
    :class:`~paretune.errors.ConfigError` for a parameter with endlessly many values, or more points than a machine holds.
    """

    def __init__(self, drawing: Drawing, *, seed: int = 0) -> None:
        super().__init__(drawing, n_startup=0, seed=seed)
        size = sum(prod(map(len, _ranges(drawing, choice).values())) for choice in drawing.branches)
        if size > MOST:
            message = f"sampler `grid` would try {size:,} configurations, the cap aside; expected at most {MOST:,}; search less, or use another sampler"
            raise ConfigError(message)
        if size > WORTH_A_WORD:
            log.info("counting the %s configurations of the grid", f"{size:,}")
        every = [
            params for choice in drawing.branches for params in _grid(drawing, choice) if drawing.surely_fits(params)
        ]
        self.points: list[Params] = [every[i] for i in np.random.default_rng(seed).permutation(len(every))]

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The point of the trial's number."""
        return dict(self.points[trial.number % len(self.points)])


def _grid(drawing: Drawing, choice: Params) -> list[Params]:
    ranges = _ranges(drawing, choice)
    return [choice | dict(zip(ranges, row, strict=True)) for row in product(*ranges.values())]


def _ranges(drawing: Drawing, choice: Params) -> dict[str, Sequence[Any]]:
    branch = drawing.space.distributions(drawing.space.branch_of(choice))
    return {name: _values(name, dist) for name, dist in branch.items()}


def _values(name: str, dist: BaseDistribution) -> Sequence[Any]:
    if isinstance(dist, CategoricalDistribution):
        return dist.choices
    if isinstance(dist, IntDistribution):
        return range(dist.low, dist.high + 1, dist.step)
    message = (
        f"sampler `grid` cannot try every value of `{name}`; expected choice(...) or range(...) of whole numbers; "
        f"use another sampler or other values"
    )
    raise ConfigError(message)
