"""The space that a sweep searches: its parameters as Optuna distributions, and which of
them a configuration has.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import Any

from optuna.distributions import CategoricalDistribution, IntDistribution

from paretune.search.conditions import Condition
from paretune.search.distributions import Distributions, check_value
from paretune.search.grammar import read_value


@dataclass(frozen=True)
class Space:
    """The parameters that a sweep draws from.

    ``choices`` are config groups such as ``model`` that bring parameters of their own,
    drawn first; each combination of them has a branch of its own parameters besides the
    ``common`` ones. In Optuna a branch's parameter is called ``<branch>/<key>``, as
    Optuna wants one distribution for a name; a space without choices keeps the plain
    keys. ``conditions`` say by name which parameters are part of a configuration only
    with certain values of others; ``groups`` name all config groups, those among the
    common parameters, too.
    """

    fixed: list[str] = field(default_factory=list)
    common: Distributions = field(default_factory=dict)
    choices: dict[str, CategoricalDistribution] = field(default_factory=dict)
    branches: dict[str, Distributions] = field(default_factory=dict)
    conditions: dict[str, Condition] = field(default_factory=dict)
    groups: frozenset[str] = frozenset()
    _by_branch: dict[str, Distributions] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @cached_property
    def switches(self) -> frozenset[str]:
        """The parameters that conditions depend on."""
        names: set[str] = set()
        for condition in self.conditions.values():
            names.add(condition.name)
        return frozenset(names)

    def branch_of(self, params: Mapping[str, Any]) -> str:
        """The branch that the drawn choices lead to, such as ``squeeze``."""
        options = [str(params[name]) for name in self.choices]
        return "+".join(options)

    def distributions(self, branch: str) -> Distributions:
        """The branch's own and the common parameters by their Optuna names, whatever
        their conditions; not to be changed, as they are kept.
        """
        if branch not in self._by_branch:
            own = self.branches.get(branch, {})
            self._by_branch[branch] = {**self.common, **own}
        return self._by_branch[branch]

    def all_distributions(self) -> Distributions:
        """Every parameter of every branch, the choices included."""
        distributions: Distributions = {**self.choices, **self.common}
        for branch in self.branches.values():
            distributions.update(branch)
        return distributions

    def is_active(self, name: str, params: Mapping[str, Any]) -> bool:
        """Whether parameter ``name`` is part of the configuration that begins with
        ``params``.
        """
        condition = self.conditions.get(name)
        if condition is None:
            return True
        return condition.holds(params)

    def drop_inactive(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """``params`` without those whose conditions do not hold, in the order of the
        space.
        """
        kept = {name: params[name] for name in self.choices}
        branch = self.branch_of(params)
        for name in self.distributions(branch):
            if name in params and self.is_active(name, kept):
                kept[name] = params[name]
        return kept

    def take_values(
        self, value_of: Callable[[str], Any], source: str
    ) -> dict[str, Any]:
        """The configuration whose parameters have the values that ``value_of`` gives by
        their names.

        Raises :class:`~paretune.errors.ConfigError`, which names ``source``, for a
        value that the space does not hold.
        """
        params: dict[str, Any] = {}
        for name, choice in self.choices.items():
            value = value_of(name)
            params[name] = check_value(choice, value, name, source)

        branch = self.branch_of(params)
        for name, dist in self.distributions(branch).items():
            if self.is_active(name, params):
                value = value_of(name)
                params[name] = check_value(dist, value, name, source)
        return params

    def describe(self) -> dict[str, str]:
        """Every parameter's distribution as text, with its condition."""
        texts: dict[str, str] = {}
        for name, dist in self.all_distributions().items():
            texts[name] = str(dist)
        for name, condition in self.conditions.items():
            texts[name] += f" {condition}"
        return texts

    def overrides(self, params: Mapping[str, Any]) -> list[str]:
        """Hydra overrides of drawn ``params``, the choices first, without the fixed
        ones.
        """
        lines, values = self.split_groups(params)
        for key, value in values.items():
            lines.append(f"{key}={value}")
        return lines

    def split_groups(
        self, params: Mapping[str, Any]
    ) -> tuple[list[str], dict[str, Any]]:
        """The overrides of config groups, and the drawn values by their Hydra keys."""
        groups: list[str] = []
        values: dict[str, Any] = {}
        for name, value in params.items():
            if name in self.groups:
                groups.append(f"{name}={value}")
            else:
                values[hydra_key(name)] = value
        return groups, values

    def read_values(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The drawn values that are no groups, by their dotted names, as Hydra reads
        them.
        """
        _, values = self.split_groups(params)
        return {key.lstrip("+"): read_value(value) for key, value in values.items()}

    def combinations(self) -> Iterable[dict[str, Any]]:
        """Every combination of choices."""
        options = [choice.choices for choice in self.choices.values()]
        for values in product(*options):
            yield dict(zip(self.choices, values, strict=True))


def hydra_key(name: str) -> str:
    """The Hydra key of a parameter that is no group: its Optuna name without the
    branch.
    """
    return name.rpartition("/")[2]


def free_integers(
    space: Space, params: Mapping[str, Any]
) -> dict[str, IntDistribution]:
    """The whole-number parameters of a configuration that may be moved freely: those
    that no condition depends on.
    """
    free: dict[str, IntDistribution] = {}
    branch = space.branch_of(params)
    for name, dist in space.distributions(branch).items():
        is_free = name in params and name not in space.switches
        if is_free and isinstance(dist, IntDistribution):
            free[name] = dist
    return free
