"""Search quality: hypervolume against the number of trials, on a formula and on a model
of real MNIST trainings.
"""

import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from time import perf_counter

import matplotlib as mpl
import numpy as np
import optuna
from matplotlib.figure import Figure
from optuna.samplers import (
    BaseSampler,
    GPSampler,
    NSGAIISampler,
    RandomSampler,
    TPESampler,
)

from paretune.front import hypervolume
from paretune.search.feasible_sampler import FeasibleSampler
from paretune.search.feasible_space import FeasibleSpace
from paretune.search.front_sampler import FrontSampler
from studies.surrogates import CAP, SPACE, Score, count, fit_of_mnist, formula, mnist

SEEDS, BUDGETS = 10, (50, 100, 200)
SLOW = {"gp_constraints": (3, 50)}  # seeds and trials: it takes seconds an ask
SURROGATES: dict[str, Score] = {"formula": formula, "mnist": mnist}
PICTURE = Path(__file__).parents[1] / "docs" / "search.png"


def feasible(base: type, seed: int) -> BaseSampler:
    return FeasibleSampler(
        lambda derived: base(seed=derived), FeasibleSpace(SPACE, count, CAP), seed=seed
    )


SAMPLERS: dict[str, Callable[[int], BaseSampler]] = {
    "front": lambda seed: FrontSampler(FeasibleSpace(SPACE, count, CAP), seed=seed),
    "feasible_tpe": lambda seed: feasible(TPESampler, seed),
    "feasible_random": lambda seed: feasible(RandomSampler, seed),
    "tpe_constraints": lambda seed: TPESampler(seed=seed),
    "nsgaii_constraints": lambda seed: NSGAIISampler(seed=seed),
    "gp_constraints": lambda seed: GPSampler(seed=seed),
}
LABELS = {
    "front": "front",
    "feasible_tpe": "TPE, feasible wrapper",
    "feasible_random": "random, feasible wrapper",
    "tpe_constraints": "Optuna's TPE, constraints",
    "nsgaii_constraints": "Optuna's NSGA-II, constraints",
    "gp_constraints": "Optuna's GP, constraints",
}


def curve(
    name: str, score: Score, trials: int, seed: int
) -> tuple[list[float], list[float], int]:
    """Hypervolume of (log params, log error) after each trial, milliseconds of each
    ask, and how many did not fit.

    An over-cap proposal of Optuna's own samplers costs them a trial: it is closed with
    its constraint and no score.
    """
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    rng, sampler = np.random.default_rng(seed + 1000), SAMPLERS[name](seed)
    study = optuna.create_study(directions=["minimize", "maximize"], sampler=sampler)
    points: list[tuple[float, float]] = []
    grown, asks_ms, over = [], [], 0
    for _ in range(trials):
        started_s = perf_counter()
        trial = study.ask(SPACE.all_distributions())
        asks_ms.append((perf_counter() - started_s) * 1e3)
        params = count(trial.params)
        if name.endswith("constraints"):
            trial.set_constraint("cap", (params - CAP) / CAP)
        f1 = score(trial.params, rng) if params <= CAP else 0.0
        study.tell(trial, [params, f1])
        over += params > CAP
        points += [(np.log(params), np.log(1 - f1))] if params <= CAP else []
        grown.append(hypervolume(points, (np.log(CAP), 0.0)) if points else 0.0)
    return grown, asks_ms, over


def compared(name: str, score: Score) -> tuple[np.ndarray, dict[str, object]]:
    """The curves ``(seeds, trials)`` of a sampler, and its figures."""
    seeds, trials = SLOW.get(name, (SEEDS, max(BUDGETS)))
    with ProcessPoolExecutor(2) as pool:
        results = list(pool.map(partial(curve, name, score, trials), range(seeds)))
    grown = np.array([result[0] for result in results])
    asks_ms = np.array([result[1] for result in results])
    figures = {
        "seeds": seeds,
        "hypervolume_quartiles_after": {
            str(n): np.percentile(grown[:, n - 1], (25, 50, 75)).round(3).tolist()
            for n in BUDGETS
            if n <= trials
        },
        "ask_ms_median": round(float(np.median(asks_ms)), 1),
        "ask_ms_median_of_last_20": round(float(np.median(asks_ms[:, -20:])), 1),
        f"over_cap_of_{trials}": float(np.median([result[2] for result in results])),
    }
    print(name, figures, flush=True)
    return grown, figures


def run() -> dict[str, object]:
    """Median and quartiles of the seeds, milliseconds of an ask, proposals over the
    cap; draws ``docs/search.png``.
    """
    figures: dict[str, object] = {"fit_of_mnist": fit_of_mnist()}
    curves: dict[str, dict[str, np.ndarray]] = {}
    for surrogate, score in SURROGATES.items():
        print(f"-- {surrogate}", flush=True)
        found = {name: compared(name, score) for name in SAMPLERS}
        curves[surrogate] = {name: grown for name, (grown, _) in found.items()}
        figures[surrogate] = {name: figures for name, (_, figures) in found.items()}
    draw(curves)
    return figures


def draw(curves: dict[str, dict[str, np.ndarray]]) -> None:
    """Medians as lines, quartiles as bands, a panel for each surrogate."""
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    panels = figure.subplots(1, len(curves))
    colours = dict(zip(LABELS, mpl.colormaps["tab10"].colors, strict=False))
    for panel, (surrogate, of) in zip(panels, curves.items(), strict=True):
        for name, grown in of.items():
            low, middle, high = np.percentile(grown, (25, 50, 75), axis=0)
            trials = np.arange(1, len(middle) + 1)
            panel.plot(
                trials,
                middle,
                color=colours[name],
                label=LABELS[name],
                linewidth=2 if name == "front" else 1.3,
            )
            panel.fill_between(
                trials, low, high, color=colours[name], alpha=0.15, linewidth=0
            )
        panel.set(title=TITLES[surrogate], xlabel="trials", xlim=(1, max(BUDGETS)))
        panel.set_ylim(bottom=float(np.median(of["feasible_random"][:, 9])) * 0.6)
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("hypervolume of (log params, log error)")
    panels[-1].legend(fontsize=8, loc="lower right")
    figure.savefig(PICTURE, dpi=110)


TITLES = {"formula": "a formula", "mnist": "a model of 300 MNIST trainings"}
