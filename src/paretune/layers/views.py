"""Looking at an image several times: at copies of it that are moved by a pixel or two,
whose logits are averaged.

Averaging over moved copies is as old as Krizhevsky, Sutskever and Hinton 2012,
"ImageNet classification with deep convolutional neural networks", section 4.1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from paretune.costs import BYTES, COSTS, Footprint
from paretune.errors import check_choice

# Of how many views, the moves right or left and down or up that add up to so many
# pixels.
REACH = {1: 0, 5: 1, 13: 2}


@dataclass(frozen=True, slots=True)
class Reach:
    """How far the copies are moved, up or down and to the sides, in pixels."""

    rows: int
    columns: int

    @property
    def longest(self) -> int:
        """The moves of a copy, rows and columns, add up to no more."""
        return max(self.rows, self.columns)


def find_reach(views: int, *, is_flat: bool = False) -> Reach:
    """The reach of so many views; a signal has one row, and is moved along it alone."""
    if is_flat:
        return Reach(0, views // 2)
    return Reach(REACH[views], REACH[views])


def check_views(views: object) -> None:
    """Raise :class:`~paretune.errors.ConfigError` unless a network may look so often at
    an image.
    """
    check_choice("model.views", views, REACH)


def find_corners(reach: Reach) -> list[tuple[int, int]]:
    """Row and column of the upper left corner of each copy, in an image whose edges
    were repeated by the ``reach``.
    """
    corners: list[tuple[int, int]] = []
    for row in range(2 * reach.rows + 1):
        for column in range(2 * reach.columns + 1):
            moved = abs(row - reach.rows) + abs(column - reach.columns)
            if moved <= reach.longest:
                corners.append((row, column))
    return corners


def count_views(
    once: Footprint, views: int, image_shape: Sequence[int], dtype: str
) -> Footprint:
    """The costs of looking ``views`` times, from those of looking ``once``.

    Each further look computes all again, with the same code and memory; looking several
    times takes a copy of the image, too.
    """
    if views == 1:
        return once
    copy_bytes = BYTES[dtype] * prod(image_shape)
    counts: dict[str, int | Sequence[int]] = {**once.costs, **once.values}
    for name, count in once.costs.items():
        if COSTS[name].grows_with_views:
            counts[name] = views * count
    for name, values in once.values.items():
        if COSTS[name].holds_image:
            counts[name] = [value + copy_bytes for value in values]
    return Footprint.of(counts)
