"""The scores that models are compared by: the words for each, and what is an error of
it.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


class ScoreKind(StrEnum):
    """What a score's numbers are."""

    SHARE = "share"  # between 0 and 1, which is the best
    GAIN = "gain"  # any number; the larger, the better
    LOSS = "loss"  # any number; the smaller, the better


@dataclass(frozen=True, slots=True)
class Score:
    """What models are compared by, beside a cost.

    ``column`` is its name in tables, ``heading`` stands above a column, ``words`` in a
    sentence, ``axis`` along an axis.
    """

    column: str
    heading: str
    words: str
    axis: str
    kind: ScoreKind = ScoreKind.SHARE

    @property
    def is_minimised(self) -> bool:
        """Whether a smaller one is better."""
        return self.kind is ScoreKind.LOSS

    def errors(self, values: ArrayLike) -> Floats:
        """What is minimised, for each of the ``values``: of a share what is missing
        to 1.
        """
        numbers = np.asarray(values, float)
        if self.kind is ScoreKind.SHARE:
            return 1 - numbers
        if self.kind is ScoreKind.GAIN:
            return -numbers
        return numbers

    def format(self, value: float) -> str:
        """A value for a person: a share with four digits."""
        if self.kind is ScoreKind.SHARE:
            return f"{value:.4f}"
        return format_number(value)


def format_number(value: float) -> str:
    """Any number for a person: whole ones whole, others with five digits."""
    if float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:,.5g}"


VALIDATION_F1 = Score("val_f1", "F1", "validation F1", "macro validation F1")
TEST_F1 = Score(
    "test_f1",
    "F1",
    "test F1, mean of the seeds",
    "macro test F1, mean of the seeds",
)
