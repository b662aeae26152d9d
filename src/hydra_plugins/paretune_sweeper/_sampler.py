"""The sampler that the options name, under the cap."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, cast

from hydra.utils import get_class, instantiate
from optuna.samplers import BaseSampler, GPSampler, QMCSampler

from hydra_plugins.paretune_sweeper._imports import import_named
from paretune.errors import ConfigError
from paretune.extras import check_installed
from paretune.search.capped_sampler import CappedSampler
from paretune.search.feasible_sampler import FeasibleSampler
from paretune.search.feasible_space import FeasibleSpace
from paretune.search.study import Direction

N_STARTUP = 20
PLAIN = (bool, int, float, str)  # arguments that are what they are written as


def make_sampler(
    options: Any, feasible: FeasibleSpace, directions: Sequence[Direction]
) -> CappedSampler:
    """The sampler of ``options`` (a ``_target_`` and its arguments); one of Optuna's is
    wrapped.

    Raises :class:`~paretune.errors.ConfigError` for one that does not exist or does not
    work for ``directions``.
    """
    if not isinstance(options, Mapping):
        raise ConfigError(
            f"hydra.sweeper.sampler `{options}` is no sampler; to choose one of the "
            f"group write hydra/sweeper/sampler={options}"
        )
    config = {name: value for name, value in options.items() if value is not None}
    seed = config.pop("seed", 0)
    target = import_named(get_class, "sampler", config["_target_"])
    if issubclass(target, CappedSampler):
        sampler = cast("CappedSampler", instantiate(config, feasible, seed=seed))
        sampler.check_objectives(directions)
        return sampler
    if issubclass(target, GPSampler):
        check_installed("hydra/sweeper/sampler=gp", ["torch"])
    build = _choose_builder(target, config)
    # All trials walk along the same points.
    is_one_sequence = issubclass(target, QMCSampler)

    def make_base(derived_seed: int) -> BaseSampler:
        return build(seed=seed if is_one_sequence else derived_seed)

    n_startup = 0  # without a cost there is nothing to spread the start over
    if feasible.costs:
        n_startup = N_STARTUP
    return FeasibleSampler(make_base, feasible, n_startup=n_startup, seed=seed)


def _choose_builder(
    target: type[BaseSampler], config: Mapping[str, Any]
) -> Callable[..., BaseSampler]:
    """What makes one of Optuna's samplers, with another seed for each draw.

    Hydra takes milliseconds for it. It is needed where an argument is an object itself.
    """
    arguments = {name: value for name, value in config.items() if name != "_target_"}
    are_plain = [
        isinstance(value, PLAIN) and not name.startswith("_")
        for name, value in arguments.items()
    ]
    if not all(are_plain):
        return partial(instantiate, config)
    # Tells arguments that the sampler does not take, as Hydra says it.
    instantiate(config, seed=0)
    return partial(target, **arguments)
