"""The end of a stage."""

import time
from dataclasses import dataclass, replace
from typing import Self


@dataclass(frozen=True)
class Deadline:
    """A moment of the clock ``time.monotonic``; ``None``: there is no end."""

    at_s: float | None

    @classmethod
    def after(cls, seconds: float) -> Self:
        """The end of so many ``seconds`` from now."""
        return cls(time.monotonic() + seconds)

    def move_up(self, seconds: float) -> Self:
        """The end so many ``seconds`` before this one."""
        if self.at_s is None:
            return self
        return replace(self, at_s=self.at_s - seconds)

    def read_left_s(self) -> float | None:
        """The seconds until then, below 0 once it is over; ``None`` without an end."""
        if self.at_s is None:
            return None
        return self.at_s - time.monotonic()

    def is_over(self) -> bool:
        """Whether the moment is past."""
        left_s = self.read_left_s()
        return left_s is not None and left_s <= 0
