"""Which models of a sweep a person asks for."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from pandas import DataFrame, Series

from paretune.costs import COSTS
from paretune.errors import StoreError, check_least
from paretune.settings import advise
from paretune.tracking.schema import VAL_F1


@dataclass(frozen=True)
class Query:
    """Which models a person asks for: costs, validation F1, families; with
    ``confirmed`` those alone, by their test F1.

    ``most`` are the largest costs by the costs' names. ``cost`` is what the front is
    drawn over; without one it is what the sweeps weighed against F1.
    """

    most: Mapping[str, int] = field(default_factory=dict)
    min_f1: float | None = None
    families: tuple[str, ...] = ()
    confirmed: bool = False
    cost: str | None = None

    def __post_init__(self) -> None:
        if self.min_f1 is not None:
            check_least("--min-f1", self.min_f1, 0, most=1, whole=False)

    @property
    def part(self) -> str:
        """The query as the name of a folder, such as ``max-params=5000,min-f1=0.97``;
        empty for all models.
        """
        words: list[str] = []
        if self.confirmed:
            words.append("confirmed")
        for name, value in self._parts().items():
            if value is not None:
                words.append(f"{name}={value}")
        return ",".join(words)

    def _parts(self) -> dict[str, Any]:
        """The bounds by the names of the command's options; None for one that is not
        asked for.
        """
        parts: dict[str, Any] = {}
        for name, most in self.most.items():
            parts[f"max-{COSTS[name].option}"] = most
        parts["min-f1"] = self.min_f1
        parts["family"] = "+".join(self.families) or None
        parts["cost"] = self.cost
        return parts

    def rows(self, table: DataFrame, f1: str = VAL_F1) -> DataFrame:
        """The rows that are asked for, by the column ``f1``."""
        for name, most in self.most.items():
            table = table[table[COSTS[name].metric] <= most]
        if self.min_f1 is not None:
            table = table[table[f1] >= self.min_f1]
        if self.families:
            table = table[_are_of(table, self.families)]
        return table

    def check_families(self, table: DataFrame) -> None:
        """Raise :class:`~paretune.errors.StoreError` for families that no trial of the
        ``table`` is of.
        """
        unknown = [
            family for family in self.families if not _are_of(table, [family]).any()
        ]
        if not unknown:
            return
        sweeps = ", ".join(table["sweep"].unique())
        known = sorted({*table["family"], *table["model"]} - {""})
        choices = ", ".join(known) or "none yet"
        hint = advise(unknown[0], known, "choose one of these")
        raise StoreError(
            f"--family `{', '.join(unknown)}` is of no trial of {sweeps}; the "
            f"families there are {choices}; {hint}"
        )


def _are_of(table: DataFrame, families: Collection[str]) -> "Series[bool]":
    """Which rows are of these families, by the names of their classes or of their files
    of ``conf/model``.
    """
    by_class = table["family"].isin(families)
    by_file = table["model"].isin(families)
    return by_class | by_file
