"""Known configurations that a sweep tries first, made to fit its space and its caps.

Portfolios are those of auto-sklearn 2.0 (Feurer et al. 2022,
https://jmlr.org/papers/v23/21-0992.html): few configurations, chosen greedily so that
on any of several data sets some of them do well. Pure, without a study.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import inf, isfinite
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution

from paretune.search.costs import Configuration, CostModel
from paretune.search.distributions import as_number, list_values, snap_to_grid
from paretune.search.feasible_space import FeasibleSpace
from paretune.search.grammar import read_value
from paretune.search.space import hydra_key

# The value of each searched setting by its key, such as ``model.stem``; of a config
# group its option.
Entry = Mapping[str, Any]
ABSENT = object()


def place_entries(
    entries: Sequence[Entry], feasible: FeasibleSpace
) -> list[Configuration]:
    """The configurations of ``feasible`` that are nearest to the ``entries``, in their
    order, each once.

    An entry of a family that is not searched is left out, and so is one that no change
    of a single setting makes buildable on these images. What is over a cap is made
    smaller until it fits. What an entry does not tell is drawn.
    """
    placed: list[Configuration] = []
    for number, entry in enumerate(entries):
        params = _place(entry, feasible, np.random.default_rng(number))
        if params is not None and params not in placed:
            placed.append(params)
    return placed


def _place(
    entry: Entry, feasible: FeasibleSpace, rng: np.random.Generator
) -> Configuration | None:
    params = _find_nearest(entry, feasible, rng)
    if params is None:
        return None
    if feasible.costs:
        params = _make_buildable(params, feasible, feasible.costs)
    if params is None or feasible.verify_fits(params):
        return params
    smaller = feasible.shrink(params, rng)
    if feasible.verify_fits(smaller):
        return smaller
    return None


def _find_nearest(
    entry: Entry, feasible: FeasibleSpace, rng: np.random.Generator
) -> Configuration | None:
    """The entry's values where the space holds them, else the nearest ones; ``None``
    if it is of a branch that is not searched, or of which no model fits.
    """
    space = feasible.space
    params: Configuration = {}
    for name, group in space.choices.items():
        option = entry.get(hydra_key(name), ABSENT)
        if option not in group.choices:
            return None
        params[name] = option
    if params not in feasible.branches:
        return None

    for name, dist in space.distributions(space.branch_of(params)).items():
        value = entry.get(hydra_key(name), ABSENT)
        if value is not ABSENT and space.is_active(name, params):
            params[name] = find_nearest_value(dist, value)
    return feasible.complete(params, rng)


def find_nearest_value(dist: BaseDistribution, value: Any) -> Any:
    """The value of the distribution nearest to ``value``: of a choice the first one
    where it has no such value.
    """
    if isinstance(dist, CategoricalDistribution):
        for choice in dist.choices:
            if read_value(choice) == value:
                return choice
        return dist.choices[0]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return as_number(dist).low
    return snap_to_grid(value, as_number(dist))


def _make_buildable(
    params: Configuration, feasible: FeasibleSpace, costs: CostModel
) -> Configuration | None:
    """``params`` if they can be built, else the dearest that can with another value of
    one setting: small images take fewer pools, say.
    """
    if isfinite(costs.exact(params)):
        return params
    changed = list(_change_one(params, feasible, costs.find_idle(params)))
    weighed = [costs.exact(other) for other in changed]
    finite = [cost if isfinite(cost) else -inf for cost in weighed]
    if max(finite, default=-inf) == -inf:
        return None
    return changed[int(np.argmax(finite))]


def _change_one(
    params: Configuration, feasible: FeasibleSpace, idle: Iterable[str]
) -> Iterator[Configuration]:
    """``params`` with every other value of each setting that decides the layers."""
    space = feasible.space
    left_out = {*idle, *space.choices}
    for name, dist in space.distributions(space.branch_of(params)).items():
        is_choice = isinstance(dist, CategoricalDistribution) or name in space.switches
        if name in left_out or name not in params or not is_choice:
            continue
        for value in list_values(dist):
            yield feasible.complete(params | {name: value}, np.random.default_rng(0))
