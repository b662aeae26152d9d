"""What the configurations of a space cost: counted, or by polynomials that were exact wherever they were checked."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations_with_replacement
from math import inf
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from paretune.errors import ConfigError
from paretune.search.distributions import draw_uniform, lowest, values_of
from paretune.search.space import Space, free_integers

Key = TypeVar("Key")
Value = TypeVar("Value")
Params = dict[str, Any]
Count = Callable[[Params], int | Mapping[str, int | Sequence[int]]]
Counts = dict[str, tuple[float, ...]]
Rest = frozenset[tuple[str, Any]]
OVER = 1e30  # times by how much a limit is exceeded: what a configuration costs that only another cost than the objective forbids
CHECKS = 8  # configurations beyond those it is fitted to on which a polynomial must be exact
TRIED = 2  # configurations in which a choice must change no cost to be left out of the reckoning
SMALLEST = 1e-6  # factor of a term; less is rounding
KEPT = 20_000  # counts, and sets of polynomials, that are kept: some tens of megabytes
WIDEST = 24  # whole-number parameters up to which a polynomial is worth its samples


@dataclass(frozen=True)
class Caps:
    """The largest cost of each name that may be run (``most``), and which of them, the ``axis``, is the objective.

    ``units`` are words for the names, such as ``bytes of RAM`` for ``ram_bytes``.
    """

    most: Mapping[str, int]
    axis: str
    units: Mapping[str, str] = field(default_factory=dict)

    def exceeded(self, counts: Counts) -> str | None:
        """The name of a cost that is over its cap, that of the axis last."""
        names = sorted(self.most, key=lambda name: name == self.axis)
        return next((name for name in names if max(counts[name]) > self.most[name]), None)

    def unit(self, name: str) -> str:
        """What a cost counts, in words."""
        return self.units.get(name, name)


class Costs:
    """Costs of a space's configurations, exact by ``count``, or by polynomials that were exact wherever they were checked.

    ``count`` gives a whole number, or one for each name that ``caps`` speak of; of several for a name the largest is its cost (the
    memory in use at each layer, say). The cost of a configuration is that of the caps' axis; over another cap it is
    :data:`OVER` or more.

    Counting a composed model takes milliseconds, and a sampler weighs thousands of candidates. For each combination of
    the values that matter beside them quadratic polynomials of the whole-number parameters are fitted to a few dozen counts;
    where they are not exact on :data:`CHECKS` more (a kernel size that is searched as a number, say), each is counted.
    What is proposed in the end is always counted: see :meth:`verify`.
    """

    def __init__(self, space: Space, count: Count, unread: Collection[str] = (), caps: Caps | None = None) -> None:
        self.space, self.count, self.unread = space, count, frozenset(unread)
        self.caps = caps or Caps({}, "cost")
        self.others = [name for name in self.caps.most if name != self.caps.axis]
        self.refusal: ConfigError | None = None
        self._exact: dict[frozenset[tuple[str, Any]], Counts | None] = {}
        self._idle: dict[str, frozenset[str]] = {}  # of each branch
        self._polynomials: dict[Rest, dict[str, list[Polynomial]] | None] = {}
        self._ints: dict[tuple[str, ...], dict[str, IntDistribution]] = {}  # by the names in a configuration
        self._structural: dict[str, frozenset[str]] = {}  # of each branch
        self._terms: dict[str, set[tuple[str, str]]] = {}  # of each branch's polynomials

    def __call__(self, params: Params) -> float:
        """The cost of ``params``; infinite if they cannot be built."""
        ints = self._polynomial_ints(params)
        rest = self._rest(params, ints)
        if rest not in self._polynomials:
            _keep(self._polynomials, rest, self._learned(params, ints))
        polynomials = self._polynomials[rest]
        if polynomials is None:
            return self.exact(self._plainest(params))
        row = [params[name] for name in ints]
        for name in self.others:
            excess = max(polynomial(row) for polynomial in polynomials[name]) / self.caps.most[name]
            if excess > 1:
                return OVER * excess
        return max(polynomial(row) for polynomial in polynomials[self.caps.axis])

    def exact(self, params: Params) -> float:
        """The counted cost of ``params``; infinite if they cannot be built."""
        counts = self.counts(params)
        if counts is None:
            return inf
        excess = max((max(counts[name]) / self.caps.most[name] for name in self.others), default=0.0)
        return OVER * excess if excess > 1 else max(counts[self.caps.axis])

    def counts(self, params: Params) -> Counts | None:
        """The counted costs by name, of each all that it is the largest of; ``None`` if ``params`` cannot be built."""
        key = frozenset(item for item in params.items() if item[0] not in self.unread)
        if key not in self._exact:
            _keep(self._exact, key, self._counted(params))
        return self._exact[key]

    def _counted(self, params: Params) -> Counts | None:
        try:
            counted = self.count(params)
        except ConfigError as error:
            self.refusal = error
            return None
        named = counted if isinstance(counted, Mapping) else {self.caps.axis: counted}
        needed = {name: named[name] for name in (self.caps.axis, *self.others)}
        return {name: (*cost,) if isinstance(cost, Sequence) else (cost,) for name, cost in needed.items()}

    def verify(self, params: Params) -> None:
        """Count ``params``; if their cost is another one, what shares their polynomials is counted from now on."""
        if self(params) != self.exact(params):
            _keep(self._polynomials, self._rest(params, self._polynomial_ints(params)), None)

    def _polynomial_ints(self, params: Params) -> dict[str, IntDistribution]:
        """The whole numbers of ``params`` that polynomials take."""
        branch = self.space.branch_of(params)
        key = (branch, *params)
        if key not in self._ints:
            left_out = self.unread | self._find_structural(params)
            ints = free_integers(self.space, params)
            self._ints[key] = {name: dist for name, dist in ints.items() if name not in left_out}
        return self._ints[key]

    def _rest(self, params: Params, ints: Collection[str]) -> Rest:
        """The values that matter beside the whole numbers that polynomials take."""
        idle = self.idle(params)
        return frozenset(item for item in params.items() if item[0] not in ints and item[0] not in idle)

    def _find_structural(self, params: Params) -> frozenset[str]:
        """Whole numbers that change of how many values a cost is the largest, such as the number of layers.

        They are told apart like choices: no polynomial goes over them.
        """
        branch = self.space.branch_of(params)
        if branch not in self._structural:
            ints = free_integers(self.space, params)
            self._structural[branch] = frozenset(name for name in ints if self._is_structural(name, ints[name], params))
        return self._structural[branch]

    def _is_structural(self, name: str, dist: IntDistribution, params: Params) -> bool:
        if name in self.unread:
            return False
        ends = [self.space.drop_inactive(params | {name: end}) for end in (dist.low, dist.high)]
        lengths = [_count_values(self.counts(end)) for end in ends]
        return None not in lengths and lengths[0] != lengths[1]

    def idle(self, params: Params) -> frozenset[str]:
        """Parameters of this branch that changed no cost where it was tried: fractions, and choices such as the optimizer's."""
        branch = self.space.branch_of(params)
        if branch not in self._idle:
            distributions, rng = self.space.distributions(branch), np.random.default_rng(0)
            chosen = {name: params[name] for name in self.space.choices}
            draws = [chosen | {n: draw_uniform(dist, rng) for n, dist in distributions.items()} for _ in range(TRIED)]
            is_idle = {name: self._is_idle(name, dist, draws) for name, dist in distributions.items()}
            self._idle[branch] = self.unread | {name for name in is_idle if is_idle[name]}
        return self._idle[branch]

    def _is_idle(self, name: str, dist: BaseDistribution, draws: Sequence[Params]) -> bool:
        is_choice = isinstance(dist, CategoricalDistribution) or name in self.space.switches
        if not is_choice or name in self.unread:
            return isinstance(dist, FloatDistribution)  # no width is a number in between
        alike = [
            [self.counts(self.space.drop_inactive(draw | {name: value})) for value in values_of(dist)]
            for draw in draws
            if name in self.space.drop_inactive(draw)
        ]
        return bool(alike) and all(None not in counts and all(c == counts[0] for c in counts) for counts in alike)

    def _plainest(self, params: Params) -> Params:
        """``params`` with what is idle at its first value, so that few are counted."""
        distributions, idle = self.space.distributions(self.space.branch_of(params)), self.idle(params)
        plain = {name: lowest(distributions[name]) if name in idle else value for name, value in params.items()}
        return self.space.drop_inactive(plain)

    def _learned(self, params: Params, ints: Mapping[str, IntDistribution]) -> "dict[str, list[Polynomial]] | None":
        """Polynomials of the terms that the branch's first ones had, else of all terms; ``None`` if they are not exact."""
        plain, names = self._plainest(params), [*ints, "1"]
        if not 0 < len(ints) <= WIDEST or self.counts(plain) is None:
            return None
        every = list(combinations_with_replacement(range(len(names)), 2))
        known = self._terms.setdefault(self.space.branch_of(params), set())
        likely = [(i, j) for i, j in every if (names[i], names[j]) in known]
        for terms in [likely, every] if likely else [every]:
            rng = np.random.default_rng(0)
            rows = [[_random_step(dist, rng) for dist in ints.values()] for _ in range(len(terms) + CHECKS)]
            counted = [self.counts(plain | dict(zip(ints, row, strict=True))) for row in rows]
            counts = [named for named in counted if named is not None]
            if len(counts) < len(rows):
                return None
            if polynomials := fitted(rows, counts, terms):
                used = [polynomial for named in polynomials.values() for polynomial in named]
                known |= {(names[i], names[j]) for polynomial in used for i, j, _ in polynomial.terms}
                return polynomials
        return None


def _keep(cache: dict[Key, Value], key: Key, value: Value) -> None:
    """Keep a value; the oldest goes where there are too many."""
    if len(cache) >= KEPT:
        del cache[next(iter(cache))]
    cache[key] = value


def _count_values(counts: Counts | None) -> dict[str, int] | None:
    """Of how many values each cost is the largest."""
    if counts is None:
        return None
    return {name: len(values) for name, values in counts.items()}


class Polynomial:
    """A polynomial of whole numbers, rounded to a whole number; ``terms`` are (i, j, factor): positions in a row with a 1 behind it."""

    def __init__(self, terms: Sequence[tuple[int, int, float]]) -> None:
        self.terms = terms

    def __call__(self, row: Sequence[int]) -> int:
        """The cost at ``row`` (microseconds: hence no numpy)."""
        full = [*row, 1]
        return round(sum(factor * full[i] * full[j] for i, j, factor in self.terms))


def fitted(
    rows: Sequence[Sequence[int]], counts: Sequence[Counts], terms: Sequence[tuple[int, int]]
) -> dict[str, list[Polynomial]] | None:
    """For each name polynomials with these ``terms`` through the first ``counts`` at ``rows``, if they are exact at all; equal ones once."""
    full = np.column_stack([np.array(rows, dtype=float), np.ones(len(rows))])
    matrix = np.column_stack([full[:, i] * full[:, j] for i, j in terms])
    scale = np.abs(matrix).max(axis=0)  # products of two widths beside ones
    polynomials: dict[str, list[Polynomial]] = {}
    for name in counts[0]:
        if len({len(named[name]) for named in counts}) > 1:
            return None
        parts = np.unique(np.array([named[name] for named in counts], dtype=float), axis=1)
        factors = np.linalg.lstsq((matrix / scale)[: len(terms)], parts[: len(terms)], rcond=None)[0].T / scale
        polynomials[name] = [
            Polynomial([(i, j, float(f)) for (i, j), f in zip(terms, row, strict=True) if abs(f) > SMALLEST])
            for row in _undominated(factors)
        ]
        if any(
            max(p(row) for p in polynomials[name]) != max(named[name]) for row, named in zip(rows, counts, strict=True)
        ):
            return None
    return polynomials


def _undominated(factors: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rows without those that another is nowhere below: of whole numbers from 0 on, these are never the largest."""
    kept: list[NDArray[np.float64]] = []
    for row in factors[np.argsort(-factors.sum(axis=1), kind="stable")]:
        if not any((other >= row - SMALLEST).all() for other in kept):
            kept.append(row)
    return np.array(kept)


def _random_step(dist: IntDistribution, rng: np.random.Generator) -> int:
    value = int(rng.integers(dist.low, dist.high + 1))
    return dist.low + (value - dist.low) // dist.step * dist.step
