"""One searched parameter: its entry in Hydra's grammar as an Optuna distribution, its values, a draw of it.

The grammar's meaning is the one that hydra-optuna-sweeper gives it: see :mod:`paretune.search.space`.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from math import exp, log
from typing import Any

import numpy as np
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, QuotedString, RangeSweep, Transformer
from hydra.errors import HydraException, OverrideParseException
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from paretune.errors import ConfigError
from paretune.overrides import quoted

Distributions = dict[str, BaseDistribution]
NULL = "null"  # among choices in quotes, as Hydra's choice() takes no null: so the text "null" alone cannot be searched
STEP_TOLERANCE = 1e-8  # of a step: 0.3 is on the steps of 0.1, whatever a float makes of it


def parse(lines: Iterable[str], loader: ConfigLoader | None) -> list[Override]:
    """Override lines as Hydra reads them. Raises :class:`~paretune.errors.ConfigError` for one that it cannot read."""
    try:
        return list(OverridesParser.create(loader).parse_overrides(list(lines)))
    except OverrideParseException as error:
        raise ConfigError(
            f"override `{error.override}` cannot be read ({str(error.message).splitlines()[0]}); expected key=value or a "
            f"sweep such as key=interval(1,8); see Hydra's override grammar"
        ) from error


def held(distribution: BaseDistribution, value: Any, name: str, source: str) -> Any:
    """``value`` as the distribution has it. Raises :class:`~paretune.errors.ConfigError` if it does not have it."""
    if isinstance(distribution, CategoricalDistribution):
        expected = f"one of {', '.join(map(str, distribution.choices))}"
        for choice in distribution.choices:
            if value_of(choice) == value:
                return choice
    else:
        low, high, step = distribution.low, distribution.high, distribution.step  # type: ignore[attr-defined]
        expected = f"{low} to {high}{f' in steps of {step}' if step not in (None, 1) else ''}"
        if isinstance(value, (int, float)) and low <= value <= high:
            steps = (value - low) / step if step else 0.0
            if abs(steps - round(steps)) < STEP_TOLERANCE:
                return int(value) if isinstance(distribution, IntDistribution) else float(value)
    raise ConfigError(
        f"{source} has {name} `{value}`, which is not searched; expected {expected}; change it or the space"
    )


@lru_cache(maxsize=1000, typed=True)  # False is not 0.0
def value_of(choice: Any) -> Any:
    """What Hydra reads where Optuna has this choice: ``[16]`` and ``null`` are kept as text.

    Raises Hydra's ``OverrideParseException`` for a text that it cannot read.
    """
    return OverridesParser.create().parse_override(f"value={choice}").value() if isinstance(choice, str) else choice


def lowest(distribution: BaseDistribution) -> Any:
    """The lower end of a range, the first of choices."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[0]
    return distribution.low  # type: ignore[attr-defined]


def searched(override: Override) -> BaseDistribution:
    """The distribution of an entry of a space."""
    distribution = distribution_of(override)
    if distribution is None:
        raise ConfigError(
            f"space `{override.input_line}` is not a sweep; expected choice, range or interval, such as int(interval(4,32)); "
            f"set a fixed value under its own name, outside of space"
        )
    return distribution


def distribution_of(override: Override) -> BaseDistribution | None:
    """The distribution of a sweep override; ``None`` if it is a plain value."""
    if not override.is_sweep_override():
        return None
    try:
        value = override.value()
        if isinstance(value, IntervalSweep):
            return _interval(value)
        if isinstance(value, RangeSweep) and not value.shuffle:
            return _range(value)
        with _in_order(value):
            return CategoricalDistribution([_choice(value) for value in override.sweep_iterator()])
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"sweep `{override.input_line}` is empty ({error}); expected a lower end below the upper one, above 0 and without a step "
            f"where the logarithm is searched; change its ends"
        ) from error


@contextmanager
def _in_order(sweep: Any) -> Iterator[None]:
    """Without shuffling: samplers draw in any order, and a resumed sweep must find the same choices."""
    is_shuffled = getattr(sweep, "shuffle", None)
    if is_shuffled:
        sweep.shuffle = False
    yield
    if is_shuffled:
        sweep.shuffle = True


def _choice(value: Any) -> str | int | float | bool:
    """A choice as Optuna stores it: a number as it is, all else as the text that Hydra reads as this very value."""
    if isinstance(value, (bool, int, float)):
        return value
    if value == NULL:
        return NULL
    return written(value.text if isinstance(value, QuotedString) else value)


def written(value: Any) -> str:
    """``value`` as Hydra reads it: text in quotes where it would be read as something else, such as ``'a,b'`` or ``'null'``."""
    if isinstance(value, QuotedString):
        return written(value.text)
    if isinstance(value, list):
        return f"[{','.join(written(part) for part in value)}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{Transformer.str(key)}:{written(part)}' for key, part in value.items())}}}"
    if isinstance(value, str):
        return value if _is_plain(value) else quoted(value)
    return Transformer.str(value)


def _is_plain(text: str) -> bool:
    """Whether Hydra reads ``text`` as itself without quotes, alone and within a list."""
    try:
        within: Any = OverridesParser.create().parse_override(f"value=[{text}]").value()
        alone = value_of(text)
    except HydraException:
        return False
    return within == [text] and isinstance(alone, str) and alone == text


def _interval(sweep: IntervalSweep) -> BaseDistribution:
    low, high, log = sweep.start, sweep.end, "log" in sweep.tags
    assert low is not None and high is not None  # noqa: PT018 - the grammar gives both
    if isinstance(low, int) and isinstance(high, int):
        return IntDistribution(low, high, log=log)
    return FloatDistribution(float(low), float(high), log=log)


def _range(sweep: RangeSweep) -> BaseDistribution:
    low, high, step, log = sweep.start, sweep.stop, sweep.step, "log" in sweep.tags
    assert low is not None and high is not None  # noqa: PT018 - the grammar gives both
    if all(isinstance(number, int) for number in (low, high, step)):
        return IntDistribution(int(low), int(high), log=log, step=int(step))
    return FloatDistribution(float(low), float(high), log=log, step=float(step))


def values_of(dist: BaseDistribution) -> Sequence[Any]:
    """Every value of a choice, of a range with a step, or of an interval that holds one number."""
    if isinstance(dist, CategoricalDistribution):
        return dist.choices
    if isinstance(dist, IntDistribution):
        return range(dist.low, dist.high + 1, dist.step)
    assert isinstance(dist, FloatDistribution)
    steps = round((dist.high - dist.low) / dist.step) if dist.step else 0
    return [on_grid(dist.low + index * (dist.step or 0), dist) for index in range(steps + 1)]


def uniform(dist: BaseDistribution, rng: np.random.Generator) -> Any:
    """A draw from one distribution, even in its logarithm where it asks for that; every step of a range is as likely as any other."""
    if isinstance(dist, CategoricalDistribution):
        return dist.choices[int(rng.integers(len(dist.choices)))]
    assert isinstance(dist, (IntDistribution, FloatDistribution))
    low, high = dist.low - (dist.step or 0) / 2, dist.high + (dist.step or 0) / 2
    return on_grid(exp(rng.uniform(log(low), log(high))) if dist.log else rng.uniform(low, high), dist)


def on_grid(value: float, dist: IntDistribution | FloatDistribution) -> Any:
    """The nearest value that the distribution holds."""
    if dist.step is not None:
        value = dist.low + round((value - dist.low) / dist.step) * dist.step
    value = min(max(value, dist.low), dist.high)
    return int(value) if isinstance(dist, IntDistribution) else float(value)
