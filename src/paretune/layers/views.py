"""Looking at an image several times: at copies of it that are moved by a pixel or two,
whose logits are averaged.

Averaging over moved copies is as old as Krizhevsky, Sutskever and Hinton 2012,
"ImageNet classification with deep convolutional neural networks", section 4.1.
"""

from collections.abc import Sequence
from math import prod

from paretune.costs import BYTES, Footprint
from paretune.errors import check_choice

# Of how many views, the moves right or left and down or up that add up to so many
# pixels.
REACH = {1: 0, 5: 1, 13: 2}


def check_views(views: object) -> None:
    """Raise :class:`~paretune.errors.ConfigError` unless a network may look so often at
    an image.
    """
    check_choice("model.views", views, REACH)


def find_corners(views: int) -> list[tuple[int, int]]:
    """Row and column of the upper left corner of each copy, in an image whose edges
    were repeated by the reach.
    """
    reach = REACH[views]
    corners: list[tuple[int, int]] = []
    for row in range(2 * reach + 1):
        for column in range(2 * reach + 1):
            if abs(row - reach) + abs(column - reach) <= reach:
                corners.append((row, column))
    return corners


def count_views(
    once: Footprint, views: int, image_shape: Sequence[int], dtype: str
) -> Footprint:
    """The costs of looking ``views`` times, from those of looking ``once``.

    Each further look takes the same code and memory; looking several times takes a copy
    of the image, too.
    """
    if views == 1:
        return once
    copy_bytes = BYTES[dtype] * prod(image_shape)
    counts: dict[str, int | Sequence[int]] = {**once.costs, **once.values}
    if "macs" in once.costs:
        counts["macs"] = views * once.costs["macs"]
    if "ram_bytes" in once.values:
        counts["ram_bytes"] = [
            in_use + copy_bytes for in_use in once.values["ram_bytes"]
        ]
    return Footprint.of(counts)
