"""What trainings there are to be had: in a replay those of the model of curves."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Protocol

from studies.curves.features import Configured
from studies.curves.model import Curve, CurveModel
from studies.curves.question import Question


class World(Protocol):
    """Trains anything at once."""

    def train(self, params: Mapping[str, Any], seed: int) -> Curve:
        """The whole training of a configuration; always the same one."""

    def cost(self, params: Mapping[str, Any]) -> float:
        """What the front weighs against the score."""


class ModelledWorld:
    """The trainings that a model draws.

    In the world of another ``number`` first weights and epochs are as lucky as they
    happen to be there.
    """

    def __init__(self, model: CurveModel, question: Question, number: int) -> None:
        self.model = model
        self.question = question
        self.number = number
        self._configure = lru_cache(maxsize=4096)(self._configure_key)

    def train(self, params: Mapping[str, Any], seed: int) -> Curve:
        """See :class:`World`."""
        configured = self._configure(tuple(params.items()))
        return self.model.draw(configured, seed, self.number)

    def cost(self, params: Mapping[str, Any]) -> float:
        """See :class:`World`."""
        return float(self.question.feasible.cost(dict(params)))

    def _configure_key(self, items: tuple[tuple[str, Any], ...]) -> Configured:
        params = dict(items)
        settings = self.question.write_settings(params)
        return Configured(settings, self.question.measure(params))
