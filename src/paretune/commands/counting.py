"""What a sweep asks before it proposes a trial: the costs of models
(``hydra.sweeper.cap.count``), and about how long their trainings take
(``hydra.sweeper.duration``).
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig

from paretune.commands.checking import check_cost, check_settings, check_unseen
from paretune.start import read_sections

if TYPE_CHECKING:
    from paretune.counting import Counts
    from paretune.duration import Guess

# The parts of a config that say what a model costs, and whether a sweep may run it.
COUNTED_BY = ("cap", "cost", "data", "model", "selection", "test", "trainer")
# The parts that say how long a training takes.
GUESSED_BY = ("augment", "cap", "cost", "data", "model", "optimizer", "trainer")


class ModelCount:
    """Counts what models cost, for a sweep."""

    def __call__(self, cfg: DictConfig) -> "Counts":
        """The costs of the model of a composed config, by their names; of RAM what is
        in use at each operation.

        Raises :class:`~paretune.errors.ConfigError` if no sweep may run it.
        """
        return self.prepare(cfg)({})

    def prepare(self, cfg: DictConfig) -> "Callable[[Mapping[str, Any]], Counts]":
        """A function from drawn values, by their dotted names, to the costs of the
        config with these values.

        Raises :class:`~paretune.errors.ConfigError` if no sweep may run the config.
        """
        from paretune.counting import ModelCounter

        # Not in a worker, whose parent has checked.
        if GlobalHydra.instance().is_initialized():
            check_settings(cfg)
        config = read_sections(cfg, COUNTED_BY)
        check_cost(config)
        check_unseen(config, in_sweep=True)
        return ModelCounter(config)


count_model = ModelCount()


def guess_duration(cfg: DictConfig) -> "Guess":
    """A function from drawn values, by their dotted names, to the seconds that a
    training of the composed config with these values takes for each of its images; of
    a config group the value is its option.
    """
    from paretune.duration import DurationGuess

    return DurationGuess(read_sections(cfg, GUESSED_BY))
