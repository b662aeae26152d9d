"""The picture: F1 against parameters, all trials faint, the front stepped, published points for scale."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter
from matplotlib.transforms import Bbox

from paretune.front import Point
from paretune.reports.confirmed import Reference
from paretune.reports.findings import members_of

__all__ = ["FAMILY_COLOURS", "GRADES", "OTHER_FAMILY", "draw_front"]

FAMILY_COLOURS = {
    "dense": "#0072b2",
    "conv": "#d55e00",
    "squeeze": "#009e73",
    "separable": "#cc79a7",
    "inception": "#56b4e9",
    "recurrent": "#e69f00",
}  # fmt: skip - Okabe and Ito's palette, told apart by colour-blind readers too
OTHER_FAMILY = "#555555"
GRADES = {
    "honest": ("D", "published, chosen on held-out data"),
    "last": ("s", "published, last epoch"),
    "picked": ("x", "published, picked on test"),
}
LABEL_PLACES = (((6, 4), "left"), ((6, -9), "left"), ((-6, 4), "right"), ((-6, -9), "right"))
LEAST_SHOWN_ERROR = 0.0008
F1_TICKS = (0.1, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999)


def draw_front(
    points: Sequence[Point],
    paths: Sequence[Path],
    *,
    title: str,
    score: str = "validation F1",
    references: Sequence[Reference] = (),
    cap: int | None = None,
) -> None:
    """Write the picture, in the format of each path's suffix; its vertical axis is even in the logarithm of the error 1 - F1, labelled in F1."""
    figure = Figure(figsize=(9, 6), layout="constrained")
    axes = figure.subplots()
    _trials(axes, points)
    _front(axes, points, score)
    _references(axes, references)
    if cap:
        axes.axvline(cap, color="#888888", linewidth=0.8, linestyle=":")
        axes.annotate(f"cap {cap:,}", (cap, 0.02), xycoords=("data", "axes fraction"), rotation=90, fontsize=8,
                      ha="right", color="#666666")  # fmt: skip
    _axes(axes, points, references, score)
    if references:
        figure.draw_without_rendering()  # lays the axes out, so that labels know where they are
        _labels(axes, references)
    axes.set_title(title, loc="left", fontsize=11)
    for path in paths:
        figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)


def _trials(axes: Axes, points: Sequence[Point]) -> None:
    for family in sorted({point.family for point in points}):
        own = [point for point in points if point.family == family]
        colour = FAMILY_COLOURS.get(family, OTHER_FAMILY)
        axes.scatter([p.params for p in own], [_error(p.f1) for p in own], s=22, alpha=0.35, color=colour,
                     linewidths=0, label=f"{family} (n = {len(own):,})")  # fmt: skip


def _front(axes: Axes, points: Sequence[Point], score: str) -> None:
    members = members_of(points)
    params, errors = [p.params for p in members], [_error(p.f1) for p in members]
    axes.step(params, errors, where="post", color="#222222", linewidth=1.3, label=f"front ({score})")
    colours = [FAMILY_COLOURS.get(p.family, OTHER_FAMILY) for p in members]
    axes.scatter(params, errors, s=42, color=colours, edgecolors="#222222", linewidths=0.9, zorder=3)


def _references(axes: Axes, references: Sequence[Reference]) -> None:
    for grade, (marker, label) in GRADES.items():
        own = [reference for reference in references if reference.grade == grade]
        if own:
            style = {"color": "#444444"} if marker == "x" else {"facecolors": "none", "edgecolors": "#444444"}
            errors = [_error(r.score) for r in own]
            axes.scatter([r.params for r in own], errors, s=30, marker=marker, linewidths=0.9, label=label, **style)  # type: ignore[arg-type]


def _labels(axes: Axes, references: Sequence[Reference]) -> None:
    """Names beside the markers, each in that of four places where it covers the fewest other names and markers."""
    markers = axes.transData.transform([(r.params, _error(r.score)) for r in references])
    taken = [Bbox.from_bounds(x - 3, y - 3, 6, 6) for x, y in markers]
    for reference in (reference for reference in references if reference.label):
        at = (reference.params, _error(reference.score))
        tried = [
            axes.annotate(
                reference.name, at, xytext=offset, textcoords="offset points", ha=side, fontsize=7, color="#444444"
            )
            for offset, side in LABEL_PLACES
        ]
        boxes = [text.get_window_extent() for text in tried]
        covered = [sum(box.overlaps(other) for other in taken) for box in boxes]
        best = covered.index(min(covered))
        taken.append(boxes[best])
        for text in [*tried[:best], *tried[best + 1 :]]:
            text.remove()


def _axes(axes: Axes, points: Sequence[Point], references: Sequence[Reference], score: str) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    errors = [_error(p.f1) for p in points] + [_error(r.score) for r in references]
    axes.set_ylim(min(1.0, max(errors) * 1.3), min(errors) / 1.3)  # the best on top
    axes.set_yticks([1 - f1 for f1 in F1_TICKS])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda error, _: f"{1 - error:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.minorticks_on()
    axes.xaxis.set_major_formatter(FuncFormatter(lambda params, _: f"{params:,.0f}"))
    axes.set_ylim(min(1.0, max(errors) * 1.3), min(errors) / 1.3)
    axes.set_xlabel("trainable parameters")
    axes.set_ylabel(f"macro {score}" + (" (published points: test score)" if references else ""))
    axes.grid(which="major", color="#e5e5e5", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.legend(fontsize=8, loc="lower right", framealpha=0.9)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _error(score: float) -> float:
    return max(1 - score, LEAST_SHOWN_ERROR)
