"""The one record that crosses every wall: what a trained model cost and what it scored."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import nan
from typing import Any

__all__ = ["Point"]


@dataclass(frozen=True, slots=True)
class Point:
    """A trained model as a point of the params-vs-F1 plane.

    ``params`` counts every trainable scalar (:func:`paretune.budget.count_parameters`). ``f1`` (macro) and ``accuracy``
    are fractions in [0, 1], ``loss`` is the mean cross-entropy in nats, all on the split that the caller scored.
    """

    params: int
    f1: float
    accuracy: float = nan
    loss: float = nan
    seconds: float = nan
    seed: int = 0
    family: str = ""
    data: str = ""
    best_epoch: int = -1
    config: Mapping[str, Any] = field(default_factory=dict)
    run_id: str = ""
