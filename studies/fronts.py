"""What the search added, and how scores spread over seeds: two pictures, from what is
committed.

They are in ``docs/journal/2026-11-28-record-front.md``.

Beside the joint front of ``record_small`` and ``record_middle`` stands that of as many
random trials of the same spaces under the same caps and races
(``sweeps/record_*_random``), and the eight published networks that ``record`` started
from (``sweeps/record_known``).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from paretune.front import LEAST_ERROR, front_volume
from paretune.reports.confirmed import Reference, select_most_seeds
from paretune.reports.figure import F1_TICKS, FAMILY_COLOURS, GRADES, OTHER_FAMILY
from paretune.tracking.schema import N_PARAMS, VAL_F1
from paretune.tracking.trial_table import front_rows, records
from studies.record import ROOT, found, read

FRONTS = {  # each drawn in its colour
    "search": (("record_small", "record_middle"), "#0072b2"),
    "random trials": (("record_small_random", "record_middle_random"), "#e69f00"),
    "known networks": (("record_known",), "#555555"),
}
CAP = 2_200  # parameters, of the two sweeps
PICTURE_CAP = 10_000


def run() -> dict[str, object]:
    """Volumes and F1 at the published sizes of each front that is committed; spread of
    the confirmed models over seeds.
    """
    results = found()
    fronts = {
        name: front_rows(read("front.csv", sweeps))
        for name, (sweeps, _) in FRONTS.items()
        if are_committed(sweeps)
    }
    draw_fronts(fronts, results.references)
    draw_seeds(results.confirmed)
    sizes = sorted(
        {
            150,
            200,
            *(
                reference.params
                for reference in results.references
                if reference.params <= CAP
            ),
        }
    )
    return {
        "volume": {
            name: round(front_volume(t[N_PARAMS], t[VAL_F1], CAP), 4)
            for name, t in fronts.items()
        },
        "val_f1_at": {
            str(size): {name: best_at(t, size) for name, t in fronts.items()}
            for size in sizes
        },
        "sd_over_seeds": {
            f"{model[N_PARAMS]}: {model['layers']}": model["test_f1_sd"]
            for model in records(select_most_seeds(results.confirmed))
        },
    }


def are_committed(sweeps: tuple[str, ...]) -> bool:
    return all((ROOT / "sweeps" / sweep / "front.csv").is_file() for sweep in sweeps)


def best_at(trials: DataFrame, params: int) -> float | None:
    fitting = trials.loc[trials[N_PARAMS] <= params, VAL_F1]
    return round(float(fitting.max()), 4) if len(fitting) else None


def draw_fronts(fronts: Mapping[str, DataFrame], references: list[Reference]) -> None:
    """The fronts of validation F1, and the published points."""
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    for name, members in fronts.items():
        errors = np.maximum(1 - members[VAL_F1], LEAST_ERROR)
        style = {
            "color": FRONTS[name][1],
            "linewidth": 1.4,
            "marker": "o",
            "markersize": 3.5,
            "label": name,
        }
        axes.step(members[N_PARAMS], errors, where="post", **style)
    for grade, (marker, label) in GRADES.items():
        points = [r for r in references if r.grade == grade and r.params <= PICTURE_CAP]
        style = (
            {"color": "#888888"}
            if marker == "x"
            else {"facecolors": "none", "edgecolors": "#888888"}
        )
        errors = [1 - r.score for r in points]
        axes.scatter(
            [r.params for r in points],
            errors,
            marker=marker,
            s=24,
            label=label,
            **style,
        )  # type: ignore[arg-type]
    decorate(axes, "macro validation F1 (published: test score)")
    figure.savefig(ROOT / "docs" / "fronts.png", dpi=150)


def draw_seeds(confirmed: DataFrame) -> None:
    """Test F1 of every seed of every confirmed model, with the 95 % interval of the
    mean.
    """
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    for model in records(select_most_seeds(confirmed)):
        colour = FAMILY_COLOURS.get(str(model["family"]), OTHER_FAMILY)
        errors = [1 - score for score in scores_of(model)]
        axes.scatter(
            [model[N_PARAMS]] * len(errors),
            errors,
            s=18,
            alpha=0.6,
            color=colour,
            linewidths=0,
        )
        axes.vlines(
            model[N_PARAMS],
            1 - model["test_f1_high"],
            1 - model["test_f1_low"],
            color=colour,
            linewidth=1.5,
        )
    for family in dict.fromkeys(confirmed["family"]):
        axes.scatter(
            [], [], s=18, color=FAMILY_COLOURS.get(family, OTHER_FAMILY), label=family
        )
    decorate(axes, "macro test F1")
    axes.set_title(
        "Every seed, and the 95 % interval of the mean", loc="left", fontsize=11
    )
    figure.savefig(ROOT / "docs" / "seeds.png", dpi=150)


def scores_of(model: Mapping[str, Any]) -> list[float]:
    """Of each seed; none of a model that was confirmed before the file had them."""
    scores = model.get("test_f1_of_seeds")
    return [float(score) for score in scores.split()] if isinstance(scores, str) else []


def decorate(axes: Axes, score: str) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.invert_yaxis()
    low, high = sorted(axes.get_ylim())
    ticks = [f1 for f1 in F1_TICKS if low <= 1 - f1 <= high]
    axes.set_yticks([1 - f1 for f1 in ticks], [f"{f1:g}" for f1 in ticks])
    axes.minorticks_off()
    low, high = axes.get_xlim()
    sizes = [
        size
        for power in (10, 100, 1000, 10_000)
        for size in (power, 2 * power, 5 * power)
        if low <= size <= high
    ]
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.set_xlabel("trainable parameters")
    axes.set_ylabel(score)
    axes.grid(which="major", color="#e5e5e5", linewidth=0.7)
    axes.legend(fontsize=8, loc="lower right")
