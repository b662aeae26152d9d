"""What is recorded: the space of a sweep over four families, and what its
configurations cost.
"""

from collections.abc import Callable, Mapping
from copy import copy, deepcopy
from functools import cache
from typing import Any

import numpy as np
from bench.real_asks import make_spec
from omegaconf import DictConfig
from optuna.distributions import FloatDistribution

from paretune.commands.counting import count_model
from paretune.costs import Footprint
from paretune.errors import ConfigError
from paretune.search.costs import Configuration
from paretune.search.feasible_space import FeasibleSpace
from paretune.search.grammar import read_value
from paretune.search.space import hydra_key
from studies.curves import EPOCHS
from studies.curves.duration import TRAINED

FAMILIES = "choice(separable,squeeze,recurrent,conv)"
LEAST_PARAMS, MOST_PARAMS = 100, 16_000
FIXED = (
    f"cap.min_params={LEAST_PARAMS}",
    f"cap.max_params={MOST_PARAMS}",
    f"trainer.max_epochs={EPOCHS}",
    "trainer.patience=null",
    # Numbers and seconds that can be compared: one thread, and nothing timed.
    "trainer.device=cpu",
    "trainer.threads=1",
    "trainer.autotune=false",
    "trainer.precision=fp32",
)
COUNTED = ("model", "data")  # the config groups that decide what a model costs
DIGITS = 4  # of a drawn fraction: a row holds what was trained
Count = Callable[[Mapping[str, Any]], Any]


class Question:
    """The space over one data set.

    ``space`` and ``feasible`` are those of ``paretune train -m`` with these families,
    cap and data. Configurations have the names of the space; ``settings``, which rows
    hold, have Hydra's and values as Hydra reads them.
    """

    def __init__(self, data: str, *overrides: str) -> None:
        self.data = data
        lines = (f"data={data}", f"model={FAMILIES}", *FIXED, *overrides)
        self.spec = make_spec(lines)
        self.space = self.spec.space
        self.feasible = self.spec.feasible
        self._untouched = _copy(self.feasible)
        self._prepare = cache(self._prepare_count)
        for choice in self.feasible.branches:
            # Raises now what would make every row a failed one.
            self.measure(self.feasible.smallest_of(choice))

    def make_untouched(self) -> FeasibleSpace:
        """``feasible`` as it was in the beginning: what a space has learnt of its costs
        from earlier draws changes later ones.
        """
        return _copy(self._untouched)

    def round(self, params: Configuration) -> Configuration:
        """``params`` with fractions of a few digits, within their ranges."""
        distributions = self.space.all_distributions()
        rounded = dict(params)
        for name, value in params.items():
            dist = distributions[name]
            if isinstance(dist, FloatDistribution) and not dist.step:
                short = float(f"{value:.{DIGITS}g}")
                rounded[name] = float(np.clip(short, dist.low, dist.high))
        return rounded

    def write_settings(self, params: Configuration) -> dict[str, Any]:
        """The settings of a configuration."""
        return {hydra_key(name): read_value(value) for name, value in params.items()}

    def read_settings(self, settings: Mapping[str, Any]) -> Configuration:
        """The configuration of such settings.

        Raises :class:`~paretune.errors.ConfigError` or ``KeyError`` for one that the
        space does not hold.
        """
        return self.space.take_values(
            lambda name: settings[hydra_key(name)], "a recorded training"
        )

    def holds(self, settings: Mapping[str, Any]) -> bool:
        """Whether these are settings of the space: those of a file may be of an earlier
        one.
        """
        try:
            params = self.read_settings(settings)
        except (ConfigError, KeyError):
            return False
        return self.write_settings(params) == settings

    def compose(self, params: Configuration, seed: int) -> DictConfig:
        """The config of a training."""
        drawn = self.space.overrides(params)
        return self.spec.composer.compose(
            (*self.space.fixed, *drawn, f"seed={seed}", "test=false")
        )

    def measure(self, params: Configuration) -> dict[str, int]:
        """All costs of a configuration, by their names."""
        groups, _ = self.space.split_groups(params)
        drawn = self.space.read_values(params)
        # Options of other groups change no cost, and composing takes long.
        decisive = [line for line in groups if line.split("=")[0] in COUNTED]
        counts = self._prepare(tuple(decisive))(drawn)
        return dict(Footprint.of(counts).costs)

    def guess_training_s(self, params: Configuration) -> float:
        """About how many seconds a configuration trains, its starts included; infinite
        if it cannot be built.
        """
        guess_image_s = self.spec.sampler.guess_duration
        assert guess_image_s is not None
        return TRAINED * guess_image_s(params)

    def _prepare_count(self, groups: tuple[str, ...]) -> Count:
        """The count of what is drawn beside these options of config groups; of every
        cost, which a sweep for parameters does not need.
        """
        lines = (*self.space.fixed, *groups, "cost=macs", "cap.min_params=null")
        count: Count = count_model.prepare(self.spec.composer.compose(lines))
        return count


def _copy(feasible: FeasibleSpace) -> FeasibleSpace:
    """The same space, which learns of costs on its own."""
    costs = feasible.costs
    assert costs is not None
    shared = {id(part): part for part in (costs.count, costs.space, feasible.caps)}
    copied = copy(feasible)
    copied.costs = deepcopy(costs, shared)
    return copied
