"""Names beside points of a picture, where they cover least."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox, BboxBase

from paretune.front import Floats

Align = Literal["left", "right", "center"]

DIRECTIONS = (
    (1, 0.5),
    (1, -0.5),
    (-1, 0.5),
    (-1, -0.5),
    (0, 1),
    (0, -1),
    (1, 1.5),
    (1, -1.5),
    (-1, 1.5),
    (-1, -1.5),
)
DISTANCES_PT = (7, 14, 24, 36, 50, 66, 84)
# Of the name of an upright line, in shares of the axes: the most central first.
HEIGHTS = (0.5, 0.4, 0.6, 0.3, 0.7, 0.2, 0.8, 0.1, 0.9)
CLEARANCE_PIXELS = 1.0
LEADER_FROM_PT = 14  # a name that is farther from its point has a line to it
# Of a point of distance, in names that are covered: the nearer of two equal places is
# taken.
COST_OF_DISTANCE = 0.01
COST_OF_LEAVING = 100.0  # the picture
STYLE: dict[str, Any] = {
    "textcoords": "offset points",
    "fontsize": 7,
    "color": "#444444",
}
LEADER = {
    "arrowstyle": "-",
    "color": "#999999",
    "linewidth": 0.5,
    "shrinkA": 0,
    "shrinkB": 3,
}


@dataclass(frozen=True)
class Place:
    """Where a name may stand: its offset from the point in typographic points, and
    which of its ends is there.
    """

    offset: tuple[float, float]
    align: Align
    distance_pt: float


def _make_places() -> list[Place]:
    """All places that are tried, the nearest first."""
    places: list[Place] = []
    for distance in DISTANCES_PT:
        for across, up in DIRECTIONS:
            offset = (across * distance, up * distance)
            places.append(Place(offset, _align_for(across), distance))
    return places


def _align_for(across: float) -> Align:
    """The end of a name that is at its place, if the name is so far to the right of its
    point.
    """
    if across > 0:
        return "left"
    if across < 0:
        return "right"
    return "center"


LABEL_PLACES = _make_places()


def label_points(
    axes: Axes, names: Sequence[str], points: Floats, obstacles: Sequence[Bbox]
) -> list[Annotation]:
    """Write each of the ``names`` beside its point ``(N, 2)``, in data units, and
    return the texts.

    Each stands where it covers fewest of the ``obstacles``, boxes in pixels, and of the
    names before it; of such places in the nearest. The axes must have been laid out.
    """
    taken = list(obstacles)
    written: list[Annotation] = []
    for name, point in zip(names, points, strict=True):
        place = _best_place(axes, name, point, taken)
        text = _write(axes, name, point, place)
        taken.append(box_of(text))
        written.append(text)
    return written


def label_line(axes: Axes, name: str, x: float, obstacles: Sequence[Bbox]) -> Bbox:
    """Write the ``name`` of an upright line along it, at the height where it covers
    fewest of the ``obstacles``, of such heights the most central; returns its box in
    pixels. The axes must have been laid out.
    """
    corners = np.array([box.extents for box in obstacles]).reshape(-1, 4)
    text = axes.annotate(
        name,
        (x, HEIGHTS[0]),
        xycoords=("data", "axes fraction"),
        rotation=90,
        fontsize=8,
        ha="right",
        va="center",
        color="#666666",
    )
    covered: list[int] = []
    for height in HEIGHTS:
        text.set_y(height)
        covered.append(_count_covered(box_of(text), corners))
    text.set_y(HEIGHTS[int(np.argmin(covered))])
    return box_of(text)


def box_of(name: Annotation) -> Bbox:
    """The box of a name in pixels, without the line to its point."""
    name.get_window_extent()  # moves it to its place
    return Text.get_window_extent(name)


def _write(axes: Axes, name: str, point: Floats, place: Place) -> Annotation:
    leader = None
    if place.distance_pt >= LEADER_FROM_PT:
        leader = LEADER
    text: Annotation = axes.annotate(
        name,
        _position_of(point),
        place.offset,
        ha=place.align,
        va="center",
        arrowprops=leader,
        **STYLE,
    )
    return text


def _position_of(point: Floats) -> tuple[float, float]:
    x, y = point
    return (float(x), float(y))


def _best_place(axes: Axes, name: str, point: Floats, taken: Sequence[Bbox]) -> Place:
    box = _measure_box(axes, name, point)
    corners = np.array([other.extents for other in taken]).reshape(-1, 4)
    costs: list[float] = []
    for place in LABEL_PLACES:
        moved = _move(axes, box, place)
        costs.append(_cost(axes, moved, place, corners))
    return LABEL_PLACES[int(np.argmin(costs))]


def _measure_box(axes: Axes, name: str, point: Floats) -> Bbox:
    """The box in pixels of a name that begins at its point."""
    probe = axes.annotate(
        name, _position_of(point), (0, 0), va="center", ha="left", **STYLE
    )
    box = box_of(probe)
    probe.remove()
    return box


def _move(axes: Axes, box: Bbox, place: Place) -> Bbox:
    """The box of a name at a place; ``box`` is that of one which begins at its
    point.
    """
    pixels_per_pt = axes.figure.dpi / 72
    shifts = {"left": 0.0, "center": -box.width / 2, "right": -box.width}
    across, up = place.offset
    moved = box.translated(
        across * pixels_per_pt + shifts[place.align], up * pixels_per_pt
    )
    return Bbox(moved).padded(CLEARANCE_PIXELS)


def _cost(axes: Axes, box: Bbox, place: Place, corners: Floats) -> float:
    """How bad a place is: the boxes that are covered there, its distance, and whether
    it leaves the picture.
    """
    covered = _count_covered(box, corners)
    distance = COST_OF_DISTANCE * place.distance_pt
    leaving = COST_OF_LEAVING * _leaves(box, axes.figure.bbox)
    return float(covered + distance + leaving)


def _count_covered(box: Bbox, corners: Floats) -> int:
    """How many boxes overlap with ``box``; ``corners`` are theirs, ``(N, 4)``: left,
    low, right, high.
    """
    left, low, right, high = corners.T
    across = (left < box.x1) & (right > box.x0)
    upright = (low < box.y1) & (high > box.y0)
    return int((across & upright).sum())


def _leaves(box: Bbox, frame: BboxBase) -> bool:
    """Whether a part of the box is outside of the frame."""
    across = box.x0 < frame.x0 or box.x1 > frame.x1
    upright = box.y0 < frame.y0 or box.y1 > frame.y1
    return bool(across or upright)


def boxes_of_points(axes: Axes, points: Floats, size_pixels: float = 6) -> list[Bbox]:
    """A box in pixels round each point ``(N, 2)``, given in data units."""
    half = size_pixels / 2
    boxes: list[Bbox] = []
    for x, y in axes.transData.transform(points):
        box = Bbox.from_extents(x - half, y - half, x + half, y + half)
        boxes.append(box)
    return boxes


def boxes_of_lines(axes: Axes, starts: Floats, ends: Floats) -> list[Bbox]:
    """A box in pixels round each upright or level line from ``starts`` ``(N, 2)`` to
    ``ends``, given in data units.
    """
    first = axes.transData.transform(starts)
    last = axes.transData.transform(ends)
    lowest = np.minimum(first, last) - 1
    highest = np.maximum(first, last) + 1
    return [Bbox([low, high]) for low, high in zip(lowest, highest, strict=True)]
