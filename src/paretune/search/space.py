"""Hydra's sweep grammar as Optuna distributions, with the meaning that hydra-optuna-sweeper gives it.

``choice(a, b)``: one of them. ``range(a, b, step)``: whole numbers from a to b, b included (unlike in Hydra's own
sweeper). ``interval(a, b)``: real numbers, and ``int(interval(a, b))`` whole ones, both ends included. ``tag(log, interval(a, b))``:
the same, even in the logarithm. ``shuffle`` makes a range a choice. ``tag('if depth > 3', ...)``: only where ``depth`` has such a value.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.types import Override
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from paretune.errors import ConfigError
from paretune.search.conditions import EXPECTED, Condition, condition_of
from paretune.search.distributions import Distributions, distribution_of, held, parse, searched

Params = Mapping[str, Any]


@dataclass(frozen=True)
class Space:
    """What a sweep draws from.

    ``choices`` are config groups such as ``model`` that bring parameters of their own, drawn first; each combination of them
    has a branch of its own parameters besides the ``common`` ones. In Optuna a branch's parameter is called
    ``<branch>/<key>``, as Optuna wants one distribution for a name; a space without choices keeps the plain keys.
    ``conditions`` say by name which parameters are part of a configuration only with certain values of others;
    ``groups`` name all config groups, those among the common parameters, too.
    """

    fixed: list[str] = field(default_factory=list)
    common: Distributions = field(default_factory=dict)
    choices: dict[str, CategoricalDistribution] = field(default_factory=dict)
    branches: dict[str, Distributions] = field(default_factory=dict)
    conditions: dict[str, Condition] = field(default_factory=dict)
    groups: frozenset[str] = frozenset()

    @cached_property
    def switches(self) -> frozenset[str]:
        """The parameters that conditions depend on."""
        return frozenset(condition.name for condition in self.conditions.values())

    def branch_of(self, params: Params) -> str:
        """The branch that the drawn choices lead to, such as ``squeeze``."""
        return "+".join(str(params[name]) for name in self.choices)

    def distributions(self, branch: str) -> Distributions:
        """The branch's own and the common parameters by their Optuna names, whatever their conditions."""
        return {**self.common, **self.branches.get(branch, {})}

    def is_active(self, name: str, params: Params) -> bool:
        """Whether parameter ``name`` is part of the configuration that begins with ``params``."""
        return name not in self.conditions or self.conditions[name].holds(params)

    def pruned(self, params: Params) -> dict[str, Any]:
        """``params`` without those whose conditions do not hold, in the order of the space."""
        kept = {name: params[name] for name in self.choices}
        for name in self.distributions(self.branch_of(params)):
            if name in params and self.is_active(name, kept):
                kept[name] = params[name]
        return kept

    def everything(self) -> Distributions:
        """Every parameter of every branch, the choices included."""
        of_branches = {name: dist for branch in self.branches.values() for name, dist in branch.items()}
        return {**self.choices, **self.common, **of_branches}

    def taken_from(self, value_of: Callable[[str], Any], source: str) -> dict[str, Any]:
        """The configuration whose parameters have the values that ``value_of`` gives by their names.

        Raises :class:`~paretune.errors.ConfigError`, which names ``source``, for a value that the space does not hold.
        """
        params: dict[str, Any] = {name: held(dist, value_of(name), name, source) for name, dist in self.choices.items()}
        for name, dist in self.distributions(self.branch_of(params)).items():
            if self.is_active(name, params):
                params[name] = held(dist, value_of(name), name, source)
        return params

    def described(self) -> dict[str, str]:
        """Every parameter's distribution as text."""
        texts = {name: str(distribution) for name, distribution in self.everything().items()}
        return texts | {name: f"{texts[name]} {condition}" for name, condition in self.conditions.items()}

    def overrides(self, params: Params) -> list[str]:
        """Hydra overrides of drawn ``params``, the choices first, without the fixed ones."""
        groups, values = self.grouped(params)
        return [*groups, *(f"{key}={value}" for key, value in values.items())]

    def grouped(self, params: Params) -> tuple[list[str], dict[str, Any]]:
        """The overrides of config groups, and the drawn values by their Hydra keys."""
        groups = [f"{name}={value}" for name, value in params.items() if name in self.groups]
        # a Hydra key of a value holds no slash
        return groups, {name.rpartition("/")[2]: value for name, value in params.items() if name not in self.groups}

    def combinations(self) -> Iterable[dict[str, Any]]:
        """Every combination of choices."""
        for values in product(*(dist.choices for dist in self.choices.values())):
            yield dict(zip(self.choices, values, strict=True))


def parse_space(
    arguments: Iterable[str],
    *,
    is_group: Callable[[str], bool],
    own_space: Callable[[list[str]], Mapping[str, Any]],
    loader: ConfigLoader | None = None,
) -> Space:
    """The space that command-line overrides (and the sweeper's ``params``) span.

    ``is_group`` tells whether a key is a config group; ``own_space`` gives the mapping of keys to sweeps that a
    configuration with these overrides brings along (empty where it brings none); ``loader`` lists the groups for ``glob``.
    A key fixed on the command line leaves the space. Raises :class:`~paretune.errors.ConfigError` for a sweep that cannot be read.
    """
    fixed: list[str] = []
    entries: list[Override] = []  # of everything that is searched under its plain key
    groups: dict[str, CategoricalDistribution] = {}
    named: set[str] = set()  # what is fixed or searched already, so that no space of its own varies it
    settled: dict[str, Any] = {}
    for override in parse(arguments, loader):
        key = override.get_key_element()
        distribution = distribution_of(override)
        if distribution is None:
            fixed.append(str(override.input_line))
            settled[key.lstrip("+")] = override.value()
            named |= set() if is_group(key) else {key.lstrip("+")}  # model=squeeze fixes no width
        elif isinstance(distribution, CategoricalDistribution) and is_group(key):
            if condition := condition_of(override):
                raise ConfigError(
                    f"condition `{condition}` of `{override.input_line}` is on a config group; expected one on a parameter; leave it out"
                )
            groups[key] = distribution
        else:
            entries.append(override)
            named.add(key.lstrip("+"))

    first = {name: distribution.choices[0] for name, distribution in groups.items()}

    def brought(chosen: Params) -> Mapping[str, Any]:
        """What these options bring, of groups that are not ``chosen`` the first ones."""
        sweeps = own_space([*fixed, *(f"{name}={value}" for name, value in {**first, **chosen}.items())])
        return {key: value for key, value in sweeps.items() if value is not None and not is_named(key, named)}

    choices = _branching(groups, brought)
    common: Distributions = {name: groups[name] for name in groups if name not in choices}
    space = _with_entries(Space(fixed, common, choices, groups=frozenset(groups)), None, entries, settled)
    for chosen in space.combinations():
        lines = [f"{key}={value}" for key, value in brought(chosen).items()]
        space = _with_entries(space, space.branch_of(chosen), parse(lines, loader), settled)
    return space


def _branching(
    groups: Mapping[str, CategoricalDistribution], brought: Callable[[Params], Mapping[str, Any]]
) -> dict[str, CategoricalDistribution]:
    """The groups whose options bring different parameters, the other groups at their first option."""
    usual = brought({}) if groups else {}
    return {
        name: distribution
        for name, distribution in groups.items()
        if any(brought({name: option}) != usual for option in distribution.choices[1:])
    }


def _with_entries(space: Space, branch: str | None, entries: Sequence[Override], settled: Mapping[str, Any]) -> Space:
    """``space`` with the parameters of ``entries`` in ``branch``; without one they are common to all branches.

    Conditions on what is ``settled`` are decided here.
    """
    prefix = f"{branch}/" if branch else ""
    added: Distributions = {}
    conditions = dict(space.conditions)
    waiting = [(entry, condition_of(entry)) for entry in entries]
    while waiting:  # what a condition depends on is drawn first
        above = {**space.choices, **space.common, **added}
        late: list[tuple[Override, Condition | None]] = []
        for entry, condition in waiting:
            name = f"{prefix}{entry.get_key_element()}"
            if condition is None or (condition.name in settled and condition.holds(settled)):
                added[name] = searched(entry)
            elif other := next((n for n in (f"{prefix}{condition.name}", condition.name) if n in above), None):
                if isinstance(above[other], FloatDistribution):
                    raise ConfigError(
                        f"condition `{condition}` of `{entry.input_line}` depends on a fraction; expected a choice or whole numbers; "
                        f"search {condition.name} as a choice"
                    )
                added[name], conditions[name] = searched(entry), replace(condition, name=other)
            elif condition.name not in settled:
                late.append((entry, condition))
        if len(late) == len(waiting):
            entry, condition = late[0]
            raise ConfigError(
                f"condition `{condition}` of `{entry.input_line}` names nothing that is searched or set; {EXPECTED}"
            )
        waiting = late
    if branch is None:
        return replace(space, common={**space.common, **added}, conditions=conditions)
    return replace(space, branches={**space.branches, branch: added}, conditions=conditions)


def is_named(key: str, named: Collection[str]) -> bool:
    """Whether the command line names ``key``, or the whole that it is a part of (``a.b`` of ``a.b.0``)."""
    return any(key == whole or key.startswith(f"{whole}.") for whole in named)


def ints_of(space: Space, params: Params) -> dict[str, IntDistribution]:
    """The whole-number parameters of a configuration that may be moved freely: those that no condition depends on."""
    distributions = space.distributions(space.branch_of(params)).items()
    is_free = ((n, d) for n, d in distributions if n in params and n not in space.switches)
    return {name: dist for name, dist in is_free if isinstance(dist, IntDistribution)}
