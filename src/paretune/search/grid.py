"""All configurations of a space of finitely many values, by their numbers: none is made
before it is asked for.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import prod
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
)

from paretune.errors import ConfigError
from paretune.search.costs import Configuration
from paretune.search.distributions import Distributions, list_values
from paretune.search.space import Space


@dataclass(frozen=True)
class GridBranch:
    """The part of a grid with the same choices: what is chosen, and the values of all
    else.
    """

    choice: Configuration
    values: Mapping[str, Sequence[Any]]

    def __len__(self) -> int:
        return prod(map(len, self.values.values()))

    def at(self, index: int) -> Configuration:
        """The configuration of this number; the last parameter's value changes
        first.
        """
        positions: dict[str, int] = {}
        for name in reversed(list(self.values)):
            index, position = divmod(index, len(self.values[name]))
            positions[name] = position

        params = dict(self.choice)
        for name, values in self.values.items():
            params[name] = values[positions[name]]
        return params


class Grid:
    """The configurations of the branches of a space with these ``choices``, counted
    from 0 in the order of the values.

    Raises :class:`~paretune.errors.ConfigError` for a parameter with endlessly many
    values.
    """

    def __init__(self, space: Space, choices: Sequence[Configuration]) -> None:
        self.space = space
        self.branches = [_make_branch(space, choice) for choice in choices]
        self._ends = list(accumulate(map(len, self.branches)))

    def __len__(self) -> int:
        """The number of configurations at most: some may differ in nothing but what a
        condition leaves out.
        """
        return self._ends[-1]

    def at(self, index: int) -> Configuration | None:
        """The configuration of this number.

        ``None`` if an earlier one differs in nothing but what a condition leaves out.
        """
        number = bisect_right(self._ends, index)
        branch = self.branches[number]
        start = self._ends[number] - len(branch)
        whole = branch.at(index - start)

        params = self.space.drop_inactive(whole)
        for name in whole.keys() - params.keys():
            if whole[name] != branch.values[name][0]:
                return None
        return params


def _make_branch(space: Space, choice: Configuration) -> GridBranch:
    distributions = space.distributions(space.branch_of(choice))
    return GridBranch(choice, _list_values(distributions))


def _list_values(distributions: Distributions) -> dict[str, Sequence[Any]]:
    values: dict[str, Sequence[Any]] = {}
    for name, dist in distributions.items():
        if _is_endless(dist):
            raise ConfigError(
                f"sampler `grid` cannot try every value of `{name}`; write it as "
                "choice(...), int(interval(...)) or range(...), with a step if it is "
                "of fractions, or use another sampler"
            )
        values[name] = list_values(dist)
        # Of which the same may be given twice.
        if isinstance(dist, CategoricalDistribution):
            distinct = {(type(value), value): value for value in dist.choices}
            values[name] = list(distinct.values())
    return values


def _is_endless(dist: BaseDistribution) -> bool:
    if not isinstance(dist, FloatDistribution):
        return False
    return dist.step is None and not dist.single()
