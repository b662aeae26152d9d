"""What is kept of a training, and what its model may cost: the settings below
``selection`` and ``cap``.
"""

from dataclasses import dataclass

from paretune.schema.field import check_settings, choice, optional_whole_number


@dataclass(frozen=True)
class Selection:
    """Which epoch's weights are kept, and on which images it is chosen.

    Many published recipes keep no validation split and report the best or the last
    epoch on the test set. ``split: test`` is for comparing with them, in single runs;
    no sweep may do it.
    """

    epoch: str = choice(
        "best",
        ("best", "last"),
        "whose weights are kept: of the `best` epoch, or of the `last`",
    )
    by: str = choice(
        "f1", ("f1", "accuracy"), "the best by validation `f1` or `accuracy`"
    )
    split: str = choice(
        "validation",
        ("validation", "test"),
        (
            "`test`: as published recipes without a validation split chose; refused "
            "in sweeps"
        ),
    )

    def __post_init__(self) -> None:
        check_settings(self, "selection")

    @property
    def rule(self) -> str:
        """The rule in words."""
        if self.epoch == "best":
            return f"best epoch by {self.by} on {self.split}"
        return "last epoch on test" if self.split == "test" else "last epoch"


@dataclass(frozen=True)
class CapSettings:
    """The hard upper bounds on what a model costs: no model above one of them is ever
    trained.
    """

    max_params: int | None = optional_whole_number(None, "parameters", least=1)
    max_macs: int | None = optional_whole_number(
        None, "multiply-accumulates of one inference", least=1
    )
    max_ram_bytes: int | None = optional_whole_number(
        None,
        (
            "RAM of one inference: the image and the activations that are needed at "
            "the same time"
        ),
        least=1,
    )
    max_flash_bytes: int | None = optional_whole_number(
        None, "flash for weights, as they are stored", least=1
    )
    dtype: str = choice(
        "float32",
        ("float32", "int8"),
        "of the numbers that RAM and flash are counted in: `float32` or `int8`",
    )
    min_params: int | None = optional_whole_number(
        None,
        "a sweep looks above this size: fewer parameters are worth nothing",
        least=1,
    )

    def __post_init__(self) -> None:
        check_settings(self, "cap")
