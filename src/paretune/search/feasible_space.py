"""Whole configurations that fit a cap: what they cost, drawing them, resizing them. Pure, without a study."""

from collections.abc import Callable
from itertools import combinations_with_replacement
from math import exp, inf, log
from operator import neg
from sys import float_info
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from paretune.errors import CapError, ConfigError
from paretune.search.space import Distributions, Space

Params = dict[str, Any]
Count = Callable[[Params], int]
BISECTIONS = 12
CHECKS = 8  # configurations beyond those it is fitted to on which a polynomial must be exact
WIDEST = 24  # whole-number parameters up to which a polynomial is worth its samples


class Costs:
    """Costs of a space's configurations, exact by ``count``, or by a polynomial that was exact wherever it was checked.

    Counting a composed model takes milliseconds, and a sampler weighs thousands of candidates. For each combination of
    categorical values a quadratic polynomial of the whole-number parameters is fitted to a few dozen counts; where it is
    not exact on :data:`CHECKS` more (a kernel size that is searched as a number, say), everything is counted. What is
    proposed in the end is always counted: see :meth:`exact`.
    """

    def __init__(self, space: Space, count: Count) -> None:
        self.count = count
        self.refusal: ConfigError | None = None
        self._exact: dict[frozenset[tuple[str, Any]], float] = {}
        everything = space.everything()
        self._ints = _ints(everything)
        # no width depends on a number in between
        self._floats = {name for name, dist in everything.items() if isinstance(dist, FloatDistribution)}
        self._polynomials: dict[frozenset[tuple[str, Any]], Polynomial | None] = {}

    def __call__(self, params: Params) -> float:
        """The cost of ``params``; infinite if they cannot be built."""
        ints = [name for name in self._ints if name in params]
        rest = frozenset(item for item in params.items() if item[0] not in self._ints and item[0] not in self._floats)
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

    def _learned(self, params: Params, ints: list[str]) -> "Polynomial | None":
        if not 0 < len(ints) <= WIDEST:
            return None
        rng = np.random.default_rng(0)
        terms = len(_monomials([0] * len(ints)))
        rows = [[_random_step(self._ints[name], rng) for name in ints] for _ in range(terms + CHECKS)]
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


def _random_step(dist: IntDistribution, rng: np.random.Generator) -> int:
    value = int(rng.integers(dist.low, dist.high + 1))
    return dist.low + (value - dist.low) // dist.step * dist.step


class FeasibleSpace:
    """A space, what its configurations cost, and the cap that none may exceed.

    ``count`` gives the cost of a configuration, and ``cost`` says in words what it counts; a configuration for which
    it raises :class:`~paretune.errors.ConfigError` cannot be built and fits under no cap. Raises
    :class:`~paretune.errors.CapError` at once if the smallest configuration of the space exceeds the cap.
    """

    def __init__(
        self, space: Space, count: Count | None = None, cap: int | None = None, cost: str = "parameters"
    ) -> None:
        self.space = space
        self.costs = Costs(space, count) if count else None
        self.cap: float = inf if count is None or cap is None else cap
        smallest = [(choice, self.cost(self.smallest_of(choice))) for choice in space.combinations()]
        self.smallest = min(least for _, least in smallest)
        if self.smallest == inf and self.costs and self.costs.refusal:
            raise self.costs.refusal  # not one configuration of the space can be built
        if self.smallest > self.cap:
            raise CapError(
                f"search space has {self.smallest:,} {cost} in its smallest model, over the cap of {self.cap:,}; "
                f"expected room for at least one model; lower the space's lower ends or raise the cap"
            )
        self.branches = [choice for choice, least in smallest if least <= min(self.cap, float_info.max)]
        self.upper = min(self.cap, max(self.cost(self.largest_of(choice)) for choice in self.branches))

    def cost(self, params: Params) -> float:
        """What ``params`` cost: 0 without a ``count``, infinitely much if they cannot be built."""
        return self.costs(params) if self.costs else 0

    def fits(self, params: Params) -> bool:
        """Whether ``params`` may be run."""
        return self.cost(params) <= self.cap

    def verify_fits(self, params: Params) -> bool:
        """Whether ``params`` may be run, by their counted cost."""
        return self.costs is None or (self.costs.holds(params) and self.fits(params))

    def uniform(self, rng: np.random.Generator, choice: Params | None = None) -> Params:
        """A uniform draw that may not fit, of a branch that has a model that does; ``choice`` fixes the branch."""
        chosen = choice or self.branches[int(rng.integers(len(self.branches)))]
        branch = self.space.distributions(self.space.branch_of(chosen))
        return chosen | {name: uniform(dist, rng) for name, dist in branch.items()}

    def spread(self, rng: np.random.Generator, share: float, choice: Params | None = None) -> Params:
        """A draw resized to the cost at ``share`` (0 to 1) of the way from the smallest to the cap, in the logarithm."""
        params = self.uniform(rng, choice)
        return self.resized(params, self.at_share(share)) if self.smallest > 0 else params

    def at_share(self, share: float) -> float:
        """The cost at ``share`` of the way from the smallest to the largest that fits, in the logarithm."""
        return float(self.smallest * (self.upper / self.smallest) ** share)

    def resized(self, params: Params, target: float) -> Params:
        """``params`` moved towards the lower or the upper ends of their ranges, to the largest cost within ``target``.

        Where even the lower ends exceed it (a large kernel, say), the categorical parameters take their cheapest values.
        """
        branch = self.space.distributions(self.space.branch_of(params))
        if self.cost(_moved(params, branch, 0.0)) > target:
            smallest = self.smallest_of({name: params[name] for name in self.space.choices})
            params = params | {n: smallest[n] for n, dist in branch.items() if not isinstance(dist, FloatDistribution)}
        low, high = 0.0, 2.0
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            low, high = (middle, high) if self.cost(_moved(params, branch, middle)) <= target else (low, middle)
        return _moved(params, branch, low)

    def smallest_of(self, choice: Params) -> Params:
        """The lower ends of a branch, each categorical parameter at its cheapest value, one after another."""
        branch = self.space.distributions(self.space.branch_of(choice))
        lowest = {
            name: dist.choices[0] if isinstance(dist, CategoricalDistribution) else dist.low  # type: ignore[attr-defined]
            for name, dist in branch.items()
        }
        return self._preferred(choice | lowest, branch, neg)

    def largest_of(self, choice: Params) -> Params:
        """The largest of a branch that can be built: upper ends, each categorical parameter at its dearest value."""
        branch = self.space.distributions(self.space.branch_of(choice))
        params = _moved(self.smallest_of(choice), branch, 2.0)
        params = self._preferred(params, branch, lambda cost: cost if cost < inf else -1)
        return params if self.cost(params) < inf else self.resized(params, float_info.max)

    def _preferred(self, params: Params, branch: Distributions, preference: Callable[[float], float]) -> Params:
        """``params`` with each categorical parameter at the value whose cost is preferred, one after another."""
        for name, dist in branch.items():
            if isinstance(dist, CategoricalDistribution):
                preferences = [preference(self.cost(params | {name: value})) for value in dist.choices]
                params = params | {name: dist.choices[preferences.index(max(preferences))]}
        return params


def uniform(dist: BaseDistribution, rng: np.random.Generator) -> Any:
    """A draw from one distribution, even in its logarithm where it asks for that."""
    if isinstance(dist, CategoricalDistribution):
        return dist.choices[int(rng.integers(len(dist.choices)))]
    if isinstance(dist, IntDistribution):
        low, high = dist.low - 0.5, dist.high + 0.5
        value = exp(rng.uniform(log(low), log(high))) if dist.log else rng.uniform(low, high)
        return on_grid(value, dist)
    assert isinstance(dist, FloatDistribution)
    if dist.log:
        return float(min(exp(rng.uniform(log(dist.low), log(dist.high))), dist.high))
    return on_grid(rng.uniform(dist.low, dist.high), dist)


def on_grid(value: float, dist: IntDistribution | FloatDistribution) -> Any:
    """The nearest value that the distribution holds."""
    if dist.step is not None:
        value = dist.low + round((value - dist.low) / dist.step) * dist.step
    value = min(max(value, dist.low), dist.high)
    return int(value) if isinstance(dist, IntDistribution) else float(value)


def _moved(params: Params, branch: Distributions, position: float) -> Params:
    """Whole-number parameters on their way from the lower end (0) over where they are (1) to the upper end (2)."""

    def move(value: int, dist: IntDistribution) -> int:
        start, end, share = (dist.low, value, position) if position <= 1 else (value, dist.high, position - 1)
        if dist.log:
            return int(on_grid(start * (end / start) ** share, dist))
        return int(on_grid(start + (end - start) * share, dist))

    return params | {name: move(params[name], dist) for name, dist in _ints(branch).items()}


def _ints(branch: Distributions) -> dict[str, IntDistribution]:
    return {name: dist for name, dist in branch.items() if isinstance(dist, IntDistribution)}
