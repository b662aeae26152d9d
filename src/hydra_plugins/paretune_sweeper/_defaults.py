"""The values that an app's config has where nothing is searched."""

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
)

from hydra_plugins.paretune_sweeper._caps import list_group_options, look_at_choice
from hydra_plugins.paretune_sweeper._composer import Composer
from paretune.search.defaults import Defaults
from paretune.search.grammar import read_value
from paretune.search.space import Space, hydra_key
from paretune.search.space_parser import write_options


def read_defaults(space: Space, composer: Composer) -> Defaults:
    """Those of each branch, and below each option of the other groups."""
    options = _read_options(space, composer)
    of_branches: dict[str, dict[str, Any]] = {}
    for choice in space.combinations():
        branch = space.branch_of(choice)
        config = look_at_choice(choice, space, composer)
        values = _read_values(space.distributions(branch), config)
        of_branches[branch] = values | options
    return Defaults(of_branches, _read_values_below_groups(space, composer))


def _read_options(space: Space, composer: Composer) -> dict[str, Any]:
    """The options of the groups that bring no parameters of their own, as far as they
    are searched.
    """
    found: dict[str, Any] = {}
    for name in space.groups & space.common.keys():
        option = composer.choose_option(composer.config, name.lstrip("+"))
        dist = space.common[name]
        assert isinstance(dist, CategoricalDistribution)
        if option in dist.choices:
            found[name] = option
    return found


def _read_values_below_groups(
    space: Space, composer: Composer
) -> dict[str, dict[Any, dict[str, Any]]]:
    """The values below each such group, by its options; all groups are changed at the
    same time, so that few configs are composed.
    """
    options = list_group_options(space)
    first = next(iter(space.combinations()))
    below: dict[str, dict[Any, dict[str, Any]]] = {name: {} for name in options}
    for index in range(max(map(len, options.values()), default=0)):
        chosen = {
            name: values[min(index, len(values) - 1)]
            for name, values in options.items()
        }
        config = composer.look(write_options(space.fixed, {**first, **chosen}))
        for group, option in chosen.items():
            below[group][option] = _read_values(_list_below(group, space), config)
    return below


def _list_below(group: str, space: Space) -> dict[str, BaseDistribution]:
    """The parameters of all branches that are part of a group."""
    prefix = f"{group.lstrip('+')}."
    return {
        name: dist
        for name, dist in space.all_distributions().items()
        if hydra_key(name).lstrip("+").startswith(prefix)
    }


def _read_values(
    distributions: Mapping[str, BaseDistribution], config: DictConfig
) -> dict[str, Any]:
    """The values in ``config`` that the distributions hold, as they hold them."""
    found: dict[str, Any] = {}
    for name, dist in distributions.items():
        value = OmegaConf.select(config, hydra_key(name).lstrip("+"))
        if OmegaConf.is_config(value):
            value = OmegaConf.to_container(value)
        if isinstance(dist, CategoricalDistribution):
            held = [choice for choice in dist.choices if read_value(choice) == value]
            if held:
                found[name] = held[0]
        elif isinstance(dist, FloatDistribution) and _is_within(value, dist):
            found[name] = float(value)
    return found


def _is_within(value: Any, dist: FloatDistribution) -> bool:
    return isinstance(value, int | float) and dist.low <= value <= dist.high
