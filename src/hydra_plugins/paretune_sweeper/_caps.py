"""The caps of a sweep, and the function that counts what its configurations cost."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any

from hydra.utils import get_method
from omegaconf import DictConfig, OmegaConf

from hydra_plugins.paretune_sweeper import CapOptions
from hydra_plugins.paretune_sweeper._composer import Composer
from hydra_plugins.paretune_sweeper._imports import import_named
from paretune.errors import ConfigError, check_least
from paretune.search.caps import Caps
from paretune.search.distributions import find_lowest, list_values
from paretune.search.feasible_space import FeasibleSpace
from paretune.search.space import Space, hydra_key
from paretune.search.space_parser import write_options

MAX_COMPOSED = 64  # configurations, one for each choice of groups, that are kept
Prepare = Callable[[DictConfig], Callable[[Mapping[str, Any]], Any]]


def read_caps(cap: CapOptions) -> Caps:
    """The costs that are capped, and which one is the objective."""
    bounds = cap.max
    if not isinstance(bounds, Mapping):
        bounds = {cap.cost: bounds}
    most: dict[str, int] = {}
    for name, bound in bounds.items():
        check_least(f"hydra.sweeper.cap.max.{name}", bound, 1, null=True)
        if bound is not None:
            most[name] = bound
    return Caps(most, cap.cost, cap.units or {})


def describe_caps(caps: Caps) -> str:
    """The caps as text, in the form that earlier studies have of a single cap on their
    objective.
    """
    parts = [str(caps.most.get(caps.axis))]
    if caps.axis not in ("parameters", "params"):
        parts[0] += f" {caps.axis}"
    for name in caps.others:
        parts.append(f"{caps.most[name]} {name}")
    return ", ".join(parts)


def make_feasible_space(
    cap: CapOptions, caps: Caps, space: Space, composer: Composer
) -> FeasibleSpace:
    """The space with what its configurations cost."""
    if cap.count is None:
        if caps.most:
            raise ConfigError(
                f"cap.max `{cap.max}` has nothing to count with; name a function "
                "in hydra.sweeper.cap.count"
            )
        return FeasibleSpace(space)
    nodes = cap.reads or []
    reads_elsewhere = any(_refers_elsewhere(node, space, composer) for node in nodes)
    unread: set[str] = set()
    if nodes and not reads_elsewhere:
        unread = _find_unread(nodes, space)
        unread |= _find_unread_groups(nodes, space, composer)

    function = import_named(get_method, "cap.count", cap.count)
    prepare = getattr(function, "prepare", None)
    count: Callable[[dict[str, Any]], Any]
    if prepare and not reads_elsewhere:
        count = _PreparedCount(prepare, unread, space, composer)
    else:
        count = _ComposedCount(function, unread, space, composer)

    return FeasibleSpace(space, count, caps, unread=unread, floor=cap.min)


def _refers_elsewhere(node: str, space: Space, composer: Composer) -> bool:
    """Whether the config ``node`` takes values from other nodes, which may be drawn, in
    any branch.
    """
    for choice in space.combinations():
        config = look_at_choice(choice, space, composer)
        part = OmegaConf.select(config, node)
        if OmegaConf.is_config(part) and "${" in OmegaConf.to_yaml(part):
            return True
    return False


def look_at_choice(
    choice: Mapping[str, Any], space: Space, composer: Composer
) -> DictConfig:
    """The config with this choice of groups, the others at their first option."""
    return composer.look(write_first_options(choice, space))


def write_first_options(choice: Mapping[str, Any], space: Space) -> list[str]:
    """The override lines of the command with this choice of groups, and the first
    option of the other groups that are searched.
    """
    first: dict[str, Any] = {}
    for name in space.groups & space.common.keys():
        first[name] = find_lowest(space.common[name])
    return write_options(space.fixed, {**choice, **first})


def list_group_options(space: Space) -> dict[str, Sequence[Any]]:
    """The options of each config group that brings no parameters of its own."""
    return {
        name: list_values(space.common[name])
        for name in space.groups & space.common.keys()
    }


def _find_unread_groups(
    nodes: Sequence[str], space: Space, composer: Composer
) -> set[str]:
    """The config groups that bring no parameters of their own, such as the
    optimizer's, and whose options change nothing in ``nodes``.

    All of them are changed at the same time, so that few configs are composed.
    """
    options = list_group_options(space)
    single = {name: values[0] for name, values in options.items() if len(values) == 1}
    several = {name: values for name, values in options.items() if len(values) > 1}
    if not several:
        return set()
    kept = {**next(iter(space.combinations())), **single}
    # As nothing is chosen, and with each option in turn.
    usual = composer.look(write_options(space.fixed, kept))
    for index in range(max(map(len, several.values()))):
        changed = dict(kept)
        for name, values in several.items():
            changed[name] = values[min(index, len(values) - 1)]
        config = composer.look(write_options(space.fixed, changed))
        if any(_differs(node, usual, config) for node in nodes):
            return set()
    return set(several)


def _differs(node: str, config: DictConfig, other: DictConfig) -> bool:
    return bool(OmegaConf.select(config, node) != OmegaConf.select(other, node))


def _find_unread(nodes: Sequence[str], space: Space) -> set[str]:
    """The parameters that are no part of ``nodes``; config groups may be."""
    unread: set[str] = set()
    for name in space.all_distributions():
        key = hydra_key(name).lstrip("+")
        is_read = any(f"{key}.".startswith(f"{node}.") for node in nodes)
        if name not in space.groups and not is_read:
            unread.add(name)
    return unread


class _Count:
    """A count of drawn parameters."""

    def __init__(self, unread: Collection[str], space: Space) -> None:
        self.unread = unread
        self.space = space

    def split_read(
        self, params: Mapping[str, Any]
    ) -> tuple[tuple[str, ...], dict[str, Any]]:
        """The overrides that choose groups, behind the fixed ones, and the values that
        matter, as Hydra reads them.
        """
        read: dict[str, Any] = {}
        for name, value in params.items():
            if name not in self.unread:
                read[name] = value
        options = {name: read[name] for name in self.space.groups & read.keys()}
        lines = write_options(self.space.fixed, options)
        return tuple(lines), self.space.read_values(read)


class _ComposedCount(_Count):
    """A count of configs that are composed.

    Composing takes Hydra 40 ms, so the fixed part is composed once; what an earlier
    draw set and this one has not goes back to its usual value.
    """

    def __init__(
        self,
        count: Callable[[DictConfig], Any],
        unread: Collection[str],
        space: Space,
        composer: Composer,
    ) -> None:
        super().__init__(unread, space)
        self.count = count
        # configs whose values are those that were counted last, and the usual values of
        # what was drawn
        self._composed = lru_cache(maxsize=MAX_COMPOSED)(
            lambda lines: (composer.compose(lines), dict[str, Any]())
        )

    def __call__(self, params: dict[str, Any]) -> Any:
        """The count of the composed config with these ``params``."""
        lines, drawn = self.split_read(params)
        config, usual = self._composed(lines)
        for key in drawn:
            usual.setdefault(key, OmegaConf.select(config, key))
        for key, value in {**usual, **drawn}.items():
            OmegaConf.update(config, key, value, merge=False)
        return self.count(config)


class _PreparedCount(_Count):
    """A count of what is drawn beside the groups, each choice of which is composed
    once.
    """

    def __init__(
        self,
        prepare: Prepare,
        unread: Collection[str],
        space: Space,
        composer: Composer,
    ) -> None:
        super().__init__(unread, space)
        self._prepared = lru_cache(maxsize=MAX_COMPOSED)(
            lambda lines: prepare(composer.look(lines))
        )

    def __call__(self, params: dict[str, Any]) -> Any:
        """The count of the prepared config with these ``params``."""
        lines, drawn = self.split_read(params)
        count = self._prepared(lines)
        return count(drawn)
