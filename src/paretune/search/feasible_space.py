"""Whole configurations that fit a cap: what they cost, drawing them, resizing them.
Pure, without a study.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from operator import attrgetter, neg
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
)

from paretune.errors import CapError
from paretune.search.caps import OVER_CAP, Caps
from paretune.search.cost_axis import CostAxis
from paretune.search.costs import Configuration, CostModel, Count
from paretune.search.defaults import Defaults, NearDefaults
from paretune.search.distributions import draw_uniform, find_lowest, list_values
from paretune.search.drawing import (
    REDRAWS,
    Drawer,
    SharedStructures,
    Target,
    Targets,
)
from paretune.search.sizes import move_within
from paretune.search.space import Space, free_integers
from paretune.search.start_targets import StartTarget

UNLIMITED = OVER_CAP / 10  # the cap of a cost that has none
NEAR = 0.05  # of the way over all costs: a draw this near its target is taken
ALIKE = 8  # draws of one structure at most, where many are made at a time
FILLINGS = 16  # draws of a branch that are filled to find the largest that fits


@dataclass(frozen=True)
class _Branch:
    """The choices of a branch, and the least cost there."""

    choice: Configuration
    least: float


class FeasibleSpace:
    """A space, what its configurations cost, and the caps that none may exceed.

    ``count`` gives the cost of a configuration, which ``cost`` calls by its name; or
    with
    :class:`~paretune.search.caps.Caps` as ``cap`` several by their names. A
    configuration for which it raises
    :class:`~paretune.errors.ConfigError` cannot be built and fits under no cap.
    ``unread`` are parameters that ``count`` does not look at. Below ``floor`` a lower
    cost is worth nothing: draws are spread over the costs above it. Raises
    :class:`~paretune.errors.CapError` at once if the smallest configuration of the
    space exceeds a cap, or the floor does. Draws are uniform until ``defaults`` are
    set.
    """

    def __init__(
        self,
        space: Space,
        count: Count | None = None,
        cap: int | Caps | None = None,
        cost: str = "parameters",
        unread: Collection[str] = (),
        floor: int | None = None,
    ) -> None:
        self.space = space
        self.caps = _read_caps(cap, cost)
        self.costs: CostModel | None = None
        self.defaults: Defaults | None = None
        self._smallest: dict[frozenset[tuple[str, Any]], Configuration] = {}
        self.cap = inf
        if count:
            self.costs = CostModel(space, count, unread, self.caps)
            self.cap = self.caps.most.get(self.caps.axis, UNLIMITED)

        branches = [self._measure_branch(choice) for choice in space.combinations()]
        cheapest = min(branches, key=attrgetter("least"))
        self.smallest = cheapest.least
        self._check_smallest(cheapest)

        fitting = [branch for branch in branches if branch.least <= self.cap]
        self.branches = [branch.choice for branch in fitting]
        uppers = [self._find_upper(choice) for choice in self.branches]
        self.upper = max(uppers)
        self.lower = max(self.smallest, floor or 0)
        self._check_floor(floor)

        least_counted = max(self.lower, 1.0)  # a configuration may cost nothing
        self.axis = CostAxis(least_counted, self.upper)
        self.branch_axes: list[CostAxis] = []
        for branch, upper in zip(fitting, uppers, strict=True):
            least = max(branch.least, least_counted)
            least = min(least, max(upper, 1.0))
            self.branch_axes.append(CostAxis(least, upper))

    def _measure_branch(self, choice: Configuration) -> "_Branch":
        smallest = self.smallest_of(choice)
        return _Branch(choice, self.cost(smallest))

    def _find_upper(self, choice: Configuration) -> float:
        """The largest cost of a branch that fits, as far as some fillings find it."""
        largest = self.largest_of(choice)
        upper = min(self.cap, self.cost(largest))
        if self.costs is None or not self.caps.others:
            return upper
        rng = np.random.default_rng(0)
        drawn = [self.complete(choice, rng) for _ in range(FILLINGS)]
        drawer = self._make_drawer(self.costs, rng)
        caps = Targets.of([Target(self.cap, self.cap)] * FILLINGS)
        for in_turn in (False, True):
            grown = drawer.grow(drawn, caps, in_turn=in_turn)
            weighed = self.costs.weigh(grown)
            upper = max(upper, weighed[weighed <= self.cap].max(initial=0.0))
        return float(upper)

    def _check_smallest(self, cheapest: "_Branch") -> None:
        """Refuse a space of which not even the smallest configuration, that of the
        ``cheapest`` branch, fits.
        """
        if self.smallest == inf and self.costs and self.costs.refusal:
            raise self.costs.refusal  # not one configuration of the space can be built
        if self.smallest > self.cap:
            smallest = self.smallest_of(cheapest.choice)
            counted, most = self._describe_excess(smallest)
            raise CapError(
                f"the smallest model of the search space has {counted} and already "
                f"exceeds the cap of {most}; lower the lower bounds or raise the cap"
            )

    def _check_floor(self, floor: int | None) -> None:
        if self.lower > self.upper:
            unit = self.caps.unit(self.caps.axis)
            raise CapError(
                f"cap.min `{floor}` is above the {self.upper:,.0f} {unit} of the "
                "largest model that fits; lower it"
            )

    def _describe_excess(self, params: Configuration) -> tuple[str, str]:
        """The count of ``params`` that is over its cap, and that cap, in words."""
        counts = None
        name = None
        if self.costs:
            counts = self.costs.counts(params)
        if counts:
            name = self.caps.exceeded(counts)
        if counts is None or name is None:
            return "no count, as it cannot be built", "every size"
        counted = f"{max(counts[name]):,} {self.caps.unit(name)}"
        return counted, f"{self.caps.most[name]:,}"

    def cost(self, params: Configuration) -> float:
        """The cost of ``params``; 0 without a ``count``.

        More than any cap if another cap than the objective's forbids them, or if they
        cannot be built.
        """
        if self.costs is None:
            return 0
        return self.costs(params)

    def weigh(self, configurations: Sequence[Configuration]) -> NDArray[np.float64]:
        """The costs ``(N,)`` of several configurations, as :meth:`cost` gives them."""
        if self.costs is None:
            return np.zeros(len(configurations))
        return self.costs.weigh(configurations)

    def keep_fitting(
        self, configurations: Sequence[Configuration]
    ) -> list[Configuration]:
        """Those that may be run."""
        costs = self.weigh(configurations)
        pairs = zip(configurations, costs, strict=True)
        return [params for params, cost in pairs if cost <= self.cap]

    def fits(self, params: Configuration) -> bool:
        """Whether ``params`` may be run."""
        return self.cost(params) <= self.cap

    def verify_fits(self, params: Configuration) -> bool:
        """Whether ``params`` may be run, by their counted cost."""
        if self.costs is None:
            return True
        self.costs.verify(params)
        return self.costs.exact(params) <= self.cap

    def check_fits(self, params: Configuration, source: str) -> None:
        """Raise :class:`~paretune.errors.CapError`, which names ``source``, if
        ``params`` may not be run.
        """
        if self.verify_fits(params):
            return
        counted, most = self._describe_excess(params)
        raise CapError(
            f"{source} has {counted}, over the cap of {most}; make it smaller or raise "
            "the cap"
        )

    def draw_uniform(
        self, rng: np.random.Generator, choice: Configuration | None = None
    ) -> Configuration:
        """A uniform draw that may not fit, of a branch that has a model that does;
        ``choice`` fixes the branch.
        """
        if not choice:
            index = int(rng.integers(len(self.branches)))
            choice = self.branches[index]
        return self.complete(choice, rng)

    def draw_at_share(
        self,
        rng: np.random.Generator,
        share: float,
        choice: Configuration | None = None,
        exponent: float = 0.0,
    ) -> Configuration:
        """A draw resized to the cost at ``share``, of the branch if it is given: see
        :meth:`cost_at_share`.
        """
        [params] = self.draw_at_shares(rng, [share], choice, exponent)
        return params

    def draw_at_shares(
        self,
        rng: np.random.Generator,
        shares: Sequence[float],
        choice: Configuration | None = None,
        exponent: float = 0.0,
        attempts: int = REDRAWS,
    ) -> list[Configuration]:
        """A draw for each of ``shares``, which take much less time together.

        After so many ``attempts`` one that is cheaper than it should be is taken.
        """
        if self.costs is None:
            return [self.draw_uniform(rng, choice) for _ in shares]
        targets: list[Target] = []
        for share in shares:
            least = self.cost_at_share(max(share - NEAR, 0.0), exponent, choice)
            most = self.cost_at_share(share, exponent, choice)
            targets.append(Target(least, most))
        drawer = self._make_drawer(self.costs, rng)
        draws = self._share_structures(self.costs, rng, choice, ALIKE)
        return drawer.draw(targets, draws.draw_within, attempts)

    def draw_start(
        self, rng: np.random.Generator, start: StartTarget, exponent: float
    ) -> Configuration:
        """A draw of the branch of ``start`` resized to its share of the way over all
        costs, or to the end of the branch that is nearest.
        """
        choice = self.branches[start.branch]
        if self.costs is None:
            return self.draw_uniform(rng, choice)
        axis = self.branch_axes[start.branch]
        least = self.cost_at_share(max(start.share - NEAR, 0.0), exponent)
        most = self.cost_at_share(start.share, exponent)
        most = min(max(most, axis.least), axis.upper)
        target = Target(min(least, most), most)
        drawer = self._make_drawer(self.costs, rng)
        draws = self._share_structures(self.costs, rng, choice, 1)
        [params] = drawer.draw([target], draws.draw_within)
        return params

    def _share_structures(
        self,
        costs: CostModel,
        rng: np.random.Generator,
        choice: Configuration | None,
        alike: int,
    ) -> SharedStructures:
        """Uniform draws of a branch, of which so many may have one structure."""
        draw = partial(self.draw_uniform, rng, choice)
        complete = partial(self.complete, rng=rng)
        return SharedStructures(costs, draw, complete, alike)

    def shrink(self, params: Configuration, rng: np.random.Generator) -> Configuration:
        """``params``, which are over a cap, with sizes that just fit; where even the
        lower ends of the sizes do not, with choices that cost less.
        """
        if self.costs is None:
            return params
        drawer = self._make_drawer(self.costs, rng)
        least = self.cost_at_share(1 - NEAR)
        [smaller] = drawer.grow(
            [params], Targets.of([Target(least, self.cap)]), in_turn=False
        )
        return smaller

    def _make_drawer(self, costs: CostModel, rng: np.random.Generator) -> Drawer:
        return Drawer(costs, self.resize, rng, one_by_one=bool(self.caps.others))

    def complete(
        self, params: Configuration, rng: np.random.Generator
    ) -> Configuration:
        """``params`` of a branch without what its conditions leave out, and with draws
        of what is missing: uniform ones, or, where ``defaults`` are known, most of them
        near to these.
        """
        branch = self.space.branch_of(params)
        near = NearDefaults.begin(self.defaults, branch, rng) if self.defaults else None
        full = {name: params[name] for name in self.space.choices}
        for name, dist in self.space.distributions(branch).items():
            if not self.space.is_active(name, full):
                continue
            if name in params:
                full[name] = params[name]
            elif near:
                full[name] = near.draw(name, dist, full)
            else:
                full[name] = draw_uniform(dist, rng)
        return full

    def impose(
        self, held: Configuration, params: Configuration, rng: np.random.Generator
    ) -> Configuration:
        """``params`` with the values ``held``; what else it needs with them is drawn,
        and shrunk onto the cap.

        It may not fit even so.
        """
        if not held:
            return params
        whole = self.complete(params | held, rng)
        if self.fits(whole):
            return whole
        return self.resize(whole, self.cap, held)

    def cost_at_share(
        self, share: float, exponent: float = 0.0, choice: Configuration | None = None
    ) -> float:
        """The cost at ``share`` (0 to 1) of the way from the smallest that counts to
        the largest that fits.

        Of those of a branch, if it is given; see
        :class:`~paretune.search.cost_axis.CostAxis` for the ``exponent``.
        """
        axis = self.axis
        if choice:
            axis = self.branch_axes[self.branches.index(choice)]
        return axis.cost_at(share, exponent)

    def shares_of(
        self, configurations: Sequence[Configuration], exponent: float = 0.0
    ) -> NDArray[np.float64]:
        """The shares ``(N,)`` at which ``configurations`` are; 0 for what is cheaper
        than the least that counts.
        """
        costs = self.weigh(configurations)
        return self.axis.shares_of(costs.tolist(), exponent)

    def resize(
        self, params: Configuration, target: float, held: Configuration | None = None
    ) -> Configuration:
        """``params`` moved towards the lower or the upper ends of their ranges, to the
        largest cost within ``target``.

        Where even the lower ends exceed it (a large kernel, say), what changes the cost
        takes its cheapest values. What is ``held`` stays as it is.
        """
        if self.costs is None:
            return params
        held = held or {}
        structure = self.costs.structure_of(params).hold(held)
        if structure.least > target:
            params = self._make_cheapest(params, held)
            structure = self.costs.structure_of(params).hold(held)
        rows = structure.rows_of([params])
        targets = np.array([target])
        [moved] = move_within(structure.sizes, rows, targets, structure.weigh)
        return params | structure.name_sizes(moved)

    def _make_cheapest(
        self, params: Configuration, held: Configuration
    ) -> Configuration:
        """The smallest configuration of the branch that has what is ``held``, and what
        costs nothing of ``params``.
        """
        choice = {name: params[name] for name in self.space.choices}
        cheapest = self.smallest_of(choice | held)
        if self.costs:
            for name in self.costs.find_idle(params):
                if name in params:
                    cheapest[name] = params[name]
        return self.space.drop_inactive(cheapest)

    def smallest_of(self, choice: Configuration) -> Configuration:
        """The lower ends of a branch, each choice at its cheapest value, one after
        another.

        ``choice`` may hold further values.
        """
        key = frozenset(choice.items())
        if key not in self._smallest:
            ends = self._lower_ends(choice)
            self._smallest[key] = self._set_choices(ends | choice, neg, choice)
        return dict(self._smallest[key])

    def largest_of(self, choice: Configuration) -> Configuration:
        """The largest of a branch that can be built: upper ends, each choice at its
        dearest value.
        """
        lower = choice | self._lower_ends(choice) | self.smallest_of(choice)
        upper = dict(lower)
        for name, dist in free_integers(self.space, lower).items():
            upper[name] = dist.high
        params = self._set_choices(upper, _prefer_largest, choice)
        if self.cost(params) < UNLIMITED:
            return params
        return self.resize(params, UNLIMITED)

    def _lower_ends(self, choice: Configuration) -> Configuration:
        branch = self.space.branch_of(choice)
        ends: Configuration = {}
        for name, dist in self.space.distributions(branch).items():
            ends[name] = find_lowest(dist)
        return ends

    def _set_choices(
        self,
        params: Configuration,
        preference: Callable[[float], float],
        held: Configuration,
    ) -> Configuration:
        """``params`` with the choices that matter at the value whose counted cost is
        preferred, one after another.

        Those that are ``held`` stay as they are.
        """
        if self.costs is None:
            return self.space.drop_inactive(params)
        idle = self.costs.find_idle(params)
        branch = self.space.branch_of(params)
        for name, dist in self.space.distributions(branch).items():
            is_choice = (
                isinstance(dist, CategoricalDistribution) or name in self.space.switches
            )
            if is_choice and name not in idle and name not in held:
                value = self._find_preferred(self.costs, params, name, dist, preference)
                params = params | {name: value}
        return self.space.drop_inactive(params)

    def _find_preferred(
        self,
        costs: CostModel,
        params: Configuration,
        name: str,
        dist: BaseDistribution,
        preference: Callable[[float], float],
    ) -> Any:
        """The value of parameter ``name`` with which ``params`` have the preferred
        cost; the first of several.
        """

        def weigh(value: Any) -> float:
            changed = self.space.drop_inactive(params | {name: value})
            return preference(costs.exact(changed))

        return max(list_values(dist), key=weigh)


def _prefer_largest(cost: float) -> float:
    """The largest cost is preferred, unless it is over another cap or cannot be
    built.
    """
    if cost < UNLIMITED:
        return cost
    return -cost


def _read_caps(cap: int | Caps | None, cost: str) -> Caps:
    if isinstance(cap, Caps):
        return cap
    if cap is None:
        return Caps({}, cost)
    return Caps({cost: cap}, cost)
