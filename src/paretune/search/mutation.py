"""Configurations that differ a little from one that is known."""

from collections.abc import Sequence
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
    range, or another choice. A number is as likely as a choice, however many there are
    of either: most choices spoil a good network. It may not fit.
    """
    space = feasible.space
    distributions = space.distributions(space.branch_of(parent))
    names = [name for name in parent if name in distributions]
    number = int(rng.integers(1, MAX_MUTATIONS + 1))
    number = min(number, len(names))
    weights = _weigh_kinds([distributions[name] for name in names])
    changed = rng.choice(len(names), size=number, replace=False, p=weights)

    mutated = dict(parent)
    for index in changed.tolist():
        name = names[index]
        mutated[name] = mutate_value(parent[name], distributions[name], rng)
    return feasible.complete(mutated, rng)


def _weigh_kinds(distributions: Sequence[BaseDistribution]) -> list[float]:
    """Probabilities of the parameters: choices and numbers have one half each,
    as far as there are both.
    """
    are_choices = [isinstance(dist, CategoricalDistribution) for dist in distributions]
    n_choices = sum(are_choices)
    n_numbers = len(are_choices) - n_choices
    weights: list[float] = []
    for is_choice in are_choices:
        weights.append(1 / n_choices if is_choice else 1 / n_numbers)
    total = sum(weights)
    return [weight / total for weight in weights]


def mutate_value(value: Any, dist: BaseDistribution, rng: np.random.Generator) -> Any:
    """Another value of one parameter: any of a choice, of a range one near by."""
    if isinstance(dist, CategoricalDistribution):
        return draw_uniform(dist, rng)
    return draw_near(value, dist, rng)
