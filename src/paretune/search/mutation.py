"""Configurations that differ a little from one that is known."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution

from paretune.search.costs import Configuration
from paretune.search.distributions import draw_near, draw_uniform
from paretune.search.feasible_space import FeasibleSpace

MAX_MUTATIONS = 3  # parameters of a mutant that are changed


def mutate(
    parent: Configuration, feasible: FeasibleSpace, rng: np.random.Generator
) -> Configuration:
    """``parent`` with one to three parameters changed: a step of a tenth or so of the
    range, or another choice. A number is as likely as a choice, however many there are
    of either: most choices spoil a good network. It may not fit.
    """
    space = feasible.space
    distributions = space.distributions(space.branch_of(parent))
    names = [name for name in parent if name in distributions]
    number = int(rng.integers(1, MAX_MUTATIONS + 1))
    number = min(number, len(names))
    weights = _weigh_kinds([distributions[name] for name in names])
    changed = rng.choice(names, size=number, replace=False, p=weights)

    mutated = dict(parent)
    for name in map(str, changed):
        mutated[name] = mutate_value(parent[name], distributions[name], rng)
    return feasible.complete(mutated, rng)


def _weigh_kinds(distributions: Sequence[BaseDistribution]) -> NDArray[np.float64]:
    """Probabilities ``(N,)`` of the parameters: choices and numbers have one half each,
    as far as there are both.
    """
    are_choices = np.array(
        [isinstance(dist, CategoricalDistribution) for dist in distributions]
    )
    n_choices = are_choices.sum()
    n_numbers = len(are_choices) - n_choices
    weights = np.where(are_choices, 1 / max(n_choices, 1), 1 / max(n_numbers, 1))
    return np.asarray(weights / weights.sum())


def mutate_value(value: Any, dist: BaseDistribution, rng: np.random.Generator) -> Any:
    """Another value of one parameter: any of a choice, of a range one near by."""
    if isinstance(dist, CategoricalDistribution):
        return draw_uniform(dist, rng)
    return draw_near(value, dist, rng)
