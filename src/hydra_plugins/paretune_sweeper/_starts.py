"""The configurations that a sweep runs first, as a person wrote them."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf

from hydra_plugins.paretune_sweeper._composer import Composer, list_options
from paretune.errors import ConfigError
from paretune.search.feasible_space import FeasibleSpace
from paretune.search.space import hydra_key
from paretune.search.space_parser import is_named


@dataclass(frozen=True)
class StartReader:
    """Reads starts as parameters of a space."""

    feasible: FeasibleSpace
    composer: Composer

    def read(self, line: str) -> dict[str, Any]:
        """The parameters of a start, whose overrides stand in a ``line``.

        Raises :class:`~paretune.errors.ConfigError` for one that the space does not
        hold, and
        :class:`~paretune.errors.CapError` for one over the cap.
        """
        space = self.feasible.space
        overrides = _split(line)
        config = self.composer.compose((*space.fixed, *overrides))
        options = {
            name.lstrip("+"): option for name, option in list_options(config).items()
        }

        def read_value(name: str) -> Any:
            if name in space.groups:
                return options.get(name.lstrip("+"))
            return OmegaConf.select(config, hydra_key(name).lstrip("+"))

        params = space.take_values(read_value, f"start `{line}`")
        self._check_taken(line, overrides, config, params)
        self.feasible.check_fits(params, f"start `{line}`")
        return params

    def _check_taken(
        self,
        line: str,
        overrides: list[str],
        config: DictConfig,
        params: Mapping[str, Any],
    ) -> None:
        """Refuse a start that sets by name what its trial would not have, as nobody
        searches it.
        """
        space = self.feasible.space
        _, values = space.split_groups(params)
        known = {*config.hydra.runtime.choices, *values}
        keys = [override.partition("=")[0].lstrip("+") for override in overrides]
        others = [key for key in keys if key not in known]
        if not others:
            return

        trial = self.composer.compose((*space.fixed, *space.overrides(params)))
        for key in others:
            value = OmegaConf.select(config, key)
            is_searched_in_part = any(is_named(name, [key]) for name in known)
            taken = _take(value, OmegaConf.select(trial, key), is_searched_in_part)
            if not OmegaConf.is_dict(value) and value != taken:
                raise ConfigError(
                    f"start `{line}` sets {key} `{value}`, which is not searched; add "
                    f"{key} to hydra.sweeper.params or leave it out of the start"
                )


def _take(value: Any, in_trial: Any, is_searched_in_part: bool) -> Any:
    """The part of the trial's value that ``value`` is compared with.

    A list that is searched in part may be longer in the trial than what is used of it.
    """
    if is_searched_in_part and OmegaConf.is_list(value) and OmegaConf.is_list(in_trial):
        return in_trial[: len(value)]
    return in_trial


def _split(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError as error:
        raise ConfigError(
            f"start `{line}` cannot be read ({error}); it is overrides in a line, as a "
            "shell reads them; correct its quotes"
        ) from error
