"""Configurations that differ a little from one that is known."""

from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution

from paretune.search.costs import Configuration
from paretune.search.distributions import draw_near, draw_uniform
from paretune.search.feasible_space import FeasibleSpace

MAX_MUTATIONS = 3  # parameters of a mutant that are changed


def mutate(
    parent: Configuration, feasible: FeasibleSpace, rng: np.random.Generator
) -> Configuration:
    """``parent`` with one to three parameters changed: a step of a tenth or so of the
    range, or another choice. It may not fit.
    """
    space = feasible.space
    distributions = space.distributions(space.branch_of(parent))
    names = [name for name in parent if name in distributions]
    number = int(rng.integers(1, MAX_MUTATIONS + 1))
    number = min(number, len(names))
    changed = rng.choice(names, size=number, replace=False)

    mutated = dict(parent)
    for name in map(str, changed):
        mutated[name] = _mutate_value(parent[name], distributions[name], rng)
    return feasible.complete(mutated, rng)


def _mutate_value(value: Any, dist: BaseDistribution, rng: np.random.Generator) -> Any:
    if isinstance(dist, CategoricalDistribution):
        return draw_uniform(dist, rng)
    return draw_near(value, dist, rng)
