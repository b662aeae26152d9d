"""The largest costs that a configuration may have."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

# By the names of costs; of several values the largest is the cost.
CostCounts = dict[str, tuple[float, ...]]
# Times by how much a cap is exceeded: the cost of what only another cap than the
# objective's forbids.
OVER_CAP = 1e30


@dataclass(frozen=True)
class Caps:
    """The largest cost of each name that may be run (``most``), and which of them, the
    ``axis``, is the objective.

    ``units`` are words for the names, such as ``bytes of RAM`` for ``ram_bytes``.
    """

    most: Mapping[str, int]
    axis: str
    units: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def others(self) -> tuple[str, ...]:
        """The names of the costs that are capped and are not the objective."""
        return tuple(name for name in self.most if name != self.axis)

    def exceeded(self, counts: CostCounts) -> str | None:
        """The name of a cost that is over its cap, that of the axis last."""
        for name in (*self.others, self.axis):
            if name in self.most and max(counts[name]) > self.most[name]:
                return name
        return None

    def unit(self, name: str) -> str:
        """The unit of a cost, in words."""
        return self.units.get(name, name)
