"""The errors a person can cause, and can mend.

::

    ParetuneError
    ├── ConfigError   a setting that cannot work as it is written
    │   └── CapError  a model that costs more than a cap allows
    ├── ExportError   a model that cannot be written, or says something else once it is
    ├── DataError     data files that are missing, damaged or of another kind
    ├── StoreError    a study or a tracking store that is missing or does not fit the question
    │   └── FaultError    one that a person has to mend (paretune.retry)
    └── SweepError    a sweep that gave up

    Raced             no mistake: a trial that was stopped early because it cannot reach the front
    └── Paused        one that waits, with its weights, and may go on later

Every message is one line: what is wrong, the `value`, and what to do. The commands print
it alone and leave with exit code 2.
"""

from collections.abc import Iterable

from paretune.pause import Pause


class ParetuneError(Exception):
    """Root of all errors that Paretune raises on purpose."""


class ConfigError(ParetuneError, ValueError):
    """A setting cannot work as it is written."""


class CapError(ConfigError):
    """A model costs more than a cap allows."""


class DataError(ParetuneError, OSError):
    """Data files are missing, damaged or of another kind."""


class ExportError(ParetuneError):
    """A model cannot be written in a format, or gives other answers once it is."""


class StoreError(ParetuneError):
    """A study or a tracking store is missing, or does not fit the question asked of
    it.
    """


class SweepError(ParetuneError):
    """A sweep gave up: too many of its trials failed."""


class Raced(Exception):  # noqa: N818 - no error
    """A trial was stopped at a rung because its curve cannot reach the front any
    more.
    """


class Paused(Raced):
    """A trial waits at a rung; ``where`` has the numbers, as
    :class:`~paretune.pause.Pause` explains them.
    """

    def __init__(
        self,
        epoch: int,
        epoch_s: float,
        epochs: int | None = None,
        begin_s: float = 0.0,
    ) -> None:
        super().__init__(f"it waits after epoch {epoch}")
        self.where = Pause(epoch, epoch_s, epochs, begin_s)


def first_line(error: BaseException) -> str:
    """The first line of what the error says; its name if it has no text."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def check_choice(setting: str, value: object, choices: Iterable[object]) -> None:
    """Raise :class:`ConfigError` unless the ``value`` of ``setting`` is one of
    ``choices``.
    """
    known = list(choices)
    if value in known:
        return
    names = ["null" if choice is None else str(choice) for choice in known]
    expected = " or ".join(names)
    if len(names) > 2:
        expected = f"one of {', '.join(names)}"
    raise ConfigError(
        f"{setting} `{value}` is unknown; expected {expected}; set {setting}"
    )


def check_least(
    setting: str,
    value: object,
    least: float,
    *,
    most: float | None = None,
    whole: bool = True,
    null: bool = False,
) -> None:
    """Raise :class:`ConfigError` unless the ``value`` of ``setting`` is a number from
    ``least`` to ``most``.

    ``whole``: a whole one; ``null``: or ``None``.
    """
    if null and value is None:
        return
    if _is_between(value, least, most, whole=whole):
        return
    expected = "a whole number" if whole else "a number"
    if most is None:
        expected += f" of at least {least:,}"
    else:
        expected += f" from {least:,} to {most:,}"
    if null:
        expected += ", or null"
    raise ConfigError(
        f"{setting} `{value}` is invalid; expected {expected}; set {setting}"
    )


def _is_between(
    value: object, least: float, most: float | None, *, whole: bool
) -> bool:
    """Whether a value is a number, and not a truth value, from ``least`` to ``most``
    (``None``: no end).
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    if whole and not isinstance(value, int):
        return False
    return least <= value and (most is None or value <= most)
