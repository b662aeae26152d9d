"""What training a model again with other seeds says of it."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, sqrt
from pathlib import Path
from typing import Literal

import numpy as np
import yaml
from scipy.stats import t

from paretune.front import Point
from paretune.tracking import Confirmation

__all__ = ["Confirmed", "Spread", "confirmed"]

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Reference:
    """A published model: its trainable parameters, its score in [0, 1] on the test images, and how it was selected."""

    name: str
    params: int
    score: float
    grade: Literal["honest", "last", "picked"]
    source: str
    metric: str = "accuracy"
    label: bool = False


def read_references(path: Path) -> list[Reference]:
    """The points of a ``conf/references/<data>.yaml``; none if there is no such file."""
    if not path.is_file():
        return []
    return [Reference(**point) for point in yaml.safe_load(path.read_text())["points"]]


@dataclass(frozen=True, slots=True)
class Spread:
    """Scores of ``n`` seeds: mean, standard deviation, and the 95 % interval of the mean (Student's t).

    One seed has no deviation and an unbounded interval.
    """

    n: int
    mean: float
    sd: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.4f} ± {self.sd:.4f}" if self.n > 1 else f"{self.mean:.4f}"


def spread_of(scores: Sequence[float]) -> Spread:
    """The spread of at least one score."""
    n, mean = len(scores), float(np.mean(scores))
    if n == 1:
        return Spread(1, mean, 0.0, -inf, inf)
    sd = float(np.std(scores, ddof=1))
    half = float(t.ppf((1 + CONFIDENCE) / 2, n - 1)) * sd / sqrt(n)
    return Spread(n, mean, sd, max(0.0, mean - half), min(1.0, mean + half))


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A model trained again: ``point`` is what the sweep measured, ``how`` what its trainings had in common.

    ``f1`` and ``accuracy`` are test scores.
    """

    point: Point
    how: str
    f1: Spread
    accuracy: Spread

    @property
    def optimism(self) -> float:
        """How far the F1 that the sweep saw on validation was above the mean test F1."""
        return self.point.f1 - self.f1.mean

    def beats(self, reference: Reference) -> bool:
        """Whether it has no more parameters and the lower end of its interval is above the published score."""
        own = self.f1 if reference.metric == "f1" else self.accuracy
        return self.point.params <= reference.params and own.low > reference.score


def confirmed(points: Sequence[Point], trainings: Sequence[Confirmation]) -> list[Confirmed]:
    """What ``trainings`` say of those of ``points`` that they trained again, by rising parameter count.

    A model that was confirmed in several ways (other epochs, other training images) has a row for each.
    """
    by_run = {point.run_id: point for point in points}
    groups: dict[tuple[str, str], dict[int, Confirmation]] = defaultdict(dict)
    for training in trainings:
        groups[training.confirms, training.how][training.seed] = training  # the newest of a seed
    rows = [
        _row(by_run[run_id], how, list(seeds.values())) for (run_id, how), seeds in groups.items() if run_id in by_run
    ]
    return sorted(rows, key=lambda row: (row.point.params, row.how))


def _row(point: Point, how: str, trainings: Sequence[Confirmation]) -> Confirmed:
    f1, accuracy = ([getattr(one, name) for one in trainings] for name in ("test_f1", "test_accuracy"))
    return Confirmed(point, how, spread_of(f1), spread_of(accuracy))
