"""The costs of a model: all that Paretune says of each of them.

A cost that is added to :data:`COSTS` can be capped (``cap.max_NAME``), weighed against
F1 (``cost=NAME``), asked for (``--max-NAME``), and stands in stores, tables and
reports. How it is counted stands in :data:`paretune.layers.counts.COUNTS`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

BYTES = {"float32": 4, "int8": 1}  # of a number in the exported code
# Of a channel in int8: a bias of four, a factor of four, a shift of one.
CHANNEL_BYTES = 9
TABLE_BYTES = 256  # of an activation that is looked up


@dataclass(frozen=True, slots=True)
class Cost:
    """Something that a model takes, as a whole number.

    ``name`` is that of settings, options and files, ``metric`` that of stores, ``unit``
    the words after a number. ``heading`` stands above a column of the terminal,
    ``column`` above one of a page. ``help`` tells what ``cap.max_NAME`` bounds. The
    hypervolume of a front without a cap reaches to ``volume_end``. ``depends_on_dtype``
    tells whether it is another one in float32 than in int8, ``grows_with_views``
    whether each look at an image takes it again, ``holds_image`` whether the image is
    part of it. In the card of an
    exported model the number stands in ``card_words``, beside ``card_label``.
    """

    name: str
    unit: str
    heading: str
    column: str
    help: str
    metric: str
    volume_end: float = 1e10
    depends_on_dtype: bool = False
    grows_with_views: bool = False
    holds_image: bool = False
    card_label: str | None = None
    card_words: str = "{:,}"

    @property
    def bound(self) -> str:
        """The name of its cap in the section ``cap``."""
        return f"max_{self.name}"

    @property
    def option(self) -> str:
        """Its name in options of commands, as in ``--max-ram-bytes``."""
        return self.name.replace("_", "-")


COSTS_IN_ORDER = (
    Cost(
        name="params",
        unit="parameters",
        heading="params",
        column="params",
        help="parameters",
        metric="n_params",
        volume_end=1e7,
    ),
    # Multiply-accumulates of convolutions, dense layers and products of matrices; pools
    # and means have none.
    Cost(
        name="macs",
        unit="multiply-accumulates",
        heading="MACs",
        column="MACs",
        help="multiply-accumulates of one inference",
        metric="macs",
        grows_with_views=True,
        card_label="MACs per image",
    ),
    # The block that the exported C code works in: at each operation the image, until
    # nothing reads it any more, and all activations that are needed. An image that is
    # pooled first comes in row by row: what is pooled of it is held.
    Cost(
        name="ram_bytes",
        unit="bytes of RAM",
        heading="RAM B",
        column="RAM bytes",
        help=(
            "RAM of one inference: the image and the activations that are needed at "
            "the same time"
        ),
        metric="ram_bytes",
        depends_on_dtype=True,
        holds_image=True,
        card_label="RAM",
        card_words="{:,} bytes as float32: the scaled image and the activations",
    ),
    # The weights as the exported C code stores them. In float32 a batch norm is a
    # factor and a shift; in int8 it joins the layer before it, and each channel has a
    # bias, a factor and a shift (at most: equal ones are stored once).
    Cost(
        name="flash_bytes",
        unit="bytes of flash for weights",
        heading="flash for weights B",
        column="bytes of flash for weights",
        help="flash for weights, as they are stored",
        metric="flash_bytes",
        depends_on_dtype=True,
        card_label="flash for weights",
        card_words="{:,} bytes as float32; the code comes on top",
    ),
)
COSTS = {cost.name: cost for cost in COSTS_IN_ORDER}
PARAMS = COSTS["params"]


def units() -> dict[str, str]:
    """The units of all costs, by the costs' names."""
    return {name: cost.unit for name, cost in COSTS.items()}


def cost_of_metric(metric: str) -> Cost:
    """The cost that stores keep as this ``metric``. Raises ``KeyError`` for another
    one.
    """
    by_metric = {cost.metric: cost for cost in COSTS.values()}
    return by_metric[metric]


def volume_end_of(name: str) -> float:
    """The cost that a hypervolume reaches to where there is no cap; of a cost that is
    not Paretune's as of parameters.
    """
    return COSTS.get(name, PARAMS).volume_end


@dataclass(frozen=True, slots=True)
class Footprint:
    """The ``costs`` of one inference of a network by name, as far as they could be
    counted.

    Of a cost that is the largest of several numbers, ``values`` holds all of these: of
    RAM what is in use at each operation.
    """

    costs: Mapping[str, int]
    values: Mapping[str, Sequence[int]] = field(
        default_factory=dict, compare=False, repr=False
    )

    @classmethod
    def of(cls, counts: Mapping[str, int | Sequence[int]]) -> "Footprint":
        """The footprint of these ``counts``, several numbers for one cost among
        them.
        """
        costs: dict[str, int] = {}
        values: dict[str, Sequence[int]] = {}
        for name, count in counts.items():
            if isinstance(count, Sequence):
                costs[name] = max(count)
                values[name] = count
            else:
                costs[name] = count
        return cls(costs, values)
