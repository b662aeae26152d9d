"""Search quality and cost of asking, on a formula instead of training: hypervolume against the number of trials.

The formula stands for training five convolutions (widths 2 to 64, cap 5,000): the error falls with every layer's log width,
less the wider it is, most where the layers are balanced; the learning rate has a best value that depends on the size; noise
is that of a seed.
"""

import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import pairwise
from time import perf_counter

import numpy as np
import optuna
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler

from paretune.front import hypervolume
from paretune.search.drawing import Drawing
from paretune.search.feasible import FeasibleSampler
from paretune.search.front_sampler import FrontSampler
from paretune.search.space import parse_space

CAP, SEEDS, BUDGETS = 5000, 10, (50, 100, 200)
SPACE = parse_space(
    [*(f"w{i}=tag(log,int(interval(2,64)))" for i in range(5)), "lr=tag(log,interval(0.0005,0.05))"],
    is_group=lambda _: False,
    own_space=lambda _: {},
)


def count(params: dict[str, float]) -> int:
    """Five 3x3 convolutions without bias, their batch norms, and ten maps at the end."""
    channels = [1, *(params[f"w{i}"] for i in range(5)), 10]
    return sum(9 * a * b for a, b in pairwise(channels)) + 2 * sum(channels[1:-1])


def score(params: dict[str, float], rng: np.random.Generator) -> float:
    """F1 between 0.1 and 0.996."""
    depth = np.log([params[f"w{i}"] for i in range(5)])
    capacity = (depth * (0.8, 1.0, 1.2, 1.0, 1.1)).sum() - 0.35 * depth.std() * 5
    best_lr = np.log(0.02) - 0.12 * capacity
    log_error = -0.36 * capacity - 0.4 + 0.18 * (np.log(params["lr"]) - best_lr) ** 2 + rng.normal(0, 0.05)
    return 1 - float(np.clip(np.exp(log_error), 0.004, 0.9))


def feasible(base: type, seed: int) -> BaseSampler:
    return FeasibleSampler(lambda derived: base(seed=derived), Drawing(SPACE, count, CAP), seed=seed)


SAMPLERS: dict[str, Callable[[int], BaseSampler]] = {
    "front": lambda seed: FrontSampler(Drawing(SPACE, count, CAP), seed=seed),
    "feasible_random": lambda seed: feasible(RandomSampler, seed),
    "feasible_tpe": lambda seed: feasible(TPESampler, seed),
    "tpe_constraints": lambda seed: TPESampler(seed=seed),
    "nsgaii_constraints": lambda seed: NSGAIISampler(seed=seed),
}


def curve(name: str, seed: int) -> tuple[list[float], list[float], int]:
    """Hypervolume of (log params, log error) after each trial that fits, seconds of each ask, and how many did not fit.

    An over-cap proposal of Optuna's own samplers costs them a trial, as it is closed with its constraint.
    """
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    rng, sampler = np.random.default_rng(seed + 1000), SAMPLERS[name](seed)
    study = optuna.create_study(directions=["minimize", "maximize"], sampler=sampler)
    points: list[tuple[float, float]] = []
    grown, asks, over = [], [], 0
    for _ in range(max(BUDGETS)):
        started_s = perf_counter()
        trial = study.ask(SPACE.everything())
        asks.append(perf_counter() - started_s)
        params = count(trial.params)
        if name.endswith("constraints"):
            trial.set_constraint("cap", (params - CAP) / CAP)
        f1 = score(trial.params, rng) if params <= CAP else 0.0
        study.tell(trial, [params, f1])
        over += params > CAP
        points += [(np.log(params), np.log(1 - f1))] if params <= CAP else []
        grown.append(hypervolume(points, (np.log(CAP), 0.0)) if points else 0.0)
    return grown, asks, over


def run() -> dict[str, object]:
    """Median and quartiles of ten seeds, median milliseconds of an ask, proposals over the cap."""
    figures = {}
    for name in SAMPLERS:
        with ProcessPoolExecutor(2) as pool:
            results = list(pool.map(partial(curve, name), range(SEEDS)))
        grown = np.array([result[0] for result in results])
        quartiles = {str(n): np.percentile(grown[:, n - 1], (25, 50, 75)).round(3).tolist() for n in BUDGETS}
        asks_ms = np.array([result[1] for result in results]) * 1e3
        figures[name] = {
            "hypervolume_quartiles_after": quartiles,
            "ask_ms_median": round(float(np.median(asks_ms)), 1),
            "ask_ms_median_of_last_20": round(float(np.median(asks_ms[:, -20:])), 1),
            "over_cap_of_200": float(np.median([result[2] for result in results])),
        }
        print(name, figures[name], flush=True)
    return figures
