"""The hard upper bounds on what a model costs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from paretune.costs import COSTS
from paretune.errors import CapError
from paretune.schema import CapSettings


@dataclass(frozen=True)
class Cap:
    """The largest costs that a model may have (``most``, by the costs' names); a cost
    without a bound is not in it.

    RAM and flash for weights are counted in numbers of ``dtype``; the program itself is
    not counted.
    """

    most: Mapping[str, int] = field(default_factory=dict)
    dtype: str = "float32"

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Self:
        """The bounds that the section ``cap`` of a config sets.

        Raises :class:`~paretune.errors.ConfigError` for one that is out of its range.
        """
        checked = CapSettings(**settings)
        most: dict[str, int] = {}
        for name, cost in COSTS.items():
            bound = getattr(checked, cost.bound)
            if bound is not None:
                most[name] = bound
        return cls(most, checked.dtype)

    def check(self, model: str, costs: Mapping[str, float]) -> None:
        """Raise :class:`~paretune.errors.CapError` if ``model`` may not be trained."""
        check_counted(model, costs, self.most)
        for name, most in self.most.items():
            cost = COSTS[name]
            excess = costs[name] - most
            if excess > 0:
                raise CapError(
                    f"model `{model}` has {costs[name]:,} {cost.unit}, {excess:,} over "
                    f"the cap of {most:,}; make it smaller or raise cap.{cost.bound}"
                )


def check_counted(model: str, costs: Mapping[str, float], names: Iterable[str]) -> None:
    """Raise :class:`~paretune.errors.CapError` unless the costs of these ``names`` are
    known.
    """
    for name in names:
        if name not in costs:
            cost = COSTS[name]
            raise CapError(
                f"model `{model}` cannot be counted in {cost.unit}, as it does not run "
                f"on torch's meta device; leave out cap.{cost.bound} and cost={name}, "
                "or mend its forward"
            )
