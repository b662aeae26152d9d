"""Names beside points cover neither each other nor what is drawn."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from studies.record import found

from paretune.reports import figure as figures
from paretune.reports.labels import (
    box_of,
    boxes_of_lines,
    boxes_of_points,
    label_line,
    label_points,
)

NAMED = st.tuples(
    st.integers(0, 1000),
    st.integers(0, 1000),
    st.text("abc 12", min_size=1, max_size=20),
)


@pytest.fixture(scope="module")
def axes() -> Axes:
    """Axes from 0 to 1000, laid out."""
    figure = Figure(figsize=(9, 6), layout="constrained")
    axes = figure.subplots()
    axes.set(xlim=(0, 1000), ylim=(0, 1000))
    figure.draw_without_rendering()
    return axes


@given(st.lists(NAMED, min_size=1, max_size=6))
@settings(max_examples=20)
def test_names_cover_no_other_and_stay_in_the_picture(axes, named):
    points = np.array([(x, y) for x, y, _ in named], float)
    texts = label_points(
        axes, [name for *_, name in named], points, boxes_of_points(axes, points)
    )
    boxes = [box_of(text) for text in texts]
    for text in texts:
        text.remove()

    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))
    assert all(
        axes.figure.bbox.x0 <= box.x0 and box.x1 <= axes.figure.bbox.x1 for box in boxes
    )


def test_no_name_of_the_record_picture_covers_anything(monkeypatch, tmp_path):
    seen = []

    def kept(axes, names, points, obstacles):
        texts = label_points(axes, names, points, obstacles)
        seen.extend([*obstacles, *(box_of(text) for text in texts)])
        seen.append(len(texts))
        return texts

    monkeypatch.setattr(figures, "label_points", kept)
    figures.draw_front(found(), [tmp_path / "record.png"])
    count = seen.pop()
    names = seen[-count:]

    assert count == sum(reference.label for reference in found().references)
    for i, name in enumerate(names):
        others = seen[:-count] + names[:i]
        assert not name.count_overlaps(others)


def test_a_name_keeps_clear_of_lines(axes):
    line = boxes_of_lines(axes, np.array([[500.0, 0.0]]), np.array([[500.0, 1000.0]]))
    (text,) = label_points(axes, ["a name"], np.array([[499.0, 500.0]]), line)

    assert box_of(text).count_overlaps(line) == 0


@given(st.sets(st.sampled_from(range(1, 10)), max_size=8))
@settings(max_examples=20)
def test_the_name_of_a_line_stands_where_nothing_is(axes, occupied):
    tenths = np.array(sorted(occupied), float).reshape(-1, 1)
    points = np.hstack([np.full_like(tenths, 490.0), tenths * 100])
    crowd = boxes_of_points(axes, points, size_pixels=20)
    box = label_line(axes, "cap 1", 500.0, crowd)
    axes.texts[-1].remove()

    assert box.count_overlaps(crowd) == 0
