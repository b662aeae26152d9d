"""One entry of a search space in Hydra's grammar, as an Optuna distribution; and values
as the grammar writes them.

The grammar's meaning is the one that hydra-optuna-sweeper gives it: see
:mod:`paretune.search.space_parser`.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import (
    IntervalSweep,
    Override,
    QuotedString,
    RangeSweep,
    Transformer,
)
from hydra.errors import HydraException, OverrideParseException
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from paretune.errors import ConfigError
from paretune.overrides import quote

# Among choices in quotes, as Hydra's choice() takes no null: so the text "null" alone
# cannot be searched.
NULL = "null"


def parse_overrides(
    lines: Iterable[str], loader: ConfigLoader | None
) -> list[Override]:
    """Override lines as Hydra reads them. Raises :class:`~paretune.errors.ConfigError`
    for one that it cannot read.
    """
    parser = OverridesParser.create(loader)
    try:
        return list(parser.parse_overrides(list(lines)))
    except OverrideParseException as error:
        reason = str(error.message).splitlines()[0]
        raise ConfigError(
            f"override `{error.override}` cannot be read ({reason}); expected "
            "key=value or a "
            f"sweep such as key=interval(1,8); see Hydra's override grammar"
        ) from error


@lru_cache(maxsize=1000, typed=True)  # False is not 0.0
def read_value(choice: Any) -> Any:
    """The value that Hydra reads where Optuna has this choice: ``[16]`` and ``null``
    are kept as text.

    Raises Hydra's ``OverrideParseException`` for a text that it cannot read.
    """
    if not isinstance(choice, str):
        return choice
    parser = OverridesParser.create()
    override = parser.parse_override(f"value={choice}")
    return override.value()


def require_distribution(override: Override) -> BaseDistribution:
    """The distribution of an entry of a space. Raises
    :class:`~paretune.errors.ConfigError` for a plain value.
    """
    distribution = read_distribution(override)
    if distribution is None:
        raise ConfigError(
            f"space `{override.input_line}` is not a sweep; expected choice, range or "
            "interval, "
            "such as int(interval(4,32)); set a fixed value under its own name, "
            "outside of space"
        )
    return distribution


def read_distribution(override: Override) -> BaseDistribution | None:
    """The distribution of a sweep override; ``None`` if it is a plain value.

    Raises :class:`~paretune.errors.ConfigError` for a sweep without a value.
    """
    if not override.is_sweep_override():
        return None
    try:
        return _read_sweep(override)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"sweep `{override.input_line}` is empty ({error}); expected a lower end "
            "below the upper one, "
            "above 0 and without a step where the logarithm is searched; change its "
            "ends"
        ) from error


def _read_sweep(override: Override) -> BaseDistribution:
    sweep = override.value()
    if isinstance(sweep, IntervalSweep):
        return _read_interval(sweep)
    if isinstance(sweep, RangeSweep) and not sweep.shuffle:
        return _read_range(sweep)
    with _keep_order(sweep):
        choices = [_store_choice(value) for value in override.sweep_iterator()]
        return CategoricalDistribution(choices)


@contextmanager
def _keep_order(sweep: Any) -> Iterator[None]:
    """No shuffling in the block: samplers draw in any order, and a resumed sweep must
    find the same choices.
    """
    is_shuffled = getattr(sweep, "shuffle", None)
    if is_shuffled:
        sweep.shuffle = False
    yield
    if is_shuffled:
        sweep.shuffle = True


def _read_interval(sweep: IntervalSweep) -> BaseDistribution:
    low = sweep.start
    high = sweep.end
    is_log = "log" in sweep.tags
    assert low is not None
    assert high is not None
    if isinstance(low, int) and isinstance(high, int):
        return IntDistribution(low, high, log=is_log)
    return FloatDistribution(float(low), float(high), log=is_log)


def _read_range(sweep: RangeSweep) -> BaseDistribution:
    low = sweep.start
    high = sweep.stop
    step = sweep.step
    is_log = "log" in sweep.tags
    assert low is not None
    assert high is not None
    if isinstance(low, int) and isinstance(high, int) and isinstance(step, int):
        return IntDistribution(low, high, log=is_log, step=step)
    return FloatDistribution(float(low), float(high), log=is_log, step=float(step))


def _store_choice(value: Any) -> str | int | float | bool:
    """A choice as Optuna stores it: a number as it is, all else as the text that Hydra
    reads as this very value.
    """
    if isinstance(value, (bool, int, float)):
        return value
    if value == NULL:
        return NULL
    if isinstance(value, QuotedString):
        return write_value(value.text)
    return write_value(value)


def write_value(value: Any) -> str:
    """``value`` as Hydra reads it; text that it would read as something else stands in
    quotes, such as ``'a,b'``.
    """
    if isinstance(value, QuotedString):
        return write_value(value.text)
    if isinstance(value, list):
        parts = [write_value(part) for part in value]
        return f"[{','.join(parts)}]"
    if isinstance(value, dict):
        pairs = [
            f"{Transformer.str(key)}:{write_value(part)}" for key, part in value.items()
        ]
        return f"{{{','.join(pairs)}}}"
    if not isinstance(value, str):
        return Transformer.str(value)
    if _is_plain(value):
        return value
    return quote(value)


def _is_plain(text: str) -> bool:
    """Whether Hydra reads ``text`` as itself without quotes, alone and within a
    list.
    """
    parser = OverridesParser.create()
    try:
        within: Any = parser.parse_override(f"value=[{text}]").value()
        alone = read_value(text)
    except HydraException:
        return False
    if not isinstance(alone, str):
        return False
    return within == [text] and alone == text
