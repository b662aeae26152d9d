"""Draws that cost as much as they should, whatever cap binds; many at a time.

Where the sizes of a network are moved together, the first cap that one of them meets
stops them all: the widest map fills a chip's memory, and layers behind it stay narrow
although they have room. So under several caps each size is raised on its own, too.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

from paretune.search.costs import Configuration, CostModel, Structure
from paretune.search.sizes import Floats, Rows, fill_evenly, fill_in_turn, move_within

REDRAWS = 8  # of a draw that cannot be made as cheap, or as dear, as it should be


@dataclass(frozen=True)
class Target:
    """The costs from ``least`` to ``most`` that a draw should have."""

    least: float
    most: float


@dataclass(frozen=True)
class Targets:
    """Those of several draws: ``least`` and ``most`` ``(N,)``."""

    least: Floats
    most: Floats

    @classmethod
    def of(cls, targets: Sequence[Target]) -> "Targets":
        """The targets as arrays."""
        least = np.array([target.least for target in targets])
        most = np.array([target.most for target in targets])
        return cls(least, most)

    def take(self, indices: Sequence[int]) -> "Targets":
        """Those of these indices."""
        chosen = np.array(indices, dtype=np.int64)
        return Targets(self.least[chosen], self.most[chosen])


@dataclass
class _Structure:
    """The values that tell a structure, its least cost, and how many more draws may
    have it.
    """

    values: Configuration
    least: float
    left: int


class SharedStructures:
    """Draws of which up to ``alike`` have one structure: sizes of one structure are
    weighed together, and a structure that is new takes long to weigh.

    ``draw`` gives any, ``complete`` one with the values that it is given.
    """

    def __init__(
        self,
        costs: CostModel,
        draw: Callable[[], Configuration],
        complete: Callable[[Configuration], Configuration],
        alike: int,
    ) -> None:
        self.costs = costs
        self.draw = draw
        self.complete = complete
        self.alike = alike
        self._structures: list[_Structure] = []

    def draw_within(self, most: float) -> Configuration:
        """A draw whose lower ends cost no more, if some draws find one: others have too
        many layers, say, whatever their widths.
        """
        for known in self._structures:
            if known.left and known.least <= most:
                known.left -= 1
                return self.complete(known.values)
        for _ in range(REDRAWS):
            params = self.draw()
            least = self.costs.find_least(params)
            values = self.costs.keep_structure(params)
            structure = _Structure(values, least, self.alike)
            self._structures.append(structure)
            if least <= most:
                break
        structure.left -= 1
        return params


class Drawer:
    """Makes draws as dear as targets say.

    ``resize(params, most)`` serves those that even at the lower ends of their sizes
    cost more. With ``one_by_one`` sizes are raised on their own, too.
    """

    def __init__(
        self,
        costs: CostModel,
        resize: Callable[[Configuration, float], Configuration],
        rng: np.random.Generator,
        *,
        one_by_one: bool,
    ) -> None:
        self.costs = costs
        self.resize = resize
        self.rng = rng
        self.one_by_one = one_by_one

    def draw(
        self,
        targets: Sequence[Target],
        draw_within: Callable[[float], Configuration],
        attempts: int = REDRAWS,
    ) -> list[Configuration]:
        """A draw for each target; where so many attempts do not meet it, the dearest
        that is within it.

        ``draw_within(most)`` gives one whose lower ends cost no more, if it finds one.
        """
        drawn: list[Configuration] = [{} for _ in targets]
        found = np.full(len(targets), -inf)
        missing = list(range(len(targets)))
        for attempt in range(attempts):
            wanted = Targets.of([targets[index] for index in missing])
            proposed = [draw_within(most) for most in wanted.most.tolist()]
            in_turn = self.one_by_one and attempt % 2 == 1
            grown = self.grow(proposed, wanted, in_turn=in_turn)
            weighed = self.costs.weigh(grown)
            for index, params, cost in zip(missing, grown, weighed, strict=True):
                is_better = found[index] < cost <= targets[index].most
                if is_better or not drawn[index]:
                    drawn[index] = params
                if is_better:
                    found[index] = cost
            missing = [i for i in missing if found[i] < targets[i].least]
            if not missing:
                break
        return drawn

    def grow(
        self,
        configurations: Sequence[Configuration],
        targets: Targets,
        *,
        in_turn: bool,
    ) -> list[Configuration]:
        """The configurations with sizes that make each as dear as it should be: moved
        together, or (``in_turn``) raised from their lower ends one after another.
        """
        grown = list(configurations)
        for structure, indices in self.costs.group(configurations):
            fitting: list[int] = []
            for index in indices:
                most = float(targets.most[index])
                if structure.least <= most:
                    fitting.append(index)
                else:
                    grown[index] = self.resize(grown[index], most)
            if not fitting:
                continue
            rows = structure.rows_of([grown[index] for index in fitting])
            wanted = targets.take(fitting)
            sized = self._size(structure, rows, wanted, in_turn=in_turn)
            for index, row in zip(fitting, sized, strict=True):
                grown[index] = grown[index] | structure.name_sizes(row)
        return grown

    def _size(
        self, structure: Structure, rows: Rows, targets: Targets, *, in_turn: bool
    ) -> Rows:
        sizes = structure.sizes
        weigh = structure.weigh
        if in_turn:
            least = np.broadcast_to(sizes.lows, rows.shape)
            return fill_in_turn(sizes, least, targets.most, weigh, self.rng)
        moved = move_within(sizes, rows, targets.most, weigh)
        is_short = weigh(moved) < targets.least
        if self.one_by_one and is_short.any():
            most = targets.most[is_short]
            short = moved[is_short]
            moved[is_short] = fill_evenly(sizes, short, most, weigh, self.rng)
        return moved
