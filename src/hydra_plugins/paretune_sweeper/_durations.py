"""About how long trials take, as the app guesses."""

from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from math import inf
from typing import Any

from omegaconf import DictConfig

from hydra_plugins.paretune_sweeper._caps import MAX_COMPOSED
from hydra_plugins.paretune_sweeper._composer import Composer
from paretune.errors import ConfigError, first_line
from paretune.search.feasible_space import FeasibleSpace
from paretune.search.space import Space
from paretune.search.space_parser import write_options

Prepare = Callable[[DictConfig], Callable[[Mapping[str, Any]], float]]


class DurationGuesses:
    """Guesses of how long configurations of ``space`` take.

    ``prepare`` is called once for each choice of groups that decide what a
    configuration costs, and of families; other groups, ``told``, are composed as they
    usually are, and told by their options.
    """

    def __init__(
        self,
        prepare: Prepare,
        told: Collection[str],
        space: Space,
        composer: Composer,
    ) -> None:
        self.told = told
        self.space = space
        self._prepared = lru_cache(maxsize=MAX_COMPOSED)(
            lambda lines: prepare(composer.look(lines))
        )

    def __call__(self, params: Mapping[str, Any]) -> float:
        """That of a configuration; infinite if it cannot be built."""
        drawn = self.space.read_values(params)
        composed: dict[str, Any] = {}
        for name in self.space.groups & params.keys():
            if name in self.told:
                drawn[name.lstrip("+")] = params[name]
            else:
                composed[name] = params[name]
        lines = tuple(write_options(self.space.fixed, composed))
        try:
            return self._prepared(lines)(drawn)
        except ConfigError:
            return inf


def check_guesses(
    guess: DurationGuesses, path: str, feasible: FeasibleSpace
) -> DurationGuesses:
    """``guess``, if it works for the smallest configuration. Raises
    :class:`~paretune.errors.ConfigError` that names its ``path`` if it does not.
    """
    smallest = feasible.smallest_of(feasible.branches[0])
    try:
        duration = guess(smallest)
    except Exception as error:
        raise ConfigError(
            f"hydra.sweeper.duration `{path}` fails for `{smallest}` "
            f"({type(error).__name__}: {first_line(error)}); mend it, or leave it out"
        ) from error
    if not isinstance(duration, int | float) or not duration >= 0:
        raise ConfigError(
            f"hydra.sweeper.duration `{path}` guesses `{duration}` for `{smallest}`; "
            "expected a number of at least 0; mend it, or leave it out"
        )
    return guess
