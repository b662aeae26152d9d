"""Hydra's sweep grammar as Optuna distributions, with the meaning that hydra-optuna-sweeper gives it.

``choice(a, b)``: one of them. ``range(a, b, step)``: whole numbers from a to b, b included (unlike in Hydra's own
sweeper). ``interval(a, b)``: real numbers, and ``int(interval(a, b))`` whole ones, both ends included. ``tag(log, interval(a, b))``:
the same, even in the logarithm. ``shuffle`` makes a range a choice.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep, Transformer
from hydra.errors import OverrideParseException
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from paretune.errors import ConfigError

Distributions = dict[str, BaseDistribution]
Params = Mapping[str, Any]


@dataclass(frozen=True)
class Space:
    """What a sweep draws from.

    ``choices`` are config groups such as ``model``, drawn first; each combination of them has a branch of its own
    parameters besides the ``common`` ones. In Optuna a branch's parameter is called ``<branch>/<key>``, as Optuna wants
    one distribution for a name; a space without choices keeps the plain keys.
    """

    fixed: list[str] = field(default_factory=list)
    common: Distributions = field(default_factory=dict)
    choices: dict[str, CategoricalDistribution] = field(default_factory=dict)
    branches: dict[str, Distributions] = field(default_factory=dict)

    def branch_of(self, params: Params) -> str:
        """The branch that the drawn choices lead to, such as ``squeeze``."""
        return "+".join(str(params[name]) for name in self.choices)

    def distributions(self, branch: str) -> Distributions:
        """The branch's own and the common parameters by their Optuna names."""
        return {**self.common, **self.branches.get(branch, {})}

    def everything(self) -> Distributions:
        """Every parameter of every branch, the choices included."""
        of_branches = {name: dist for branch in self.branches.values() for name, dist in branch.items()}
        return {**self.choices, **self.common, **of_branches}

    def described(self) -> dict[str, str]:
        """Every parameter's distribution as text."""
        return {name: str(distribution) for name, distribution in self.everything().items()}

    def overrides(self, params: Params) -> list[str]:
        """Hydra overrides of drawn ``params``, the choices first, without the fixed ones."""
        groups, values = self.grouped(params)
        return [*groups, *(f"{key}={value}" for key, value in values.items())]

    def grouped(self, params: Params) -> tuple[list[str], dict[str, Any]]:
        """The overrides of config groups, and the drawn values by their Hydra keys."""
        groups = [f"{name}={params[name]}" for name in self.choices]
        # a Hydra key of a value holds no slash
        return groups, {name.rpartition("/")[2]: value for name, value in params.items() if name not in self.choices}

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
    common: Distributions = {}
    choices: dict[str, CategoricalDistribution] = {}
    named: set[str] = set()  # what is fixed or searched already, so that no space of its own varies it
    for override in _parse(arguments, loader):
        key = override.get_key_element()
        distribution = _distribution(override)
        if distribution is None:
            fixed.append(str(override.input_line))
            named |= set() if is_group(key) else {key.lstrip("+")}  # model=squeeze fixes no width
        elif isinstance(distribution, CategoricalDistribution) and is_group(key):
            choices[key] = distribution
        else:
            common[key] = distribution
            named.add(key.lstrip("+"))
    space = Space(fixed, common, choices)
    for chosen in space.combinations():
        sweeps = own_space([*fixed, *space.grouped(chosen)[0]])
        lines = [f"{key}={value}" for key, value in sweeps.items() if value is not None]
        parsed = {override.get_key_element(): _searched(override) for override in _parse(lines, loader)}
        branch = space.branch_of(chosen)
        space.branches[branch] = {
            f"{branch}/{key}" if choices else key: dist for key, dist in parsed.items() if not _is_named(key, named)
        }
    return space


def _is_named(key: str, named: set[str]) -> bool:
    """Whether the command line names ``key``, or the whole that it is a part of (``a.b`` of ``a.b.0``)."""
    return any(key == whole or key.startswith(f"{whole}.") for whole in named)


def _parse(lines: Iterable[str], loader: ConfigLoader | None) -> list[Override]:
    try:
        return list(OverridesParser.create(loader).parse_overrides(list(lines)))
    except OverrideParseException as error:
        raise ConfigError(
            f"override `{error.override}` cannot be read ({str(error.message).splitlines()[0]}); expected key=value or a "
            f"sweep such as key=interval(1,8); see Hydra's override grammar"
        ) from error


def _searched(override: Override) -> BaseDistribution:
    """The distribution of an entry of a space."""
    distribution = _distribution(override)
    if distribution is None:
        raise ConfigError(
            f"space `{override.input_line}` is not a sweep; expected choice, range or interval, such as int(interval(4,32)); "
            f"set a fixed value under its own name, outside of space"
        )
    return distribution


def _distribution(override: Override) -> BaseDistribution | None:
    """The distribution of a sweep override; ``None`` if it is a plain value."""
    if not override.is_sweep_override():
        return None
    try:
        value = override.value()
        if isinstance(value, IntervalSweep):
            return _interval(value)
        if isinstance(value, RangeSweep) and not value.shuffle:
            return _range(value)
        if isinstance(value, (ChoiceSweep, RangeSweep)):
            value.shuffle = False  # samplers draw in any order, and a resumed sweep must find the same choices
        return CategoricalDistribution([*map(_choice, override.sweep_iterator(transformer=Transformer.encode))])
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"sweep `{override.input_line}` is empty ({error}); expected a lower end below the upper one"
        ) from error


def _choice(value: Any) -> str | int | float | bool:
    """A choice as Optuna stores it: lists and mappings as the text that Hydra reads."""
    return value if isinstance(value, (str, int, float, bool)) else str(value)


def _interval(sweep: IntervalSweep) -> BaseDistribution:
    low, high, log = sweep.start, sweep.end, "log" in sweep.tags
    assert low is not None and high is not None  # noqa: PT018 - the grammar gives both
    if isinstance(low, int) and isinstance(high, int):
        return IntDistribution(low, high, log=log)
    return FloatDistribution(float(low), float(high), log=log)


def _range(sweep: RangeSweep) -> BaseDistribution:
    low, high, step = sweep.start, sweep.stop, sweep.step
    assert low is not None and high is not None  # noqa: PT018 - the grammar gives both
    if all(isinstance(number, int) for number in (low, high, step)):
        return IntDistribution(int(low), int(high), step=int(step))
    return FloatDistribution(float(low), float(high), step=float(step))
