"""The settings below ``selection`` and ``cap``: the weights that are kept of a training,
and the largest costs of its model.
"""

from dataclasses import dataclass, make_dataclass
from typing import Any

from paretune.costs import COSTS
from paretune.errors import ConfigError
from paretune.schema.field import (
    check_settings,
    choice,
    optional_whole_number,
    whole_number,
)


@dataclass(frozen=True)
class Selection:
    """Which epoch's weights are kept, and on which images it is chosen.

    Many published recipes keep no validation split and report the best or the last
    epoch on the test set. ``split: test`` is for comparing with them, in single runs;
    no sweep may do it.

    With several ``folds`` the training and validation images are divided into so many
    parts. Each part is scored by a network that was trained on the others, and the
    score is of all images (Stone 1974,
    https://doi.org/10.1111/j.2517-6161.1974.tb00994.x).
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

    folds: int = whole_number(
        1,
        (
            "parts that training and validation images are divided into, each scored by a "
            "network trained on the others; for few images"
        ),
        least=1,
    )

    def __post_init__(self) -> None:
        check_settings(self, "selection")
        if self.folds > 1 and self.split == "test":
            raise ConfigError(
                f"selection.folds `{self.folds}` are of the training images, and "
                "selection.split `test` scores others; leave one of them out"
            )

    @property
    def rule(self) -> str:
        """The rule in words."""
        if self.folds > 1:
            return f"{self.epoch} epoch, scored in {self.folds} folds"
        if self.epoch == "best":
            return f"best epoch by {self.by} on {self.split}"
        return "last epoch on test" if self.split == "test" else "last epoch"


def _list_cap_fields() -> list[tuple[str, Any, Any]]:
    """A bound for each cost, and how they are counted; of each setting its name, type
    and rule.
    """
    bounds: list[tuple[str, Any, Any]] = []
    for cost in COSTS.values():
        rule = optional_whole_number(None, cost.help, least=1)
        bounds.append((cost.bound, int | None, rule))
    dtype = choice(
        "float32",
        ("float32", "int8"),
        "of the numbers that RAM and flash are counted in: `float32` or `int8`",
    )
    min_params = optional_whole_number(
        None,
        "a sweep looks above this size: fewer parameters are worth nothing",
        least=1,
    )
    return [*bounds, ("dtype", str, dtype), ("min_params", int | None, min_params)]


def _check_cap(settings: object) -> None:
    check_settings(settings, "cap")


# The hard upper bounds on what a model costs: no model above one of them is ever
# trained. Models below ``min_params`` may be trained.
CapSettings = make_dataclass(
    "CapSettings",
    _list_cap_fields(),
    namespace={"__post_init__": _check_cap},
    frozen=True,
)
