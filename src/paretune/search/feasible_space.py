"""Whole configurations that fit a cap: what they cost, drawing them, resizing them. Pure, without a study."""

from collections.abc import Callable, Collection, Sequence
from math import exp, expm1, inf, log, log1p
from operator import itemgetter, neg
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import CategoricalDistribution

from paretune.errors import CapError
from paretune.search.costs import OVER, Caps, Costs, Count, Params
from paretune.search.distributions import draw_uniform, lowest, snap_to_grid, values_of
from paretune.search.space import Space, free_integers

BISECTIONS = 12
UNLIMITED = OVER / 10  # the cap of a cost that has none
REDRAWS = 8  # of a draw that cannot be made as cheap as it should be


class FeasibleSpace:
    """A space, what its configurations cost, and the caps that none may exceed.

    ``count`` gives the cost of a configuration, which ``cost`` calls by its name; or with :class:`~paretune.search.costs.Caps` as
    ``cap`` several by their names. A configuration for which it raises :class:`~paretune.errors.ConfigError` cannot be built
    and fits under no cap. ``unread`` are parameters that ``count`` does not look at. Below ``floor`` a lower cost is worth
    nothing: draws are spread over the costs above it. Raises :class:`~paretune.errors.CapError` at once if the smallest
    configuration of the space exceeds a cap, or the floor does.
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
        self.caps = cap if isinstance(cap, Caps) else Caps({} if cap is None else {cost: cap}, cost)
        self.costs = Costs(space, count, unread, self.caps) if count else None
        self.cap: float = self.caps.most.get(self.caps.axis, UNLIMITED) if count else inf
        smallest = [(choice, self.cost(self.smallest_of(choice))) for choice in space.combinations()]
        self.smallest = min(least for _, least in smallest)
        if self.smallest == inf and self.costs and self.costs.refusal:
            raise self.costs.refusal  # not one configuration of the space can be built
        if self.smallest > self.cap:
            best = min(smallest, key=itemgetter(1))[0]
            counted, most = self._excess(self.smallest_of(best))
            raise CapError(
                f"search space has {counted} in its smallest model, over the cap of {most}; expected room for at least one "
                f"model; lower the space's lower ends or raise the cap"
            )
        self.branches = [choice for choice, least in smallest if least <= self.cap]
        self.upper = min(self.cap, max(self.cost(self.largest_of(choice)) for choice in self.branches))
        self.lower = max(self.smallest, floor or 0)
        self.least = max(self.lower, 1.0)  # of the way that shares are of: a configuration may cost nothing
        self._ways = {_key(choice): self._way_of(choice, least) for choice, least in smallest if least <= self.cap}
        if self.lower > self.upper:
            raise CapError(
                f"cap.min `{floor}` is above the {self.upper:,.0f} {self.caps.unit(self.caps.axis)} of the largest model that fits; "
                f"expected less; lower it"
            )

    def _way_of(self, choice: Params, smallest: float) -> tuple[float, float]:
        """The least cost of a branch that counts, and the largest that fits."""
        upper = min(self.cap, self.cost(self.largest_of(choice)))
        return min(max(smallest, self.least), max(upper, 1.0)), upper

    def _excess(self, params: Params) -> tuple[str, str]:
        """What of ``params`` is over its cap, and that cap, in words."""
        counts = self.costs.counts(params) if self.costs else None
        name = self.caps.exceeded(counts) if counts else None
        if counts is None or name is None:
            return "no count, as it cannot be built", "every size"
        return f"{max(counts[name]):,} {self.caps.unit(name)}", f"{self.caps.most[name]:,}"

    def cost(self, params: Params) -> float:
        """What ``params`` cost: 0 without a ``count``, more than any cap if another cap forbids them or they cannot be built."""
        return self.costs(params) if self.costs else 0

    def fits(self, params: Params) -> bool:
        """Whether ``params`` may be run."""
        return self.cost(params) <= self.cap

    def check_fits(self, params: Params, source: str) -> None:
        """Raise :class:`~paretune.errors.CapError`, which names ``source``, if ``params`` may not be run."""
        if not self.verify_fits(params):
            counted, most = self._excess(params)
            raise CapError(
                f"{source} has {counted}, over the cap of {most}; expected a configuration that fits; make it smaller or raise the cap"
            )

    def verify_fits(self, params: Params) -> bool:
        """Whether ``params`` may be run, by their counted cost."""
        if self.costs:
            self.costs.verify(params)
        return self.fits(params)

    def holding(self, params: Params, held: Params, rng: np.random.Generator) -> Params:
        """``params`` with the values ``held``; what else a configuration that has them needs is drawn, and shrunk onto the cap.

        It may not fit even so.
        """
        if not held:
            return params
        whole = self.completed(params | held, rng)
        return whole if self.fits(whole) else self.resized(whole, self.cap, held)

    def draw_uniform(self, rng: np.random.Generator, choice: Params | None = None) -> Params:
        """A draw_uniform draw that may not fit, of a branch that has a model that does; ``choice`` fixes the branch."""
        chosen = choice or self.branches[int(rng.integers(len(self.branches)))]
        return self.completed(chosen, rng)

    def completed(self, params: Params, rng: np.random.Generator) -> Params:
        """``params`` of a branch without what its conditions leave out, and with draw_uniform draws of what is missing."""
        branch = self.space.distributions(self.space.branch_of(params))
        full = dict(params)
        for name, dist in branch.items():
            if name not in full and self.space.is_active(name, full):
                full[name] = draw_uniform(dist, rng)
        return self.space.drop_inactive(full)

    def spread(
        self, rng: np.random.Generator, share: float, choice: Params | None = None, exponent: float = 0.0
    ) -> Params:
        """A draw resized to the cost :meth:`at_share` of the way from the smallest to the cap, of those of the branch if it is given."""
        params = self.draw_uniform(rng, choice)
        if self.costs is None:
            return params
        target = self.at_share(share, exponent, choice)
        for _ in range(REDRAWS):
            if self.cost(self._mover(params)(0.0)) <= target:
                break
            params = self.draw_uniform(rng, choice)  # too many layers, say, whatever their widths
        return self.resized(params, target)

    def at_share(self, share: float, exponent: float = 0.0, choice: Params | None = None) -> float:
        """The cost at ``share`` (0 to 1) of the way from the smallest that counts to the largest that fits, of a branch if it is given.

        The way is measured in cost to the power of ``exponent``: with 1 every parameter is as long as any other, with 0, the
        logarithm, every decade (Box and Cox 1964, https://doi.org/10.1111/j.2517-6161.1964.tb00553.x).
        """
        least, upper = self._ways[_key(choice)] if choice else (self.least, self.upper)
        whole = _length(least, upper)
        part = log1p(share * expm1(exponent * whole)) / exponent if exponent else share * whole
        return round(least * exp(part), 6)  # the cap itself at 1

    def shares(self, configurations: Sequence[Params], exponent: float = 0.0) -> NDArray[np.float64]:
        """The shares ``(N,)`` of the way at which ``configurations`` are; 0 for what is cheaper than the least cost that counts."""
        parts = np.log([max(self.cost(params), self.least) / self.least for params in configurations])
        whole = _length(self.least, self.upper) or 1.0  # where every model costs the same
        return np.expm1(exponent * parts) / expm1(exponent * whole) if exponent else parts / whole

    def resized(self, params: Params, target: float, held: Params | None = None) -> Params:
        """``params`` moved towards the lower or the upper ends of their ranges, to the largest cost within ``target``.

        Where even the lower ends exceed it (a large kernel, say), what changes the cost takes its cheapest values. What is
        ``held`` stays as it is.
        """
        held = held or {}
        move = self._mover(params, held)
        below, above = move(0.0), move(2.0)
        if self.cost(below) > target:
            smallest = self.smallest_of({name: params[name] for name in self.space.choices} | held)
            idle = self.costs.idle(params) if self.costs else ()
            params = self.space.drop_inactive(
                smallest | {name: value for name, value in params.items() if name in idle}
            )
            move = self._mover(params, held)
            below, above = move(0.0), move(2.0)
        low, high = 0.0, 2.0
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            moved = move(middle)
            if moved == below or (moved != above and self.cost(moved) <= target):
                low, below = middle, moved
            else:
                high, above = middle, moved
        return above if self.cost(above) <= target else below

    def smallest_of(self, choice: Params) -> Params:
        """The lower ends of a branch, each choice at its cheapest value, one after another; ``choice`` may hold further values."""
        branch = self.space.distributions(self.space.branch_of(choice))
        return self._preferred({name: lowest(dist) for name, dist in branch.items()} | choice, neg, choice)

    def largest_of(self, choice: Params) -> Params:
        """The largest of a branch that can be built: upper ends, each choice at its dearest value."""
        branch = self.space.distributions(self.space.branch_of(choice))
        lower = choice | {name: lowest(dist) for name, dist in branch.items()} | self.smallest_of(choice)
        ends = {name: dist.high for name, dist in free_integers(self.space, lower).items()}
        params = self._preferred(lower | ends, lambda cost: cost if cost < UNLIMITED else -cost, choice)
        return params if self.cost(params) < UNLIMITED else self.resized(params, UNLIMITED)

    def _preferred(self, params: Params, preference: Callable[[float], float], held: Params) -> Params:
        """``params`` with each choice that matters, and is not ``held``, at the value whose counted cost is preferred, one after another."""
        if self.costs is None:
            return self.space.drop_inactive(params)
        idle = self.costs.idle(params)
        for name, dist in self.space.distributions(self.space.branch_of(params)).items():
            is_choice = isinstance(dist, CategoricalDistribution) or name in self.space.switches
            if is_choice and name not in idle and name not in held:
                values = values_of(dist)
                costs = [
                    preference(self.costs.exact(self.space.drop_inactive(params | {name: value}))) for value in values
                ]
                params = params | {name: values[costs.index(max(costs))]}
        return self.space.drop_inactive(params)

    def _mover(self, params: Params, held: Collection[str] = ()) -> Callable[[float], Params]:
        """A function that moves whole numbers of ``params`` from the lower ends of their ranges (0) over where they are (1) to the
        upper ends (2), unless they are ``held`` or cost nothing.
        """
        steps = []
        kept = {*held, *(self.costs.unread if self.costs else ())}
        for name, dist in free_integers(self.space, params).items():
            if name not in kept:
                scale = log if dist.log else float
                steps.append((name, scale(dist.low), scale(params[name]), scale(dist.high), dist))

        def move(position: float) -> Params:
            moved = dict(params)
            for name, low, value, high, dist in steps:
                at = low + (value - low) * position if position <= 1 else value + (high - value) * (position - 1)
                moved[name] = snap_to_grid(exp(at) if dist.log else at, dist)
            return moved

        return move


def _key(choice: Params) -> frozenset[tuple[str, Any]]:
    return frozenset(choice.items())


def _length(least: float, upper: float) -> float:
    """How long the way from one cost to another is, in logarithms."""
    return log(max(upper, 1.0) / least)
