"""What configurations cost, without building a network for each: the parameters of a network are a polynomial of its widths."""

from collections.abc import Callable, Mapping
from itertools import combinations_with_replacement
from math import inf
from typing import Any

import numpy as np
from optuna.distributions import FloatDistribution, IntDistribution

from paretune.errors import ConfigError
from paretune.search.space import Space

__all__ = ["Costs", "Polynomial"]

Params = dict[str, Any]
CHECKS = 8  # configurations beyond those it is fitted to on which a polynomial must be exact
WIDEST = 24  # whole-number parameters up to which a polynomial is worth its samples


class Costs:
    """Costs of a space's configurations, exact by ``count``, or by a polynomial that was exact wherever it was checked.

    Counting a composed model takes milliseconds, and a sampler weighs thousands of candidates. For each combination of
    categorical values a quadratic polynomial of the whole-number parameters is fitted to a few dozen counts; where it is
    not exact on :data:`CHECKS` more (a kernel size that is searched as a number, say), everything is counted. What is
    proposed in the end is always counted: see :meth:`exact`.
    """

    def __init__(self, space: Space, count: Callable[[Params], int]) -> None:
        self.space, self.count = space, count
        self.refusal: ConfigError | None = None
        self._exact: dict[frozenset[tuple[str, Any]], float] = {}
        self._of_branch: dict[str, tuple[Mapping[str, IntDistribution], set[str]]] = {}
        self._polynomials: dict[frozenset[tuple[str, Any]], Polynomial | None] = {}

    def __call__(self, params: Params) -> float:
        """The cost of ``params``; infinite if they cannot be built."""
        ints, floats = self._numbers(self.space.branch_of(params))
        rest = frozenset((name, value) for name, value in params.items() if name not in ints and name not in floats)
        if rest not in self._polynomials:
            self._polynomials[rest] = self._learned(params, ints)
        polynomial = self._polynomials[rest]
        return self.exact(params) if polynomial is None else polynomial([params[name] for name in ints])

    def exact(self, params: Params) -> float:
        """The counted cost of ``params``; infinite if they cannot be built."""
        key = frozenset(params.items())
        if key not in self._exact:
            try:
                self._exact[key] = self.count(params)
            except ConfigError as error:
                self.refusal, self._exact[key] = error, inf
        return self._exact[key]

    def holds(self, params: Params) -> bool:
        """Whether the cost of ``params`` is their counted one; if not, its polynomial is not trusted any more."""
        if self(params) == self.exact(params):
            return True
        self._polynomials = dict.fromkeys(self._polynomials)
        return False

    def _numbers(self, branch: str) -> tuple[Mapping[str, IntDistribution], set[str]]:
        """The branch's whole-number parameters, and the names of those in between, which no width depends on."""
        if branch not in self._of_branch:
            found = self.space.distributions(branch).items()
            ints = {name: dist for name, dist in found if isinstance(dist, IntDistribution)}
            self._of_branch[branch] = ints, {name for name, dist in found if isinstance(dist, FloatDistribution)}
        return self._of_branch[branch]

    def _learned(self, params: Params, ints: Mapping[str, IntDistribution]) -> "Polynomial | None":
        if not 0 < len(ints) <= WIDEST:
            return None
        rng = np.random.default_rng(0)
        terms = len(_monomials([0] * len(ints)))
        rows = [[int(rng.integers(dist.low, dist.high + 1)) for dist in ints.values()] for _ in range(terms + CHECKS)]
        rows = [[_on_step(value, dist) for value, dist in zip(row, ints.values(), strict=True)] for row in rows]
        costs = [self.exact(params | dict(zip(ints, row, strict=True))) for row in rows]
        if inf in costs:
            return None
        polynomial = Polynomial(rows[:terms], costs[:terms])
        return polynomial if all(polynomial(row) == cost for row, cost in zip(rows, costs, strict=True)) else None


class Polynomial:
    """The quadratic polynomial through whole-number ``costs`` at ``rows`` of whole numbers, rounded to whole numbers."""

    def __init__(self, rows: list[list[int]], costs: list[float]) -> None:
        matrix = np.array([_monomials(row) for row in rows], dtype=float)
        scale = np.abs(matrix).max(axis=0)  # products of two widths beside ones
        solution = np.linalg.lstsq(matrix / scale, np.array(costs), rcond=None)[0]
        pairs = combinations_with_replacement(range(len(rows[0]) + 1), 2)
        self.terms = [
            (i, j, float(factor)) for (i, j), factor in zip(pairs, solution / scale, strict=True) if abs(factor) > 1e-6
        ]

    def __call__(self, row: list[int]) -> int:
        """The cost at ``row`` (microseconds: hence no numpy)."""
        full = [*row, 1]
        return round(sum(factor * full[i] * full[j] for i, j, factor in self.terms))


def _monomials(row: list[int]) -> list[int]:
    """Every product of two values, every value, and 1."""
    return [a * b for a, b in combinations_with_replacement([*row, 1], 2)]


def _on_step(value: int, dist: IntDistribution) -> int:
    return dist.low + (value - dist.low) // dist.step * dist.step
