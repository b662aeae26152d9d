"""The pictures: the score against a cost, with all trials, the front and published
models; the score over a setting.
"""

from collections.abc import Sequence
from math import ceil, floor
from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogFormatter, NullFormatter
from matplotlib.transforms import Bbox
from numpy.typing import ArrayLike
from pandas import DataFrame, Series, to_numeric

from paretune.errors import ConfigError
from paretune.front import Floats
from paretune.reports.confirmed import INTERVAL, Reference
from paretune.reports.drawing import escape_formulas, save_figure
from paretune.reports.findings import SweepResults
from paretune.reports.labels import (
    boxes_of_lines,
    boxes_of_points,
    label_line,
    label_points,
)
from paretune.reports.study import NO_FAMILY
from paretune.scores import ScoreKind
from paretune.tracking.schema import N_PARAMS

# Okabe and Ito's palette, told apart by colour-blind readers too.
FAMILY_COLOURS = {
    "dense": "#0072b2",
    "conv": "#d55e00",
    "squeeze": "#009e73",
    "separable": "#cc79a7",
    "inception": "#56b4e9",
    "recurrent": "#e69f00",
    NO_FAMILY: "#0072b2",
}
OTHER_FAMILY = "#555555"
CONFIRMED = "#0072b2"
GRADES = {
    "honest": ("D", "published, chosen on held-out data"),
    "last": ("s", "published, last epoch"),
    "picked": ("x", "published, picked on test"),
}
SIZE_INCHES = (9, 6)
DPI = 150
LEAST_SHOWN_ERROR = 0.0008
MOST_CURVES = 12
MARGIN = 1.3  # of the axis of F1, as a factor of the error
FEWEST_TICKS = 3
TICK_STEPS = tuple(factor / 10**power for power in range(1, 8) for factor in (5, 2, 1))
# The interval of two seeds may reach 1: the axis does not follow it.
SEEDS_FOR_LIMITS = 3
F1_TICKS = (0.1, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999)


def draw_front(results: SweepResults, paths: Sequence[Path]) -> None:
    """Write the picture, in the format of each path's suffix.

    The vertical axis of a share, such as F1, is even in the logarithm of the error, and
    labelled in the share. Of any other score it has the score itself.
    """
    figure = Figure(figsize=SIZE_INCHES, layout="constrained")
    axes = figure.subplots()
    references = _shown_references(results)
    _draw_trials(axes, results)
    _draw_members(axes, results)
    _draw_confirmed(axes, results)
    _draw_references(axes, references)
    _draw_cap(axes, results.cap)
    _set_axes(axes, results, references)
    if references or results.cap:
        # Lays the axes out, so that labels know where they are.
        figure.draw_without_rendering()
        _write_labels(axes, references, results)
    axes.set_title(escape_formulas(results.title), loc="left", fontsize=11)
    for path in paths:
        save_figure(figure, path, DPI)


def _shown_references(results: SweepResults) -> Sequence[Reference]:
    """The published models, of which nothing but their parameters is known."""
    if results.cost == N_PARAMS:
        return results.references
    return ()


def _colour_of(family: Any) -> str:
    return FAMILY_COLOURS.get(str(family), OTHER_FAMILY)


def _draw_trials(axes: Axes, results: SweepResults) -> None:
    for family, models in results.models.groupby("family"):
        axes.scatter(
            models[results.cost],
            _heights(results, models),
            s=22,
            alpha=0.35,
            color=_colour_of(family),
            linewidths=0,
            label=_describe_group(str(family), len(models)),
        )


def _describe_group(family: str, count: int) -> str:
    if family == NO_FAMILY:
        return f"complete trials ({count:,})"
    noun = "trials"
    if count == 1:
        noun = "trial"
    return f"{family} ({count:,} {noun})"


def _draw_members(axes: Axes, results: SweepResults) -> None:
    members = results.members
    costs = members[results.cost]
    heights = _heights(results, members)
    axes.step(
        costs,
        heights,
        where="post",
        color="#222222",
        linewidth=1.3,
        label="front" if results.is_study else f"front ({results.score.words})",
    )
    axes.scatter(
        costs,
        heights,
        s=42,
        color=list(map(_colour_of, members["family"])),
        edgecolors="#222222",
        linewidths=0.9,
        zorder=3,
    )
    if results.query.confirmed:
        _draw_intervals(axes, costs, members, f"{INTERVAL} interval of the mean")


def _draw_confirmed(axes: Axes, results: SweepResults) -> None:
    """Beside a front of validation F1 the mean test F1 of the models that were trained
    again, and its interval.
    """
    models = results.confirmed_of_these
    if results.query.confirmed or models.empty:
        return
    costs = models[results.cost]
    _draw_intervals(axes, costs, models)
    axes.scatter(
        costs,
        _errors(models["test_f1"]),
        s=16,
        color=CONFIRMED,
        zorder=5,
        label=f"confirmed: test F1, mean of seeds, {INTERVAL}",
    )


def _draw_intervals(
    axes: Axes, costs: "Series[float]", models: DataFrame, label: str = "_"
) -> None:
    """The intervals of models that were trained with several seeds; a label that
    begins with _ is in no legend.
    """
    several = models["seeds"] > 1
    if not several.any():
        return
    axes.vlines(
        costs[several],
        _errors(models.loc[several, "test_f1_high"]),
        _errors(models.loc[several, "test_f1_low"]),
        color=CONFIRMED,
        linewidth=1.6,
        zorder=4,
        label=label,
    )


def _draw_references(axes: Axes, references: Sequence[Reference]) -> None:
    for grade, (marker, label) in GRADES.items():
        graded = [reference for reference in references if reference.grade == grade]
        if graded:
            _draw_grade(axes, graded, marker, label)


def _draw_grade(
    axes: Axes, references: Sequence[Reference], marker: str, label: str
) -> None:
    style: dict[str, Any] = {"facecolors": "none", "edgecolors": "#444444"}
    if marker == "x":  # it has no face
        style = {"color": "#444444"}
    points = _points_of(references)
    axes.scatter(
        points[:, 0],
        points[:, 1],
        s=30,
        marker=marker,
        linewidths=0.9,
        label=label,
        **style,
    )


def _draw_cap(axes: Axes, cap: int | None) -> None:
    if not cap:
        return
    axes.axvline(cap, color="#888888", linewidth=0.8, linestyle=":")


def _write_labels(
    axes: Axes, references: Sequence[Reference], results: SweepResults
) -> None:
    """The name of the cap, and those of the references that have one, where they cover
    least of all that is drawn.
    """
    obstacles = [
        *_boxes_of_legend(axes),
        *boxes_of_points(axes, _points_of(references)),
        *_boxes_of_front(axes, results),
        *_boxes_of_confirmed(axes, results),
    ]
    if results.cap:
        obstacles.append(
            label_line(axes, f"cap {results.cap:,}", results.cap, obstacles)
        )
    named = [reference for reference in references if reference.label]
    names = [reference.name for reference in named]
    label_points(axes, names, _points_of(named), obstacles)


def _points_of(references: Sequence[Reference]) -> Floats:
    """The published models as points ``(N, 2)`` of the picture."""
    params = [reference.params for reference in references]
    scores = [reference.score for reference in references]
    return _points(params, scores)


def _points(costs: ArrayLike, scores: ArrayLike) -> Floats:
    return np.column_stack([np.asarray(costs, float), _errors(scores)])


def _boxes_of_legend(axes: Axes) -> list[Bbox]:
    legend = axes.get_legend()
    if legend is None:
        return []
    return [legend.get_window_extent()]


def _boxes_of_front(axes: Axes, results: SweepResults) -> list[Bbox]:
    """Boxes round the members of the front and the steps between them."""
    members = _points(
        results.members[results.cost], results.members[results.score.column]
    )
    corners = np.column_stack([members[1:, 0], members[:-1, 1]])
    return [
        *boxes_of_points(axes, members, size_pixels=12),
        *boxes_of_lines(axes, members[:-1], corners),
        *boxes_of_lines(axes, corners, members[1:]),
    ]


def _boxes_of_confirmed(axes: Axes, results: SweepResults) -> list[Bbox]:
    """Boxes round the means of confirmed models and their intervals."""
    models = results.confirmed_of_these
    if models.empty:
        return []
    several = models[models["seeds"] > 1]
    means = _points(models[results.cost], models["test_f1"])
    low = _points(several[results.cost], several["test_f1_low"])
    high = _points(several[results.cost], several["test_f1_high"])
    return [
        *boxes_of_points(axes, means, size_pixels=10),
        *boxes_of_lines(axes, low, high),
    ]


def draw_over(results: SweepResults, setting: str, path: Path) -> None:
    """Write a picture of the score over a ``setting`` that was searched.

    It has a line for each choice of the other settings: the mean of its trials. Of a
    study of anybody's it has the trials themselves. Raises
    :class:`~paretune.errors.ConfigError` if trials have no number for the setting, or
    if there would be too many lines.
    """
    models = results.models
    searched = _searched_settings(results)
    values = _numbers_of(searched, setting)
    others: list[str] = []
    if not results.is_study:
        others = _other_settings(searched, setting)
    # A family may lack the setting.
    lines = _name_lines(searched, others)[values.notna()]
    if lines.empty or lines.nunique() > MOST_CURVES:
        raise _wrong_setting(setting, searched, values, lines)
    figure = Figure(figsize=SIZE_INCHES, layout="constrained")
    axes = figure.subplots()
    heights = Series(_heights(results, models), models.index)
    if results.is_study:
        _draw_points(axes, results, heights, values)
    else:
        _draw_lines(axes, heights, values, lines)
    _set_cost_axis(axes, is_log=True)
    _set_score_axis(axes, results, models[results.score.column])
    _set_grid(axes)
    if values.min() <= 0:
        axes.set_xscale("linear")
    axes.set_xlabel(escape_formulas(setting))
    axes.set_ylabel(escape_formulas(results.score.axis))
    axes.legend(
        fontsize=8, loc=_legend_corner(results), title=", ".join(others) or None
    )
    axes.set_title(escape_formulas(", ".join(results.sweeps)), loc="left", fontsize=11)
    save_figure(figure, path, DPI)


def _searched_settings(results: SweepResults) -> DataFrame:
    """A column for each setting that was searched, and one for the sweep if there are
    several.
    """
    models = results.models
    searched = DataFrame([*models["searched"]], index=models.index)
    searched = searched.rename(columns=_strip_plus)
    if len(results.sweeps) > 1:
        searched["sweep"] = models["sweep"]
    return searched


def _strip_plus(name: str) -> str:
    """A setting's name without the + that adds it to a config."""
    return name.lstrip("+")


def _numbers_of(searched: DataFrame, setting: str) -> "Series[float]":
    """The values of the setting, NaN where a trial has no number for it."""
    values = searched.get(setting, Series(index=searched.index))
    numbers: Series[float] = to_numeric(values, errors="coerce")
    return numbers


def _other_settings(searched: DataFrame, setting: str) -> list[str]:
    """The names of the other settings that had several values."""
    others: list[str] = []
    for name in searched:
        if name not in (setting, "seed") and searched[name].nunique() > 1:
            others.append(str(name))
    return others


def _name_lines(searched: DataFrame, others: Sequence[str]) -> "Series[str]":
    """For each trial the name of the line that it belongs to: its values of the other
    settings.
    """
    if not others:
        return Series("all trials", searched.index)
    names: Series[str] = searched[list(others)].apply(_join_known, axis=1)
    return names


def _join_known(values: "Series[Any]") -> str:
    return " ".join(map(str, values.dropna()))


def _wrong_setting(
    setting: str, searched: DataFrame, values: "Series[float]", lines: "Series[str]"
) -> ConfigError:
    count = values.notna().sum()
    names = ", ".join(map(str, searched))
    return ConfigError(
        f"--over `{setting}` cannot be drawn ({count} of {len(searched)} trials have "
        f"a number, of {lines.nunique()} "
        "choices of the rest); expected a number that was searched, of at most "
        f"{MOST_CURVES} choices; "
        f"name one of {names}"
    )


def _draw_points(
    axes: Axes,
    results: SweepResults,
    heights: "Series[float]",
    values: "Series[float]",
) -> None:
    """The trials at their ``heights`` over ``values``, those of the front in black."""
    members = results.members.index
    colour = FAMILY_COLOURS[NO_FAMILY]
    axes.scatter(values, heights, s=22, alpha=0.45, color=colour, label="trials")
    axes.scatter(
        values[members],
        heights[members],
        s=42,
        color=colour,
        edgecolors="#222222",
        label="on the front",
    )


def _draw_lines(
    axes: Axes, heights: "Series[float]", values: "Series[float]", lines: "Series[str]"
) -> None:
    """A line of mean ``heights`` over ``values`` for each name in ``lines``."""
    for name, own in heights.groupby(lines):
        means = own.groupby(values).mean()
        axes.plot(means.index, means, marker="o", markersize=4, label=name)


def _set_score_axis(axes: Axes, results: SweepResults, scores: ArrayLike) -> None:
    """Make the upright axis that of the score: of a share logarithmic in the error, the
    best on top, and labelled in the share.
    """
    if results.has_log_score:
        axes.set_yscale("log")
    if results.score.kind is ScoreKind.SHARE:
        _set_f1_axis(axes, _errors(scores))
    elif results.has_log_score:
        axes.yaxis.set_major_formatter(FuncFormatter(_format_cost))
        axes.yaxis.set_minor_formatter(_MinorFormatter(minor_thresholds=(1, 0.4)))


def _set_grid(axes: Axes) -> None:
    axes.grid(which="major", color="#e5e5e5", linewidth=0.7)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _set_f1_axis(axes: Axes, errors: Floats) -> None:
    highest = min(1.0, max(errors) * MARGIN)
    lowest = min(errors) / MARGIN
    ticks = f1_ticks(1 - highest, 1 - lowest)
    axes.set_yticks([1 - f1 for f1 in ticks])
    axes.yaxis.set_major_formatter(FuncFormatter(_format_f1))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.minorticks_on()
    axes.set_ylim(highest, lowest)


def _set_cost_axis(axes: Axes, *, is_log: bool) -> None:
    if not is_log:
        return
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(_format_cost))
    axes.xaxis.set_minor_formatter(_MinorFormatter(minor_thresholds=(1, 0.4)))
    # The labels are level with those of powers of ten.
    axes.tick_params(axis="x", which="minor", pad=5)


def f1_ticks(lowest: float, highest: float) -> list[float]:
    """The F1 to write on an axis between two: the usual ones, or, of a narrow axis, at
    least three at equal steps.
    """
    usual = [f1 for f1 in F1_TICKS if lowest <= f1 <= highest]
    if len(usual) >= FEWEST_TICKS:
        return usual
    for step in TICK_STEPS:
        first = ceil(lowest / step)
        last = floor(highest / step)
        if last - first + 1 >= FEWEST_TICKS:
            return [round(number * step, 9) for number in range(first, last + 1)]
    return usual


class _MinorFormatter(LogFormatter):
    """Writes whole numbers between powers of ten, where an axis is so narrow that few
    powers are on it.
    """

    def __call__(self, x: float, pos: int | None = None) -> str:
        if super().__call__(x, pos):
            return _format_number(x)
        return ""


def _format_f1(error: float, _: int | None) -> str:
    return f"{1 - error:g}"


def _format_cost(value: float, _: int | None) -> str:
    return _format_number(value)


def _format_number(value: float) -> str:
    """A tick of a logarithmic axis, which is a round number."""
    if value >= 1:
        return f"{value:,.0f}"
    return f"{value:g}"


def _set_axes(
    axes: Axes, results: SweepResults, references: Sequence[Reference]
) -> None:
    """Set scales, labels and the legend of the picture of a front."""
    scores = [
        *results.models[results.score.column],
        *_confirmed_scores(results),
        *(reference.score for reference in references),
    ]
    _set_cost_axis(axes, is_log=results.has_log_cost)
    _set_score_axis(axes, results, scores)
    _set_grid(axes)
    axes.set_xlabel(escape_formulas(_cost_label(results)))
    axes.set_ylabel(escape_formulas(_score_label(results, references)))
    axes.legend(fontsize=8, loc=_legend_corner(results), framealpha=0.9)


def _legend_corner(results: SweepResults) -> Literal["upper right", "lower right"]:
    """The corner that a front leaves free: costly models with bad scores."""
    if results.score.is_minimised:
        return "upper right"
    return "lower right"


def _cost_label(results: SweepResults) -> str:
    if results.cost == N_PARAMS:
        return f"trainable {results.unit}"
    return results.unit


def _score_label(results: SweepResults, references: Sequence[Reference]) -> str:
    label = results.score.axis
    if references:
        return f"{label} (published points: test score)"
    return label


def _confirmed_scores(results: SweepResults) -> list[float]:
    """Test F1 that the axis must hold: means, and ends of the intervals of three seeds
    or more.
    """
    models = results.confirmed_of_these
    if models.empty:
        return []
    sure = models[models["seeds"] >= SEEDS_FOR_LIMITS]
    return [*models["test_f1"], *sure["test_f1_low"], *sure["test_f1_high"]]


def _heights(results: SweepResults, models: DataFrame) -> Floats:
    """Where the models are on the upright axis: the errors of shares, other scores
    themselves.
    """
    scores = models[results.score.column].to_numpy(float)
    if results.score.kind is ScoreKind.SHARE:
        return _errors(scores)
    return scores


def _errors(scores: ArrayLike) -> Floats:
    """The errors 1 - F1, none below the least that is shown."""
    exact = 1 - np.asarray(scores, float)
    errors: Floats = np.maximum(exact, LEAST_SHOWN_ERROR)
    return errors
