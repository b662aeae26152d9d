"""What the configurations of a space cost: counted, or by polynomials that were exact wherever they were checked."""

from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import combinations_with_replacement
from math import inf
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from paretune.errors import ConfigError
from paretune.search.distributions import lowest, uniform, values_of
from paretune.search.space import Space, ints_of

Params = dict[str, Any]
Count = Callable[[Params], int]
CHECKS = 8  # configurations beyond those it is fitted to on which a polynomial must be exact
TRIED = 2  # configurations in which a choice must change no cost to be left out of the reckoning
WIDEST = 24  # whole-number parameters up to which a polynomial is worth its samples


class Costs:
    """Costs of a space's configurations, exact by ``count``, or by a polynomial that was exact wherever it was checked.

    Counting a composed model takes milliseconds, and a sampler weighs thousands of candidates. For each combination of
    the values that matter beside them a quadratic polynomial of the whole-number parameters is fitted to a few dozen counts;
    where it is not exact on :data:`CHECKS` more (a kernel size that is searched as a number, say), everything is counted.
    What is proposed in the end is always counted: see :meth:`holds`.
    """

    def __init__(self, space: Space, count: Count, unread: Collection[str] = ()) -> None:
        self.space, self.count, self.unread = space, count, frozenset(unread)
        self.refusal: ConfigError | None = None
        self._exact: dict[frozenset[tuple[str, Any]], float] = {}
        self._idle: dict[str, frozenset[str]] = {}  # of each branch
        self._polynomials: dict[frozenset[tuple[str, Any]], Polynomial | None] = {}
        self._ints: dict[tuple[str, ...], dict[str, IntDistribution]] = {}  # by the names in a configuration
        self._is_misled = False
        self._terms: dict[str, set[tuple[str, str]]] = {}  # of each branch's polynomials

    def __call__(self, params: Params) -> float:
        """The cost of ``params``; infinite if they cannot be built."""
        if self._is_misled:
            return self.exact(params)
        names = tuple(params)
        if names not in self._ints:
            self._ints[names] = ints_of(self.space, params)
        ints, idle = self._ints[names], self.idle(params)
        rest = frozenset(item for item in params.items() if item[0] not in ints and item[0] not in idle)
        if rest not in self._polynomials:
            self._polynomials[rest] = self._learned(params, ints)
        polynomial = self._polynomials[rest]
        if polynomial is None:
            return self.exact(self._plainest(params))
        return polynomial([params[name] for name in ints])

    def exact(self, params: Params) -> float:
        """The counted cost of ``params``; infinite if they cannot be built."""
        key = frozenset(item for item in params.items() if item[0] not in self.unread)
        if key not in self._exact:
            try:
                self._exact[key] = self.count(params)
            except ConfigError as error:
                self.refusal, self._exact[key] = error, inf
        return self._exact[key]

    def holds(self, params: Params) -> bool:
        """Whether the cost of ``params`` is their counted one; if not, everything is counted from now on."""
        if self(params) == self.exact(params):
            return True
        self._is_misled = True
        return False

    def idle(self, params: Params) -> frozenset[str]:
        """Parameters of this branch that changed no cost where it was tried: fractions, and choices such as the optimizer's."""
        branch = self.space.branch_of(params)
        if branch not in self._idle:
            distributions, rng = self.space.distributions(branch), np.random.default_rng(0)
            chosen = {name: params[name] for name in self.space.choices}
            draws = [chosen | {n: uniform(dist, rng) for n, dist in distributions.items()} for _ in range(TRIED)]
            is_idle = {name: self._is_idle(name, dist, draws) for name, dist in distributions.items()}
            self._idle[branch] = self.unread | {name for name in is_idle if is_idle[name]}
        return self._idle[branch]

    def _is_idle(self, name: str, dist: BaseDistribution, draws: Sequence[Params]) -> bool:
        is_choice = isinstance(dist, CategoricalDistribution) or name in self.space.switches
        if not is_choice or name in self.unread:
            return isinstance(dist, FloatDistribution)  # no width is a number in between
        costs = [
            {self.exact(self.space.pruned(draw | {name: value})) for value in values_of(dist)}
            for draw in draws
            if name in self.space.pruned(draw)
        ]
        return bool(costs) and all(len(values) == 1 and inf not in values for values in costs)

    def _plainest(self, params: Params) -> Params:
        """``params`` with what is idle at its first value, so that few are counted."""
        distributions, idle = self.space.distributions(self.space.branch_of(params)), self.idle(params)
        plain = {name: lowest(distributions[name]) if name in idle else value for name, value in params.items()}
        return self.space.pruned(plain)

    def _learned(self, params: Params, ints: Mapping[str, IntDistribution]) -> "Polynomial | None":
        """A polynomial of the terms that the branch's first one had, else of all terms; ``None`` if none is exact."""
        plain, names = self._plainest(params), [*ints, "1"]
        if not 0 < len(ints) <= WIDEST or self.exact(plain) == inf:
            return None
        every = list(combinations_with_replacement(range(len(names)), 2))
        known = self._terms.setdefault(self.space.branch_of(params), set())
        likely = [(i, j) for i, j in every if (names[i], names[j]) in known]
        for terms in [likely, every] if likely else [every]:
            rng = np.random.default_rng(0)
            rows = [[_random_step(dist, rng) for dist in ints.values()] for _ in range(len(terms) + CHECKS)]
            costs = [self.exact(plain | dict(zip(ints, row, strict=True))) for row in rows]
            if inf in costs:
                return None
            polynomial = Polynomial(rows[: len(terms)], costs[: len(terms)], terms)
            if all(polynomial(row) == cost for row, cost in zip(rows, costs, strict=True)):
                known |= {(names[i], names[j]) for i, j, _ in polynomial.terms}
                return polynomial
        return None


class Polynomial:
    """The quadratic polynomial through whole-number ``costs`` at ``rows`` of whole numbers, rounded to whole numbers.

    ``terms`` are the products that it may have, as pairs of positions in a row with a 1 behind it; without them all.
    """

    def __init__(self, rows: list[list[int]], costs: list[float], terms: Sequence[tuple[int, int]] = ()) -> None:
        pairs = terms or list(combinations_with_replacement(range(len(rows[0]) + 1), 2))
        full = np.column_stack([np.array(rows, dtype=float), np.ones(len(rows))])
        matrix = np.column_stack([full[:, i] * full[:, j] for i, j in pairs])
        scale = np.abs(matrix).max(axis=0)  # products of two widths beside ones
        solution = np.linalg.lstsq(matrix / scale, np.array(costs), rcond=None)[0]
        self.terms = [
            (i, j, float(factor)) for (i, j), factor in zip(pairs, solution / scale, strict=True) if abs(factor) > 1e-6
        ]

    def __call__(self, row: list[int]) -> int:
        """The cost at ``row`` (microseconds: hence no numpy)."""
        full = [*row, 1]
        return round(sum(factor * full[i] * full[j] for i, j, factor in self.terms))


def _random_step(dist: IntDistribution, rng: np.random.Generator) -> int:
    value = int(rng.integers(dist.low, dist.high + 1))
    return dist.low + (value - dist.low) // dist.step * dist.step
