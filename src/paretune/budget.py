"""What a network costs, counted before it is trained, and the caps that it may not
exceed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import isnan, nan

from paretune.errors import CapError
from paretune.schema import CapSettings
from paretune.settings import UNITS

BYTES = {"float32": 4, "int8": 1}  # of a number in the exported code
# Of a channel in int8: a bias of four, a factor of four, a shift of one.
CHANNEL_BYTES = 9
TABLE_BYTES = 256  # of an activation that is looked up


@dataclass(frozen=True, slots=True)
class Footprint:
    """What one inference of a network takes; NaN where the network cannot be followed.

    ``macs`` are multiply-accumulates of convolutions, dense layers and products of
    matrices. ``ram_bytes`` are the largest of ``ram_bytes_in_use`` at each operation:
    the image until nothing reads it any more, and all activations, the block that the
    exported C code works in. ``flash_bytes`` are the weights as they are stored there:
    in float32 batch norms are a factor and a shift; in int8 they join the layers before
    them, and each channel has a bias, a factor and a shift (at most: equal ones are
    stored once).
    """

    params: int
    macs: float = nan
    ram_bytes: float = nan
    flash_bytes: float = nan
    ram_bytes_in_use: Sequence[int] = field(default=(), compare=False, repr=False)


@dataclass(frozen=True)
class Cap(CapSettings):
    """The hard upper bounds on what a model costs, and the size below which fewer
    parameters are worth nothing to a sweep.

    ``None`` means that there is none. Models below ``min_params`` may be trained. RAM
    and flash for weights are counted in numbers of ``dtype``; the program itself is not
    counted.
    """

    @property
    def most(self) -> dict[str, int]:
        """The upper bounds that there are, by the costs' names."""
        bounds = {cost: getattr(self, f"max_{cost}") for cost in UNITS}
        return {cost: bound for cost, bound in bounds.items() if bound is not None}

    def check(self, model: str, costs: Footprint) -> None:
        """Raise :class:`~paretune.errors.CapError` if ``model`` may not be trained."""
        check_counted(model, costs, self.most)
        for cost, most in self.most.items():
            value, unit = getattr(costs, cost), UNITS[cost]
            if value > most:
                raise CapError(
                    f"model `{model}` has {value:,} {unit}, {value - most:,} over the "
                    "cap; "
                    f"expected at most {most:,}; make it smaller or raise "
                    f"cap.max_{cost}"
                )


def check_counted(model: str, costs: Footprint, names: Iterable[str]) -> None:
    """Raise :class:`~paretune.errors.CapError` unless the costs of these ``names`` are
    known.
    """
    for name in names:
        if isnan(getattr(costs, name)):
            raise CapError(
                f"model `{model}` cannot be counted in {UNITS[name]}; expected a "
                "network that runs on torch's meta device; leave out "
                f"cap.max_{name} and cost={name}"
            )
