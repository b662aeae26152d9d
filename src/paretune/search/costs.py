"""The costs of a space's configurations: counted, or by polynomials that were exact
wherever they were checked.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from math import inf
from typing import Any, TypeVar

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from paretune.errors import ConfigError
from paretune.search.caps import OVER_CAP, Caps, CostCounts
from paretune.search.distributions import draw_uniform, find_lowest, list_values
from paretune.search.polynomials import (
    FactorPair,
    Polynomials,
    fit_polynomials,
    list_pairs,
)
from paretune.search.sizes import Floats, Rows, Sizes, Weigh
from paretune.search.space import Space, free_integers

CacheKey = TypeVar("CacheKey")
CacheValue = TypeVar("CacheValue")
Configuration = dict[str, Any]
Count = Callable[[Configuration], int | Mapping[str, int | Sequence[int]]]
Ints = Mapping[str, IntDistribution]
Rest = frozenset[tuple[str, Any]]
Term = tuple[str, str]  # the names of its two factors; of a constant one "1"
# Configurations beyond those it is fitted to on which a polynomial must be exact.
CHECKS = 4
# Configurations of a structure for which its polynomials are worth their counts.
FEWEST_TO_LEARN = 6
# Configurations in which a choice must change no cost, and not whether they can be
# built, to be left out of the reckoning.
IDLE_DRAWS = 24
# Counts, and sets of polynomials, that are kept: some tens of megabytes.
CACHE_SIZE = 20_000
MAX_INTS = 24  # whole-number parameters up to which a polynomial is worth its samples


@dataclass(frozen=True)
class Structure:
    """Configurations that differ in their ``sizes`` alone, whole numbers that
    polynomials take, and in what costs nothing; ``weigh`` gives the costs of rows of
    these numbers.
    """

    sizes: Sizes
    weigh: Weigh

    def row_of(self, params: Configuration) -> list[int]:
        """The sizes of a configuration."""
        return [params[name] for name in self.sizes.names]

    def rows_of(self, configurations: Sequence[Configuration]) -> Rows:
        """The sizes ``(N, sizes)`` of several."""
        rows = [self.row_of(params) for params in configurations]
        return np.array(rows, dtype=np.int64).reshape(len(rows), -1)

    def name_sizes(self, row: Rows) -> dict[str, int]:
        """The sizes of a row by their names."""
        return dict(zip(self.sizes.names, row.tolist(), strict=True))

    def hold(self, held: Configuration) -> "Structure":
        """The same with those sizes that are ``held`` at their values alone."""
        ranges = dict(self.sizes.distributions)
        for name in ranges.keys() & held.keys():
            ranges[name] = IntDistribution(held[name], held[name])
        return Structure(Sizes(ranges), self.weigh)

    @cached_property
    def least(self) -> float:
        """The cost at the lower ends of the sizes."""
        return float(self.weigh(self.sizes.lows[None])[0])


class CostModel:
    """Costs of a space's configurations, exact by ``count``, or by polynomials.

    ``count`` gives a whole number, or one for each name that ``caps`` speak of; of
    several for a name the largest is its cost (the memory in use at each layer, say).
    The cost of a configuration is that of the caps' axis; over another cap it is
    :data:`~paretune.search.caps.OVER_CAP` or more. ``unread`` are parameters that
    ``count`` does not look at.

    Counting a composed model takes milliseconds, and a sampler weighs thousands of
    candidates. For each combination of the values that matter beside them quadratic
    polynomials of the whole-number parameters are fitted to a few dozen counts; where
    they are not exact on :data:`CHECKS` more (a kernel size that is searched as a
    number, say), each is counted. What is proposed in the end is always counted: see
    :meth:`verify`.
    """

    def __init__(
        self,
        space: Space,
        count: Count,
        unread: Collection[str] = (),
        caps: Caps | None = None,
    ) -> None:
        self.space = space
        self.count = count
        self.unread = frozenset(unread)
        self.caps = caps or Caps({}, "cost")
        self.refusal: ConfigError | None = None
        self._exact: dict[Rest, CostCounts | None] = {}
        self._structures: dict[Rest, Structure] = {}
        # By the names in a configuration.
        self._ints: dict[tuple[str, ...], dict[str, IntDistribution]] = {}
        # of each branch
        self._idle: dict[str, frozenset[str]] = {}
        self._structural: dict[str, frozenset[str]] = {}
        self._terms: dict[str, set[Term]] = {}

    def __call__(self, params: Configuration) -> float:
        """The cost of ``params``; infinite if they cannot be built."""
        structure = self.structure_of(params)
        return float(structure.weigh(structure.rows_of([params]))[0])

    def weigh(self, configurations: Sequence[Configuration]) -> Floats:
        """The costs ``(N,)`` of several configurations; those of a structure that is
        new, and of few of them, are counted.
        """
        costs = np.zeros(len(configurations))
        for rest, indices in self._group_by_rest(configurations).items():
            alike = [configurations[i] for i in indices]
            if rest not in self._structures and len(alike) < FEWEST_TO_LEARN:
                costs[indices] = [self.exact(params) for params in alike]
            else:
                structure = self.structure_of(alike[0])
                costs[indices] = structure.weigh(structure.rows_of(alike))
        return costs

    def _group_by_rest(
        self, configurations: Sequence[Configuration]
    ) -> dict[Rest, list[int]]:
        """The indices of configurations that differ in their sizes alone."""
        groups: dict[Rest, list[int]] = {}
        for index, params in enumerate(configurations):
            rest = self._rest(params, self._polynomial_ints(params))
            groups.setdefault(rest, []).append(index)
        return groups

    def find_least(self, params: Configuration) -> float:
        """The counted cost at the lower ends of the sizes of ``params``."""
        ints = self._polynomial_ints(params)
        rest = self._rest(params, ints)
        if rest in self._structures:
            return self._structures[rest].least
        lows = {name: dist.low for name, dist in ints.items()}
        return self.exact(self._set_idle_lowest(params | lows))

    def group(
        self, configurations: Sequence[Configuration]
    ) -> Iterable[tuple[Structure, list[int]]]:
        """The structures of several configurations, each with the indices of those that
        have it.
        """
        groups: dict[int, tuple[Structure, list[int]]] = {}
        for index, params in enumerate(configurations):
            structure = self.structure_of(params)
            _, indices = groups.setdefault(id(structure), (structure, []))
            indices.append(index)
        return groups.values()

    def structure_of(self, params: Configuration) -> Structure:
        """The structure that ``params`` have."""
        ints = self._polynomial_ints(params)
        rest = self._rest(params, ints)
        if rest not in self._structures:
            polynomials = self._learn(params, ints)
            structure = self._make_structure(params, ints, polynomials)
            _keep(self._structures, rest, structure)
        return self._structures[rest]

    def keep_structure(self, params: Configuration) -> Configuration:
        """The values of ``params`` that its structure is told by."""
        return dict(self._rest(params, self._polynomial_ints(params)))

    def _make_structure(
        self, params: Configuration, ints: Ints, polynomials: Polynomials | None
    ) -> Structure:
        """A structure whose costs are those of the polynomials, if there are any, else
        counted one by one.
        """
        if polynomials:
            return Structure(Sizes(ints), partial(self._evaluate, polynomials))
        plain = self._set_idle_lowest(params)
        return Structure(Sizes(ints), partial(self._count_each, plain, list(ints)))

    def _evaluate(self, polynomials: Polynomials, rows: Rows) -> Floats:
        costs = polynomials.evaluate(rows)
        largest = np.zeros(len(rows))
        for name in self.caps.others:
            largest = np.maximum(largest, costs[name] / self.caps.most[name])
        return np.where(largest > 1, OVER_CAP * largest, costs[self.caps.axis])

    def _count_each(
        self, plain: Configuration, names: Sequence[str], rows: Rows
    ) -> Floats:
        costs: list[float] = []
        for row in rows.tolist():
            sizes = dict(zip(names, row, strict=True))
            costs.append(self.exact(plain | sizes))
        return np.array(costs)

    def exact(self, params: Configuration) -> float:
        """The counted cost of ``params``; infinite if they cannot be built."""
        counts = self.counts(params)
        if counts is None:
            return inf

        largest = 0.0
        for name in self.caps.others:
            cost = max(counts[name])
            largest = max(largest, cost / self.caps.most[name])
        if largest > 1:
            return OVER_CAP * largest
        return max(counts[self.caps.axis])

    def counts(self, params: Configuration) -> CostCounts | None:
        """The counted costs by name, of each all that it is the largest of; ``None`` if
        they cannot be built.
        """
        read: Configuration = {}
        for name, value in params.items():
            if name not in self.unread:
                read[name] = value
        key = frozenset(read.items())
        if key not in self._exact:
            _keep(self._exact, key, self._count(params))
        return self._exact[key]

    def _count(self, params: Configuration) -> CostCounts | None:
        try:
            counted = self.count(params)
        except ConfigError as error:
            self.refusal = error
            return None
        if not isinstance(counted, Mapping):
            counted = {self.caps.axis: counted}

        counts: CostCounts = {}
        for name in (self.caps.axis, *self.caps.others):
            cost = counted[name]
            if isinstance(cost, Sequence):
                counts[name] = tuple(cost)
            else:
                counts[name] = (cost,)
        return counts

    def verify(self, params: Configuration) -> None:
        """Count ``params``; if their cost is another one, what shares their polynomials
        is counted from now on.
        """
        if self(params) == self.exact(params):
            return
        ints = self._polynomial_ints(params)
        rest = self._rest(params, ints)
        counted = self._make_structure(params, ints, None)
        _keep(self._structures, rest, counted)

    def _polynomial_ints(self, params: Configuration) -> dict[str, IntDistribution]:
        """The whole numbers of ``params`` that polynomials take."""
        branch = self.space.branch_of(params)
        key = (branch, *params)
        if key not in self._ints:
            left_out = self.unread | self._find_structural(params)
            ints: dict[str, IntDistribution] = {}
            for name, dist in free_integers(self.space, params).items():
                if name not in left_out:
                    ints[name] = dist
            self._ints[key] = ints
        return self._ints[key]

    def _rest(self, params: Configuration, ints: Collection[str]) -> Rest:
        """The values that matter beside the whole numbers that polynomials take."""
        idle = self.find_idle(params)
        rest: Configuration = {}
        for name, value in params.items():
            if name not in ints and name not in idle:
                rest[name] = value
        return frozenset(rest.items())

    def _find_structural(self, params: Configuration) -> frozenset[str]:
        """Whole numbers that change of how many values a cost is the largest, such as
        the number of layers.

        They are told apart like choices: no polynomial goes over them.
        """
        branch = self.space.branch_of(params)
        if branch not in self._structural:
            structural: set[str] = set()
            for name, dist in free_integers(self.space, params).items():
                if self._is_structural(name, dist, params):
                    structural.add(name)
            self._structural[branch] = frozenset(structural)
        return self._structural[branch]

    def _is_structural(
        self, name: str, dist: IntDistribution, params: Configuration
    ) -> bool:
        if name in self.unread:
            return False
        at_low = self._count_values(params | {name: dist.low})
        at_high = self._count_values(params | {name: dist.high})
        if at_low is None or at_high is None:
            return False
        return at_low != at_high

    def _count_values(self, params: Configuration) -> dict[str, int] | None:
        """Of how many values each cost is the largest."""
        counts = self.counts(self.space.drop_inactive(params))
        if counts is None:
            return None
        return {name: len(values) for name, values in counts.items()}

    def find_idle(self, params: Configuration) -> frozenset[str]:
        """Parameters of this branch that changed no cost where it was tried.

        These are fractions, and choices such as the optimizer's.
        """
        branch = self.space.branch_of(params)
        if branch not in self._idle:
            distributions = self.space.distributions(branch)
            draws = self._draw_whole(params, distributions)
            idle = set(self.unread)
            for name, dist in distributions.items():
                if self._is_idle(name, dist, draws):
                    idle.add(name)
            self._idle[branch] = frozenset(idle)
        return self._idle[branch]

    def _draw_whole(
        self, params: Configuration, distributions: Mapping[str, BaseDistribution]
    ) -> list[Configuration]:
        """Draws of a branch with a value of every parameter, whatever its condition."""
        rng = np.random.default_rng(0)
        draws: list[Configuration] = []
        for _ in range(IDLE_DRAWS):
            draw = {name: params[name] for name in self.space.choices}
            for name, dist in distributions.items():
                draw[name] = draw_uniform(dist, rng)
            draws.append(draw)
        return draws

    def _is_idle(
        self, name: str, dist: BaseDistribution, draws: Sequence[Configuration]
    ) -> bool:
        is_choice = (
            isinstance(dist, CategoricalDistribution) or name in self.space.switches
        )
        if not is_choice or name in self.unread:
            # No width is a number in between.
            return isinstance(dist, FloatDistribution)
        having = [draw for draw in draws if name in self.space.drop_inactive(draw)]
        if not having:
            return False
        return all(self._changes_nothing(name, dist, draw) for draw in having)

    def _changes_nothing(
        self, name: str, dist: BaseDistribution, draw: Configuration
    ) -> bool:
        """Whether ``draw`` has the same counts with every value of the parameter
        ``name``, or can be built with none of them.
        """
        first, *others = list_values(dist)
        counts = self._count_with(draw, name, first)
        return all(self._count_with(draw, name, value) == counts for value in others)

    def _count_with(
        self, draw: Configuration, name: str, value: Any
    ) -> CostCounts | None:
        return self.counts(self.space.drop_inactive(draw | {name: value}))

    def _set_idle_lowest(self, params: Configuration) -> Configuration:
        """``params`` with what is idle at its first value, so that few are counted."""
        branch = self.space.branch_of(params)
        distributions = self.space.distributions(branch)
        plain = dict(params)
        for name in self.find_idle(params):
            if name in plain:
                plain[name] = find_lowest(distributions[name])
        return self.space.drop_inactive(plain)

    def _learn(self, params: Configuration, ints: Ints) -> Polynomials | None:
        """Polynomials of the terms that the branch's first ones had, else of all terms.

        ``None`` if they are not exact.
        """
        plain = self._set_idle_lowest(params)
        if not 0 < len(ints) <= MAX_INTS or self.counts(plain) is None:
            return None
        branch = self.space.branch_of(params)
        known = self._terms.setdefault(branch, set())
        names = [*ints, "1"]

        for pairs in _order_pairs(names, known):
            rows = _draw_rows(ints, len(pairs) + CHECKS)
            counts = self._count_rows(plain, ints, rows)
            if counts is None:
                return None
            polynomials = fit_polynomials(rows, counts, pairs)
            if polynomials:
                terms = polynomials.list_terms()
                known.update((names[i], names[j]) for i, j in terms)
                return polynomials
        return None

    def _count_rows(
        self, plain: Configuration, ints: Ints, rows: Iterable[Sequence[int]]
    ) -> list[CostCounts] | None:
        """The counts with the values of each row; ``None`` if one cannot be built."""
        counts: list[CostCounts] = []
        for row in rows:
            values = dict(zip(ints, row, strict=True))
            counted = self.counts(plain | values)
            if counted is None:
                return None
            counts.append(counted)
        return counts


def _order_pairs(
    names: Sequence[str], known: Collection[Term]
) -> list[list[FactorPair]]:
    """The terms to try: those that are ``known``, if there are any, then all."""
    pairs = list_pairs(len(names))
    likely = [(i, j) for i, j in pairs if (names[i], names[j]) in known]
    if likely:
        return [likely, pairs]
    return [pairs]


def _draw_rows(ints: Ints, number: int) -> list[list[int]]:
    rng = np.random.default_rng(0)
    rows: list[list[int]] = []
    for _ in range(number):
        row = [_draw_step(dist, rng) for dist in ints.values()]
        rows.append(row)
    return rows


def _draw_step(dist: IntDistribution, rng: np.random.Generator) -> int:
    low = dist.low
    drawn = int(rng.integers(low, dist.high + 1))
    steps = (drawn - low) // dist.step
    return low + steps * dist.step


def _keep(cache: dict[CacheKey, CacheValue], key: CacheKey, value: CacheValue) -> None:
    """Keep a value; the oldest goes where there are too many."""
    if len(cache) >= CACHE_SIZE:
        oldest = next(iter(cache))
        del cache[oldest]
    cache[key] = value
