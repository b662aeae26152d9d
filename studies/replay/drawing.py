"""The picture of a comparison.

Lines are dashed from the eleventh on, as there are ten colours; the legend has the best
first.
"""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from studies.replay.comparison import MOMENTS, QUARTILES, Result

SHOWN_FROM = 0.05  # share of the time: before, volumes are of a handful of trials


def draw(results: Sequence[Result], path: Path) -> None:
    """Medians over seeds as lines, quartiles as bands."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    panel = figure.subplots()
    colours = mpl.colormaps["tab10"].colors
    plan = results[0].plan
    hours = np.linspace(plan["hours"] / MOMENTS, plan["hours"], MOMENTS)
    shown = hours >= SHOWN_FROM * plan["hours"]
    ordered = sorted(results, key=lambda one: -one.find_quartiles(1.0)[1])
    for index, result in enumerate(ordered):
        low, middle, high = np.percentile(result.volumes, QUARTILES, axis=0)
        colour = colours[index % len(colours)]
        line = "-" if index < len(colours) else "--"
        panel.plot(hours[shown], middle[shown], line, color=colour, label=result.policy)
        panel.fill_between(
            hours[shown], low[shown], high[shown], color=colour, alpha=0.15, lw=0
        )
    panel.set(
        title=f"{plan['data']}, {plan['workers']} workers",
        xlabel="simulated hours",
        ylabel="hypervolume, decades of cost times decades of error",
    )
    panel.grid(alpha=0.3)
    panel.legend(loc="lower right")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
