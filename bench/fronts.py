"""What the search added, and how scores spread over seeds: the two pictures of ``docs/front.md``, from the store.

Beside the record sweep stand as many random feasible trials of the same space, and the known networks that the record sweep
started from. ``RECORD`` and ``RANDOM`` name the two sweeps.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from hydra import compose, initialize_config_dir
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from paretune.front import LEAST_ERROR, front_volume
from paretune.paths import CONF
from paretune.reports.figure import F1_TICKS, FAMILY_COLOURS, GRADES, OTHER_FAMILY
from paretune.reports.findings import Query, SweepResults, find
from paretune.tracking import Store, read_confirmations, read_trials
from paretune.tracking.read import complete_rows, front_rows

RECORD, RANDOM = os.environ.get("RECORD", "record"), os.environ.get("RANDOM", "record_random")
STORE = Path(os.environ.get("PARETUNE_STORE", "mlruns"))
DOCS = Path(__file__).parents[1] / "docs"
COLOURS = {"search": "#0072b2", "random": "#e69f00", "known networks": "#555555"}


def run() -> dict[str, object]:
    """Volumes, F1 at each size and hours of the three; spread of the confirmed models over seeds."""
    store = Store(f"sqlite:///{STORE}/mlflow.db").require()
    results = find(store, [RECORD], Query())
    search, random = (read_trials(store, name) for name in (RECORD, RANDOM))
    fronts = {"search": search, "random": random, "known networks": search[search["trial"] < starts()]}
    draw_fronts(fronts, results, DOCS / "fronts.png")
    seeds = read_confirmations(store, RECORD)
    if len(seeds):
        draw_seeds(seeds, results, DOCS / "seeds.png")
    cap = results.cap
    complete = {name: complete_rows(trials) for name, trials in fronts.items()}
    sizes = [reference.params for reference in results.references if reference.params <= (cap or np.inf)]
    return {
        "volume": {name: round(front_volume(t["n_params"], t["val_f1"], cap), 4) for name, t in complete.items()},
        "val_f1_at": {str(s): {n: best_at(t, s) for n, t in complete.items()} for s in sorted(set(sizes))},
        "trials": {name: int(trials["state"].isin(["complete", "raced"]).sum()) for name, trials in fronts.items()},
        "core_hours": {name: core_hours(trials) for name, trials in fronts.items()},
        "sd_over_seeds": {str(row.n_params): round(row.test_f1_sd, 5) for row in results.confirmed.itertuples()},
    }


def starts() -> int:
    """Trials that the record sweep began with."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("train", [f"sweeps={RECORD}"], return_hydra_config=True)
    return len(config.hydra.sweeper.start)


def best_at(trials: DataFrame, params: int) -> float:
    return round(float(trials.loc[trials["n_params"] <= params, "val_f1"].max()), 4)


def core_hours(trials: DataFrame) -> float:
    return round(float((trials["ended"] - trials["started"]).dt.total_seconds().sum() / 3600), 2)


def draw_fronts(fronts: Mapping[str, DataFrame], results: SweepResults, path: Path) -> None:
    """The three fronts of validation F1 and the published points, and how the volume grew trial by trial."""
    figure = Figure(figsize=(11, 4.8), layout="constrained")
    sizes, growth = figure.subplots(1, 2, width_ratios=[1.5, 1])
    for name, trials in fronts.items():
        members, colour = front_rows(complete_rows(trials)), COLOURS[name]
        errors = np.maximum(1 - members["val_f1"], LEAST_ERROR)
        sizes.step(
            members["n_params"],
            errors,
            where="post",
            color=colour,
            linewidth=1.4,
            marker="o",
            markersize=3.5,
            label=name,
        )
        if name != "known networks":
            growth.plot(*volumes(trials, results.cap), color=colour, label=name)
    for grade, (marker, label) in GRADES.items():
        points = [r for r in results.references if r.grade == grade and r.params <= (results.cap or np.inf)]
        style = {"color": "#888888"} if marker == "x" else {"facecolors": "none", "edgecolors": "#888888"}
        errors = [1 - r.score for r in points]
        sizes.scatter([r.params for r in points], errors, marker=marker, s=24, label=label, **style)  # type: ignore[arg-type]
    decorate(sizes, "macro validation F1 (published: test score)")
    sizes.set_title("Fronts", loc="left", fontsize=11)
    growth.set_xlabel("trials")
    growth.set_ylabel("volume under the front, decades²")
    growth.set_title("What each trial added", loc="left", fontsize=11)
    growth.grid(color="#e5e5e5", linewidth=0.7)
    growth.legend(fontsize=8)
    figure.savefig(path, dpi=150)


def volumes(trials: DataFrame, cap: int | None) -> tuple[list[int], list[float]]:
    """Trials that ended, in the order of their ends, and the volume after each."""
    ended = trials[trials["state"].isin(["complete", "raced"])].sort_values("ended")
    is_complete = ended["state"] == "complete"
    parts = [ended[:n][is_complete[:n]] for n in range(1, len(ended) + 1)]
    return [*range(1, len(ended) + 1)], [front_volume(part["n_params"], part["val_f1"], cap) for part in parts]


def draw_seeds(seeds: DataFrame, results: SweepResults, path: Path) -> None:
    """Test F1 of every seed of every confirmed model, with the 95 % interval of the mean."""
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    for model in results.confirmed.itertuples():
        of_model = seeds[(seeds["confirms"] == model.run_id) & (seeds["how"] == model.how)]
        colour = FAMILY_COLOURS.get(str(model.family), OTHER_FAMILY)
        axes.scatter(
            [model.n_params] * len(of_model), 1 - of_model["test_f1"], s=18, alpha=0.6, color=colour, linewidths=0
        )
        axes.vlines(model.n_params, 1 - model.test_f1_high, 1 - model.test_f1_low, color=colour, linewidth=1.5)
    for family in dict.fromkeys(results.confirmed["family"]):
        axes.scatter([], [], s=18, color=FAMILY_COLOURS.get(family, OTHER_FAMILY), label=family)
    decorate(axes, "macro test F1")
    axes.set_title("Every seed, and the 95 % interval of the mean", loc="left", fontsize=11)
    figure.savefig(path, dpi=150)


def decorate(axes: Axes, score: str) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.invert_yaxis()
    low, high = sorted(axes.get_ylim())
    ticks = [f1 for f1 in F1_TICKS if low <= 1 - f1 <= high]
    axes.set_yticks([1 - f1 for f1 in ticks], [f"{f1:g}" for f1 in ticks])
    axes.minorticks_off()
    axes.xaxis.set_major_formatter(lambda cost, _: f"{cost:,.0f}")
    axes.set_xlabel("trainable parameters")
    axes.set_ylabel(score)
    axes.grid(which="major", color="#e5e5e5", linewidth=0.7)
    axes.legend(fontsize=8, loc="lower right")
