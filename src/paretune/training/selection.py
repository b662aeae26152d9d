"""By which rule a training's result is read."""

from dataclasses import dataclass

from paretune.errors import ConfigError

__all__ = ["Selection"]


@dataclass(frozen=True)
class Selection:
    """Which epoch's weights are kept (``best`` or ``last``), the best by what (``f1`` or ``accuracy``), and on which ``split``.

    ``split`` is ``validation``, or ``test``: many published recipes keep no validation split and report the best or the last
    epoch on the test set. That is for comparing with them, in single runs; no sweep may do it.
    """

    epoch: str = "best"
    by: str = "f1"
    split: str = "validation"

    def __post_init__(self) -> None:
        admitted = {"epoch": ("best", "last"), "by": ("f1", "accuracy"), "split": ("validation", "test")}
        for name, values in admitted.items():
            value = getattr(self, name)
            if value not in values:
                message = f"selection.{name} `{value}` is unknown; expected {' or '.join(values)}; set selection.{name}"
                raise ConfigError(message)

    @property
    def rule(self) -> str:
        """The rule in words."""
        if self.epoch == "last":
            return "last epoch" + (" on test" if self.split == "test" else "")
        return f"best epoch by {self.by} on {self.split}"
