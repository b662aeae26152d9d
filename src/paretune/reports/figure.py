"""The pictures: F1 against parameters, all trials faint, the front stepped, published points for scale; F1 over a setting."""

from collections.abc import Sequence
from math import ceil, floor
from pathlib import Path

import matplotlib as mpl
import numpy as np
from numpy.typing import ArrayLike

mpl.use("Agg")

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogFormatter, NullFormatter
from matplotlib.transforms import Bbox
from pandas import DataFrame, Series, to_numeric

from paretune.errors import ConfigError
from paretune.front import Costs
from paretune.reports.confirmed import Reference
from paretune.reports.findings import SweepResults
from paretune.reports.labels import boxes_of_lines, boxes_of_points, label_points
from paretune.tracking.store import N_PARAMS

FAMILY_COLOURS = {
    "dense": "#0072b2",
    "conv": "#d55e00",
    "squeeze": "#009e73",
    "separable": "#cc79a7",
    "inception": "#56b4e9",
    "recurrent": "#e69f00",
}  # fmt: skip - Okabe and Ito's palette, told apart by colour-blind readers too
OTHER_FAMILY = "#555555"
CONFIRMED = "#0072b2"
GRADES = {
    "honest": ("D", "published, chosen on held-out data"),
    "last": ("s", "published, last epoch"),
    "picked": ("x", "published, picked on test"),
}
LEAST_SHOWN_ERROR = 0.0008
MOST_LINES = 12
MARGIN = 1.3  # of the axis of F1, as a factor of the error
FEWEST_TICKS = 3
TICK_STEPS = tuple(factor / 10**power for power in range(1, 8) for factor in (5, 2, 1))
SEEDS_FOR_LIMITS = 3  # the interval of two seeds may reach 1: the axis does not follow it
F1_TICKS = (0.1, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999)


def draw_front(results: SweepResults, paths: Sequence[Path]) -> None:
    """Write the picture, in the format of each path's suffix; its vertical axis is even in the logarithm of the error 1 - F1, labelled in F1."""
    figure = Figure(figsize=(9, 6), layout="constrained")
    axes = figure.subplots()
    _trials(axes, results)
    _front(axes, results)
    _confirmed(axes, results)
    references = results.references if results.cost == N_PARAMS else ()  # nothing else is known of them
    _references(axes, references)
    if results.cap:
        axes.axvline(results.cap, color="#888888", linewidth=0.8, linestyle=":")
        axes.annotate(f"cap {results.cap:,}", (results.cap, 0.5), xycoords=("data", "axes fraction"), rotation=90,
                      fontsize=8, ha="right", va="center", color="#666666")  # fmt: skip
    _axes(axes, results, references)
    if references:
        figure.draw_without_rendering()  # lays the axes out, so that labels know where they are
        _labels(axes, references, results)
    axes.set_title(results.title, loc="left", fontsize=11)
    for path in paths:
        figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)


def _trials(axes: Axes, results: SweepResults) -> None:
    for family, models in results.complete.groupby("family"):
        colour = FAMILY_COLOURS.get(str(family), OTHER_FAMILY)
        axes.scatter(models[results.cost], _errors(models[results.f1]), s=22, alpha=0.35, color=colour, linewidths=0,
                     label=f"{family} ({len(models):,} trial{'s' * (len(models) != 1)})")  # fmt: skip


def _front(axes: Axes, results: SweepResults) -> None:
    costs, errors = results.members[results.cost], _errors(results.members[results.f1])
    axes.step(costs, errors, where="post", color="#222222", linewidth=1.3, label=f"front ({results.score})")
    colours = [FAMILY_COLOURS.get(family, OTHER_FAMILY) for family in results.members["family"]]
    axes.scatter(costs, errors, s=42, color=colours, edgecolors="#222222", linewidths=0.9, zorder=3)
    if results.query.confirmed:
        _intervals(axes, results.members[results.cost], results.members, "95 % interval of the mean")


def _confirmed(axes: Axes, results: SweepResults) -> None:
    """Beside a front of validation F1 the mean test F1 of what was trained again, in the way with most seeds, and its interval."""
    models = results.confirmed_of_these
    if results.query.confirmed or models.empty:
        return
    _intervals(axes, models[results.cost], models)
    axes.scatter(models[results.cost], _errors(models["test_f1"]), s=16, color=CONFIRMED, zorder=5,
                 label="confirmed: test F1, mean of seeds, 95 %")  # fmt: skip


def _intervals(axes: Axes, costs: "Series[float]", models: DataFrame, label: str = "_") -> None:
    """The 95 % intervals of models that were trained with several seeds; a ``label`` that begins with _ is in no legend."""
    several = models["seeds"] > 1
    if several.any():
        high = _errors(models.loc[several, "test_f1_high"])
        low = _errors(models.loc[several, "test_f1_low"])
        axes.vlines(costs[several], high, low, color=CONFIRMED, linewidth=1.6, zorder=4, label=label)


def _references(axes: Axes, references: Sequence[Reference]) -> None:
    for grade, (marker, label) in GRADES.items():
        graded = [reference for reference in references if reference.grade == grade]
        if graded:
            style = {"color": "#444444"} if marker == "x" else {"facecolors": "none", "edgecolors": "#444444"}
            params, errors = [r.params for r in graded], _errors([r.score for r in graded])
            axes.scatter(params, errors, s=30, marker=marker, linewidths=0.9, label=label, **style)  # type: ignore[arg-type]


def _labels(axes: Axes, references: Sequence[Reference], results: SweepResults) -> None:
    """Names beside the markers of those references that have one, where they cover least of all that is drawn."""
    named = [reference for reference in references if reference.label]
    if not named:
        return
    legend = axes.get_legend()
    obstacles = [legend.get_window_extent()] if legend else []
    obstacles += boxes_of_points(axes, _points([r.params for r in references], [r.score for r in references]))
    obstacles += _boxes_of_front(axes, results)
    obstacles += _boxes_of_confirmed(axes, results)
    label_points(axes, [r.name for r in named], _points([r.params for r in named], [r.score for r in named]), obstacles)


def _points(costs: ArrayLike, scores: ArrayLike) -> Costs:
    return np.column_stack([np.asarray(costs, float), _errors(scores)])


def _boxes_of_front(axes: Axes, results: SweepResults) -> list[Bbox]:
    front = _points(results.members[results.cost], results.members[results.f1])
    corners = np.column_stack([front[1:, 0], front[:-1, 1]])
    lines = boxes_of_lines(axes, front[:-1], corners) + boxes_of_lines(axes, corners, front[1:])
    return boxes_of_points(axes, front, size_pixels=12) + lines


def _boxes_of_confirmed(axes: Axes, results: SweepResults) -> list[Bbox]:
    models = results.confirmed_of_these
    if models.empty:
        return []
    means = boxes_of_points(axes, _points(models[results.cost], models["test_f1"]), size_pixels=10)
    several = models[models["seeds"] > 1]
    low = _points(several[results.cost], several["test_f1_low"])
    high = _points(several[results.cost], several["test_f1_high"])
    return means + boxes_of_lines(axes, low, high)


def draw_over(results: SweepResults, setting: str, path: Path) -> None:
    """Write a picture of F1 over a ``setting`` that was searched, with a line for each choice of the others: the mean of its trials.

    Raises :class:`~paretune.errors.ConfigError` if trials have no number for it, or if there would be too many lines.
    """
    models = results.complete
    searched = DataFrame([*models["searched"]], index=models.index).rename(columns=lambda name: name.lstrip("+"))
    if len(results.sweeps) > 1:
        searched["sweep"] = models["sweep"]
    values = to_numeric(searched.get(setting, Series(index=models.index)), errors="coerce")
    names = [str(name) for name in searched if name not in (setting, "seed")]
    others = [name for name in names if searched[name].nunique() > 1]
    texts = searched[others].apply(lambda row: " ".join(map(str, row.dropna())), axis=1) if others else "all trials"
    lines = Series(texts, models.index)[values.notna()]  # a family may lack the setting
    if lines.empty or lines.nunique() > MOST_LINES:
        raise ConfigError(
            f"--over `{setting}` cannot be drawn ({values.notna().sum()} of {len(models)} trials have a number, of {lines.nunique()} "
            f"choices of the rest); expected a number that was searched, of at most {MOST_LINES} choices; name one of {', '.join(map(str, searched))}"
        )
    figure = Figure(figsize=(9, 6), layout="constrained")
    axes = figure.subplots()
    for line, errors in Series(_errors(models[results.f1]), models.index).groupby(lines):
        means = errors.groupby(values).mean()
        axes.plot(means.index, means, marker="o", markersize=4, label=line)
    _scales(axes, results.complete[results.f1])
    if values.min() <= 0:
        axes.set_xscale("linear")
    axes.set_xlabel(setting)
    axes.set_ylabel(f"macro {results.score}")
    axes.legend(fontsize=8, loc="lower right", title=", ".join(others) or None)
    axes.set_title(", ".join(results.sweeps), loc="left", fontsize=11)
    figure.savefig(path, dpi=150)


def _scales(axes: Axes, scores: ArrayLike) -> None:
    """Both logarithmic, the upright one in the error, the best on top, and labelled in F1."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    errors = _errors(scores)
    highest, lowest = min(1.0, max(errors) * MARGIN), min(errors) / MARGIN
    axes.set_yticks([1 - f1 for f1 in f1_ticks(1 - highest, 1 - lowest)])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda error, _: f"{1 - error:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.minorticks_on()
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _count(value)))
    axes.xaxis.set_minor_formatter(_Minor(minor_thresholds=(1, 0.4)))
    axes.tick_params(axis="x", which="minor", pad=5)  # the labels are level with those of powers of ten
    axes.set_ylim(highest, lowest)
    axes.grid(which="major", color="#e5e5e5", linewidth=0.7)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def f1_ticks(lowest: float, highest: float) -> list[float]:
    """The F1 to write on an axis between two: the usual ones, or, of a narrow axis, at least three at equal steps."""
    usual = [f1 for f1 in F1_TICKS if lowest <= f1 <= highest]
    if len(usual) >= FEWEST_TICKS:
        return usual
    for step in TICK_STEPS:
        first, last = ceil(lowest / step), floor(highest / step)
        if last - first + 1 >= FEWEST_TICKS:
            return [round(number * step, 9) for number in range(first, last + 1)]
    return usual


class _Minor(LogFormatter):
    """Writes whole numbers between powers of ten, where an axis is so narrow that few powers are on it."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        return _count(x) if super().__call__(x, pos) else ""


def _count(value: float) -> str:
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def _axes(axes: Axes, results: SweepResults, references: Sequence[Reference]) -> None:
    published = [reference.score for reference in references]
    _scales(axes, [*results.complete[results.f1], *_confirmed_scores(results), *published])
    axes.set_xlabel(f"trainable {results.unit}" if results.cost == N_PARAMS else results.unit)
    axes.set_ylabel(f"macro {results.score}" + (" (published points: test score)" if references else ""))
    axes.legend(fontsize=8, loc="lower right", framealpha=0.9)


def _confirmed_scores(results: SweepResults) -> list[float]:
    """Test F1 that the axis must hold: means, and ends of the intervals of three seeds or more."""
    models = results.confirmed_of_these
    if models.empty:
        return []
    sure = models[models["seeds"] >= SEEDS_FOR_LIMITS]
    return [*models["test_f1"], *sure["test_f1_low"], *sure["test_f1_high"]]


def _errors(scores: ArrayLike) -> Costs:
    errors: Costs = np.maximum(1 - np.asarray(scores, float), LEAST_SHOWN_ERROR)
    return errors
