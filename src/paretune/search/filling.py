"""Raising the whole numbers of a configuration one after another, each up to its own
limit.

Where numbers are moved together (:mod:`paretune.search.resizing`), the first cap that
one of them meets stops them all: the widest map fills a chip's memory, and layers behind
it stay narrow although they have room.
"""

from collections.abc import Callable, Iterable, Mapping
from math import exp, log

import numpy as np
from optuna.distributions import IntDistribution

from paretune.search.costs import Params
from paretune.search.distributions import snap_to_grid

Fits = Callable[[Params], bool]


def fill_evenly(
    params: Params,
    ints: Mapping[str, IntDistribution],
    fits: Fits,
    rng: np.random.Generator,
) -> Params:
    """``params``, which fit, with their whole numbers ``ints`` raised in a random order.

    At first each goes part of the way to its limit, so that those behind it have room,
    too; then as far as it can.
    """
    filled = dict(params)
    for name in _shuffle(ints, rng):
        limit = find_limit(filled, name, ints[name], fits)
        filled[name] = _draw_between(filled[name], limit, ints[name], rng)
    return fill_in_turn(filled, ints, fits, rng)


def fill_in_turn(
    params: Params,
    ints: Mapping[str, IntDistribution],
    fits: Fits,
    rng: np.random.Generator,
) -> Params:
    """``params``, which fit, with their whole numbers ``ints`` raised as far as they
    can, one after another in a random order: the first has all the room.
    """
    filled = dict(params)
    for name in _shuffle(ints, rng):
        filled[name] = find_limit(filled, name, ints[name], fits)
    return filled


def _shuffle(names: Iterable[str], rng: np.random.Generator) -> list[str]:
    ordered = list(names)
    return [ordered[int(index)] for index in rng.permutation(len(ordered))]


def find_limit(params: Params, name: str, dist: IntDistribution, fits: Fits) -> int:
    """The largest value of ``name`` with which ``params``, which fit, still do, found by
    bisection.
    """
    if fits(params | {name: dist.high}):
        return dist.high
    below = int(params[name] - dist.low) // dist.step
    above = (dist.high - dist.low) // dist.step
    while above - below > 1:
        middle = (below + above) // 2
        if fits(params | {name: dist.low + middle * dist.step}):
            below = middle
        else:
            above = middle
    return dist.low + below * dist.step


def _draw_between(
    low: int, high: int, dist: IntDistribution, rng: np.random.Generator
) -> int:
    """A uniform draw between two values, or one of their logarithms if the range is
    searched so; not below ``low``.
    """
    if dist.log:
        exponent = rng.uniform(log(low), log(high))
        drawn = exp(exponent)
    else:
        drawn = rng.uniform(low, high)
    return max(low, int(snap_to_grid(drawn, dist)))
