"""Hydra's sweep grammar as a space, with the meaning that hydra-optuna-sweeper gives
it.

``choice(a, b)``: one of them. ``range(a, b, step)``: whole numbers from a to b, b
included (unlike in Hydra's own sweeper). ``interval(a, b)``: real numbers, and
``int(interval(a, b))`` whole ones, both ends included. ``tag(log, interval(a, b))``:
the same, uniform in the logarithm. ``shuffle`` makes a range a choice. ``tag('if depth
> 3', ...)``: only where ``depth`` has such a value.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.types import Override
from optuna.distributions import CategoricalDistribution, FloatDistribution

from paretune.errors import ConfigError
from paretune.search.conditions import (
    CONDITION_FORM,
    CONDITION_PATTERN,
    Condition,
    read_condition,
)
from paretune.search.distributions import Distributions
from paretune.search.grammar import (
    parse_overrides,
    read_distribution,
    require_distribution,
)
from paretune.search.space import Space


def parse_space(
    arguments: Iterable[str],
    *,
    is_group: Callable[[str], bool],
    own_space: Callable[[list[str]], Mapping[str, Any]],
    loader: ConfigLoader | None = None,
) -> Space:
    """The space that command-line overrides (and the sweeper's ``params``) span.

    ``is_group`` tells whether a key is a config group; ``own_space`` gives the mapping
    of keys to sweeps, or to :class:`Settled` values, that a configuration with these
    overrides brings along (empty where it brings none), config groups among them;
    ``loader`` lists the groups for ``glob``. A key fixed on the command line leaves the
    space. What the own spaces of all options have alike is common to all branches.
    Raises :class:`~paretune.errors.ConfigError` for a sweep that cannot be read.
    """
    typed = _Overrides()
    for override in parse_overrides(arguments, loader):
        typed.add(override, is_group)

    options = _OptionSpaces(typed, own_space, is_group)
    candidates = list(typed.groups)
    for override in parse_overrides(options.list_brought_groups(), loader):
        typed.add(override, is_group)

    choices = options.find_branching(candidates)
    common: Distributions = {}
    for name, group in typed.groups.items():
        if name not in choices:
            common[name] = group

    space = Space(typed.fixed, common, choices, groups=frozenset(typed.groups))
    space = _add_entries(space, None, typed.entries, typed.settled)

    sweeps: dict[str, Mapping[str, Any]] = {}
    for chosen in space.combinations():
        sweeps[space.branch_of(chosen)] = options.read(chosen)

    shared = find_shared(list(sweeps.values()))
    entries = _parse_sweeps(sweeps, shared, loader)
    space = _add_entries(space, None, entries[None], typed.settled)
    for branch in sweeps:
        space = _add_entries(space, branch, entries[branch], typed.settled)
    return space


def _parse_sweeps(
    sweeps: Mapping[str, Mapping[str, Any]],
    shared: Mapping[str, Any],
    loader: ConfigLoader | None,
) -> dict[str | None, list[Override]]:
    """The entries that are ``shared`` by all branches, by ``None``, and what each
    branch has besides.
    """
    entries: dict[str | None, list[Override]] = {None: _parse_entries(shared, loader)}
    for branch, own in sweeps.items():
        others = {key: value for key, value in own.items() if key not in shared}
        entries[branch] = _parse_entries(others, loader)
    return entries


def _parse_entries(
    sweeps: Mapping[str, Any], loader: ConfigLoader | None
) -> list[Override]:
    lines = [f"{key}={value}" for key, value in sweeps.items()]
    return parse_overrides(lines, loader)


def find_shared(sweeps: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What all of several options' spaces have alike; nothing of a single one.

    A sweep whose condition depends on what they do not have alike stays with each.
    """
    shared: dict[str, Any] = {}
    if len(sweeps) < 2:
        return shared
    first, *others = sweeps
    for key, value in first.items():
        if all(other.get(key) == value for other in others):
            shared[key] = value

    own = {key for sweep in sweeps for key in sweep} - set(shared)
    while True:
        dependent = [key for key in shared if _depends_on(shared[key], own)]
        if not dependent:
            return shared
        for key in dependent:
            del shared[key]
            own.add(key)


def _depends_on(sweep: Any, keys: Collection[str]) -> bool:
    """Whether the condition in the text of a sweep names one of ``keys``."""
    match = CONDITION_PATTERN.search(str(sweep))
    return match is not None and match.group(1) in keys


def write_options(fixed: Sequence[str], options: Mapping[str, Any]) -> list[str]:
    """The override lines of config groups behind the ``fixed`` ones, in an order of
    their own, so that the same configuration is told by the same lines.
    """
    return [*fixed, *(f"{name}={options[name]}" for name in sorted(options))]


def is_named(key: str, named: Collection[str]) -> bool:
    """Whether the command line names ``key``, or the whole that it is a part of
    (``a.b`` of ``a.b.0``).
    """
    for whole in named:
        if key == whole:
            return True
        if key.startswith(f"{whole}."):
            return True
    return False


@dataclass(frozen=True)
class Settled:
    """In an own space: a setting that is not searched, as it has this value."""

    value: Any


@dataclass
class _Overrides:
    """The overrides of a command line, by what they are.

    ``entries`` are searched under their plain key; ``groups`` are config groups of
    which several options are searched; ``named`` is what is fixed or searched already,
    so that no option's own space varies it; ``settled`` are the values of what is
    fixed.
    """

    fixed: list[str] = field(default_factory=list)
    entries: list[Override] = field(default_factory=list)
    groups: dict[str, CategoricalDistribution] = field(default_factory=dict)
    named: set[str] = field(default_factory=set)
    settled: dict[str, Any] = field(default_factory=dict)

    def add(self, override: Override, is_group: Callable[[str], bool]) -> None:
        """Put an override where it belongs."""
        key = override.get_key_element()
        distribution = read_distribution(override)
        if distribution is None:
            self._fix(override, is_group(key))
        elif isinstance(distribution, CategoricalDistribution) and is_group(key):
            _refuse_condition(override)
            self.groups[key] = distribution
        else:
            self.entries.append(override)
            self.named.add(key.lstrip("+"))

    def _fix(self, override: Override, of_group: bool) -> None:
        key = override.get_key_element().lstrip("+")
        self.fixed.append(str(override.input_line))
        self.settled[key] = override.value()
        if not of_group:  # model=squeeze fixes no width
            self.named.add(key)


def _refuse_condition(override: Override) -> None:
    condition = read_condition(override)
    if condition is not None:
        raise ConfigError(
            f"condition `{condition}` of `{override.input_line}` is on a config group; "
            "put it on a parameter, or leave it out"
        )


@dataclass(frozen=True)
class _OptionSpaces:
    """The spaces that the options of config groups bring along, without what the
    command line names.
    """

    typed: _Overrides
    own_space: Callable[[list[str]], Mapping[str, Any]]
    is_group: Callable[[str], bool]

    def list_brought_groups(self) -> list[str]:
        """Override lines of config groups that the own space searches and the command
        line does not name.
        """
        lines: list[str] = []
        for key, value in self._read_all({}).items():
            is_typed = key in self.typed.settled or key in self.typed.groups
            if self.is_group(key) and not is_typed:
                lines.append(f"{key}={value}")
        return lines

    def read(self, chosen: Mapping[str, Any]) -> Mapping[str, Any]:
        """The sweeps of settings that come with these options; of groups that are not
        ``chosen`` with the first ones.
        """
        sweeps = self._read_all(chosen)
        return {key: sweeps[key] for key in sweeps if not self.is_group(key)}

    def _read_all(self, chosen: Mapping[str, Any]) -> Mapping[str, Any]:
        options = {name: group.choices[0] for name, group in self.typed.groups.items()}
        options.update(chosen)
        sweeps = self.own_space(write_options(self.typed.fixed, options))
        kept: dict[str, Any] = {}
        for key, value in sweeps.items():
            if isinstance(value, Settled):
                self.typed.settled.setdefault(key, value.value)
            elif value is not None and not is_named(key, self.typed.named):
                kept[key] = value
        return kept

    def find_branching(
        self, candidates: Sequence[str]
    ) -> dict[str, CategoricalDistribution]:
        """Those of the groups ``candidates`` whose options bring different parameters,
        the other groups at their first option.
        """
        branching: dict[str, CategoricalDistribution] = {}
        if not candidates:
            return branching
        usual = self.read({})
        for name in candidates:
            group = self.typed.groups[name]
            others = group.choices[1:]
            if any(self.read({name: option}) != usual for option in others):
                branching[name] = group
        return branching


def _add_entries(
    space: Space,
    branch: str | None,
    entries: Sequence[Override],
    settled: Mapping[str, Any],
) -> Space:
    """``space`` with the parameters of ``entries`` in ``branch``; without one they are
    common to all branches.

    Conditions on what is ``settled`` are decided here.
    """
    adding = _Adding(space, branch, settled, dict(space.conditions))
    waiting = [(entry, read_condition(entry)) for entry in entries]
    while waiting:  # what a condition depends on is drawn first
        late = adding.add_known(waiting)
        if len(late) == len(waiting):
            entry, condition = late[0]
            raise ConfigError(
                f"condition `{condition}` of `{entry.input_line}` names nothing that "
                "is searched or set; "
                f"{CONDITION_FORM}"
            )
        waiting = late

    if branch is None:
        common = {**space.common, **adding.added}
        return replace(space, common=common, conditions=adding.conditions)
    branches = {**space.branches, branch: adding.added}
    return replace(space, branches=branches, conditions=adding.conditions)


Entry = tuple[Override, Condition | None]


@dataclass
class _Adding:
    """Entries on their way into a branch of a space, with the conditions they have
    there.
    """

    space: Space
    branch: str | None
    settled: Mapping[str, Any]
    conditions: dict[str, Condition]
    added: Distributions = field(default_factory=dict)

    def add_known(self, entries: Sequence[Entry]) -> list[Entry]:
        """Add the entries whose condition depends on something known; the others are
        returned.
        """
        known = {**self.space.choices, **self.space.common, **self.added}
        late: list[Entry] = []
        for entry, condition in entries:
            name = self._name(entry.get_key_element())
            if condition is None or self._holds_always(condition):
                self.added[name] = require_distribution(entry)
                continue
            switch = self._find_switch(condition, known)
            if switch is not None:
                _refuse_fraction(known, switch, entry, condition)
                self.added[name] = require_distribution(entry)
                self.conditions[name] = replace(condition, name=switch)
            elif condition.name not in self.settled:
                late.append((entry, condition))
        return late

    def _name(self, key: str) -> str:
        if self.branch:
            return f"{self.branch}/{key}"
        return key

    def _holds_always(self, condition: Condition) -> bool:
        if condition.name not in self.settled:
            return False
        return condition.holds(self.settled)

    def _find_switch(self, condition: Condition, known: Distributions) -> str | None:
        """The parameter that the condition names, by its Optuna name: of the same
        branch before the common ones.
        """
        for name in (self._name(condition.name), condition.name):
            if name in known:
                return name
        return None


def _refuse_fraction(
    known: Distributions, switch: str, entry: Override, condition: Condition
) -> None:
    if isinstance(known[switch], FloatDistribution):
        raise ConfigError(
            f"condition `{condition}` of `{entry.input_line}` depends on a fraction; "
            f"expected a choice or whole numbers; search {condition.name} as a choice"
        )
