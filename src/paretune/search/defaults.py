"""What parameters are where nothing is searched: a draw keeps near to that in most of
its settings.

Who wrote a config meant its values to be good. A prior of that kind saves a search most
of its first trials (Hvarfner et al. 2022, https://arxiv.org/abs/2204.11051; Mallik et
al. 2023, https://arxiv.org/abs/2306.12370): of thirty settings drawn at random some
spoil each network.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, IntDistribution

from paretune.search.distributions import draw_near, draw_uniform

# Of the settings of a draw that keep near to their defaults: one of these, by chance.
SHARES = (0.7, 0.9, 1.0)
UNKNOWN = object()
Values = Mapping[str, Any]  # by the names of parameters


@dataclass(frozen=True)
class Defaults:
    """Values of parameters, as their distributions have them; of those that are not
    there nothing is known.

    ``of_branches`` has those of each branch. ``of_groups`` has those below a config
    group by the group and its option: a rate is another one with another optimizer.
    """

    of_branches: Mapping[str, Values] = field(default_factory=dict)
    of_groups: Mapping[str, Mapping[Any, Values]] = field(default_factory=dict)

    def find(self, name: str, branch: str, params: Values) -> Any:
        """The default of parameter ``name`` in a configuration that begins with
        ``params``; :data:`UNKNOWN` if there is none.
        """
        group = self._group_of.get(name)
        if group is None:
            return self.of_branches.get(branch, {}).get(name, UNKNOWN)
        values = self.of_groups[group].get(params.get(group), {})
        return values.get(name, UNKNOWN)

    @cached_property
    def _group_of(self) -> dict[str, str]:
        """The group that a parameter is below, by its name."""
        groups: dict[str, str] = {}
        for group, options in self.of_groups.items():
            for values in options.values():
                groups.update(dict.fromkeys(values, group))
        return groups


@dataclass(frozen=True)
class NearDefaults:
    """Draws the values of one configuration: of a ``share`` of them near to the
    default.
    """

    defaults: Defaults
    branch: str
    share: float
    rng: np.random.Generator

    @classmethod
    def begin(
        cls, defaults: Defaults, branch: str, rng: np.random.Generator
    ) -> "NearDefaults":
        """For a new configuration, with one of the :data:`SHARES`."""
        return cls(defaults, branch, float(rng.choice(SHARES)), rng)

    def draw(self, name: str, dist: BaseDistribution, params: Values) -> Any:
        """A value of parameter ``name`` in the configuration that begins with
        ``params``. Whole numbers are sizes, and any is as likely.
        """
        if isinstance(dist, IntDistribution) or self.rng.random() >= self.share:
            return draw_uniform(dist, self.rng)
        default = self.defaults.find(name, self.branch, params)
        if default is UNKNOWN:
            return draw_uniform(dist, self.rng)
        return draw_near(default, dist, self.rng)
