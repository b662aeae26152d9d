"""Names beside points of a picture, where they cover least."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

from paretune.front import Costs

DIRECTIONS = ((1, 0.5), (1, -0.5), (-1, 0.5), (-1, -0.5), (0, 1), (0, -1), (1, 1.5), (1, -1.5), (-1, 1.5), (-1, -1.5))
DISTANCES_PT = (7, 14, 24, 36, 50, 66, 84)
CLEARANCE_PIXELS = 1.0
LEADER_FROM_PT = 14  # a name that is farther from its point has a line to it
COST_OF_DISTANCE = 0.01  # of a point of distance, in names that are covered: the nearer of two equal places is taken
COST_OF_LEAVING = 100.0  # the picture
STYLE: dict[str, Any] = {"textcoords": "offset points", "fontsize": 7, "color": "#444444"}
LEADER = {"arrowstyle": "-", "color": "#999999", "linewidth": 0.5, "shrinkA": 0, "shrinkB": 3}


@dataclass(frozen=True)
class Place:
    """Where a name may stand: its offset from the point in typographic points, and which of its ends is there."""

    offset: tuple[float, float]
    align: Literal["left", "right", "center"]
    distance_pt: float


def _places() -> list[Place]:
    places: list[Place] = []
    for distance in DISTANCES_PT:
        for across, up in DIRECTIONS:
            align: Literal["left", "right", "center"] = "left" if across > 0 else "right" if across < 0 else "center"
            places.append(Place((across * distance, up * distance), align, distance))
    return places


PLACES = _places()


def label_points(axes: Axes, names: Sequence[str], points: Costs, obstacles: Sequence[Bbox]) -> list[Annotation]:
    """Write each of the ``names`` beside its point ``(N, 2)``, in data units, and return the texts.

    Each stands where it covers fewest of the ``obstacles``, boxes in pixels, and of the names before it; of such places in the nearest.
    The axes must have been laid out.
    """
    taken = list(obstacles)
    written: list[Annotation] = []
    for name, point in zip(names, points, strict=True):
        place = _best_place(axes, name, point, taken)
        text = _write(axes, name, point, place)
        taken.append(box_of(text))
        written.append(text)
    return written


def box_of(name: Annotation) -> Bbox:
    """The box of a name in pixels, without the line to its point."""
    name.get_window_extent()  # moves it to its place
    return Text.get_window_extent(name)


def _write(axes: Axes, name: str, point: Costs, place: Place) -> Annotation:
    leader = LEADER if place.distance_pt >= LEADER_FROM_PT else None
    at = (float(point[0]), float(point[1]))
    text: Annotation = axes.annotate(name, at, place.offset, ha=place.align, va="center", arrowprops=leader, **STYLE)
    return text


def _best_place(axes: Axes, name: str, point: Costs, taken: Sequence[Bbox]) -> Place:
    probe = axes.annotate(name, (float(point[0]), float(point[1])), (0, 0), va="center", ha="left", **STYLE)
    box = box_of(probe)
    probe.remove()
    corners = np.array([other.extents for other in taken]).reshape(-1, 4)
    costs = [_cost(axes, _moved(axes, box, place), place, corners) for place in PLACES]
    return PLACES[int(np.argmin(costs))]


def _moved(axes: Axes, box: Bbox, place: Place) -> Bbox:
    """The box of a name at a place; ``box`` is that of one which begins at its point."""
    pixels_per_pt = axes.figure.dpi / 72
    shift = {"left": 0.0, "center": -box.width / 2, "right": -box.width}[place.align]
    across, up = place.offset
    return Bbox(box.translated(across * pixels_per_pt + shift, up * pixels_per_pt)).padded(CLEARANCE_PIXELS)


def _cost(axes: Axes, box: Bbox, place: Place, corners: Costs) -> float:
    left, low, right, high = corners.T
    covers = (left < box.x1) & (right > box.x0) & (low < box.y1) & (high > box.y0)
    frame = axes.figure.bbox
    leaves = box.x0 < frame.x0 or box.x1 > frame.x1 or box.y0 < frame.y0 or box.y1 > frame.y1
    return float(covers.sum() + COST_OF_DISTANCE * place.distance_pt + COST_OF_LEAVING * leaves)


def boxes_of_points(axes: Axes, points: Costs, size_pixels: float = 6) -> list[Bbox]:
    """A box in pixels round each point ``(N, 2)``, given in data units."""
    half = size_pixels / 2
    return [Bbox.from_extents(x - half, y - half, x + half, y + half) for x, y in axes.transData.transform(points)]


def boxes_of_lines(axes: Axes, starts: Costs, ends: Costs) -> list[Bbox]:
    """A box in pixels round each upright or level line from ``starts`` ``(N, 2)`` to ``ends``, given in data units."""
    corners = np.hstack([axes.transData.transform(starts), axes.transData.transform(ends)])
    return [Bbox.from_extents(min(a, c) - 1, min(b, d) - 1, max(a, c) + 1, max(b, d) + 1) for a, b, c, d in corners]
