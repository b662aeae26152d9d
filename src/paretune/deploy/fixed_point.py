"""Products with real numbers in whole ones: a factor of 31 bits and a shift (Jacob et
al. 2018, https://arxiv.org/abs/1712.05877, section 2.2).
"""

from math import frexp
from typing import NamedTuple

FACTOR_BITS = 30  # beside the sign
MAX_SHIFT = 62
MAX_MULTIPLIER = 2.0**29  # one step times this is out of int8, as with any larger one
FINE_BITS = 16  # of parts of a step before the last rounding
SLOPE_BITS = 24


class Factor(NamedTuple):
    """Whole numbers that stand for ``factor / 2^shift``; the factor has at most 31 bits
    and a sign.
    """

    factor: int
    shift: int


def find_factor(multiplier: float) -> Factor:
    """The factor next to ``multiplier``."""
    if multiplier == 0:
        return Factor(0, FACTOR_BITS)
    multiplier = max(-MAX_MULTIPLIER, min(multiplier, MAX_MULTIPLIER))
    _, exponent = frexp(multiplier)
    shift = min(max(FACTOR_BITS - exponent, 1), MAX_SHIFT)
    return Factor(round(multiplier * 2**shift), shift)
