"""One searched parameter: the values that its Optuna distribution has, and a draw of
one.
"""

from collections.abc import Sequence
from math import exp, log
from typing import Any

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from paretune.errors import ConfigError
from paretune.search.grammar import read_value

Distributions = dict[str, BaseDistribution]
NumberDistribution = IntDistribution | FloatDistribution
# Of a step: 0.3 is on the steps of 0.1, whatever a float makes of it.
STEP_TOLERANCE = 1e-8
NEAR_STEP = 0.15  # deviation of a draw near to a value, as a share of the range


def as_number(dist: BaseDistribution) -> NumberDistribution:
    """``dist`` itself, which is known to be no choice."""
    assert isinstance(dist, (IntDistribution, FloatDistribution))
    return dist


def check_value(dist: BaseDistribution, value: Any, name: str, source: str) -> Any:
    """``value`` of the parameter ``name`` as the distribution has it.

    Raises :class:`~paretune.errors.ConfigError`, which names ``source``, if the
    distribution does not have it.
    """
    if isinstance(dist, CategoricalDistribution):
        for choice in dist.choices:
            if read_value(choice) == value:
                return choice
    elif _is_in_range(as_number(dist), value):
        return _convert_number(value, as_number(dist))
    raise ConfigError(
        f"{source} has {name} `{value}`, which is not searched; "
        f"expected {_describe_values(dist)}; change it or the space"
    )


def _is_in_range(dist: NumberDistribution, value: Any) -> bool:
    if not isinstance(value, (int, float)):
        return False
    if not dist.low <= value <= dist.high:
        return False
    if not dist.step:
        return True
    steps = (value - dist.low) / dist.step
    return abs(steps - round(steps)) < STEP_TOLERANCE


def _describe_values(dist: BaseDistribution) -> str:
    if isinstance(dist, CategoricalDistribution):
        return f"one of {', '.join(map(str, dist.choices))}"
    number = as_number(dist)
    ends = f"{number.low} to {number.high}"
    if number.step in (None, 1):
        return ends
    return f"{ends} in steps of {number.step}"


def find_lowest(dist: BaseDistribution) -> Any:
    """The lower end of a range, the first of choices."""
    if isinstance(dist, CategoricalDistribution):
        return dist.choices[0]
    return as_number(dist).low


def list_values(dist: BaseDistribution) -> Sequence[Any]:
    """Every value of a choice, of a range with a step, or of an interval that holds one
    number.
    """
    if isinstance(dist, CategoricalDistribution):
        return dist.choices
    if isinstance(dist, IntDistribution):
        return range(dist.low, dist.high + 1, dist.step)
    assert isinstance(dist, FloatDistribution)
    if not dist.step:
        return [snap_to_grid(dist.low, dist)]
    steps = round((dist.high - dist.low) / dist.step)
    return [
        snap_to_grid(dist.low + index * dist.step, dist) for index in range(steps + 1)
    ]


def draw_uniform(dist: BaseDistribution, rng: np.random.Generator) -> Any:
    """A draw from one distribution, uniform in the logarithm where it asks for that.

    Every step of a range is as likely as any other.
    """
    if isinstance(dist, CategoricalDistribution):
        index = int(rng.integers(len(dist.choices)))
        return dist.choices[index]
    number = as_number(dist)
    margin = (number.step or 0) / 2
    low = number.low - margin
    high = number.high + margin
    if number.log:
        exponent = rng.uniform(log(low), log(high))
        return snap_to_grid(exp(exponent), number)
    return snap_to_grid(rng.uniform(low, high), number)


def draw_near(value: Any, dist: BaseDistribution, rng: np.random.Generator) -> Any:
    """A draw near to ``value``: of a range a step of a tenth or so of it away, of a
    choice the value itself.
    """
    if isinstance(dist, CategoricalDistribution):
        return value
    number = as_number(dist)
    step = rng.normal(0.0, NEAR_STEP)
    if number.log:
        factor = (number.high / number.low) ** step
        return snap_to_grid(value * factor, number)
    return snap_to_grid(value + (number.high - number.low) * step, number)


def snap_to_grid(value: float, dist: NumberDistribution) -> Any:
    """The nearest value that the distribution holds."""
    if dist.step is not None:
        steps = round((value - dist.low) / dist.step)
        value = dist.low + steps * dist.step
    value = min(max(value, dist.low), dist.high)
    return _convert_number(value, dist)


def _convert_number(value: float, dist: NumberDistribution) -> int | float:
    if isinstance(dist, IntDistribution):
        return int(value)
    return float(value)
