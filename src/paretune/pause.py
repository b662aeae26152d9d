"""Where a training stopped that is to be taken up again."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Pause:
    """Where a trial stopped: after ``epoch`` of ``epochs`` (``None`` if nobody knows),
    each of which took ``epoch_s`` seconds on average; before the first it took
    ``begin_s``.
    """

    epoch: int
    epoch_s: float
    epochs: int | None = None
    begin_s: float = 0.0
