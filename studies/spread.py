"""How the first trials of a sweep are spread over what fits, under caps that bind one
layer before the others.

``python -m studies spread`` prints for every family and set of caps between which costs
models fit, in how many tenths of their logarithmic range the first :data:`STARTS`
trials are, how many different networks they have, and how many of :data:`ASKS` asks are
over a cap.
"""

import sys
import warnings
from dataclasses import dataclass

import numpy as np
import optuna
from bench.real_asks import make_spec

from paretune.search.costs import Configuration
from paretune.search.feasible_space import FeasibleSpace

STARTS = 20
ASKS = 300
DRAWS = 1500  # uniform ones, which may lie further out than the search found
FAMILIES = (
    "squeeze",
    "separable",
    "recurrent",
    "conv",
    "choice(squeeze,separable,recurrent,conv)",
)
CAPS = {
    "16,384 bytes of RAM": ("cap.max_ram_bytes=16384", "cost=macs"),
    "40,000 bytes of RAM": ("cap.max_ram_bytes=40000", "cost=macs"),
    "8,000 bytes of flash": ("cap.max_flash_bytes=8000", "cost=macs"),
    "95,000 MACs": ("cap.max_macs=95000", "cost=params"),
    "16,384 bytes of RAM, 8,000 of flash": (
        "cap.max_ram_bytes=16384",
        "cap.max_flash_bytes=8000",
        "cost=macs",
    ),
}


@dataclass(frozen=True)
class Spread:
    """Of one sweep: the least and the largest cost that fit, and what its trials
    were.
    """

    least: float
    largest: float
    tenths: int
    networks: int
    over: int


def measure_spread(arguments: tuple[str, ...]) -> Spread:
    """The spread of a sweep with these arguments."""
    spec = make_spec(arguments)
    feasible = spec.feasible
    asked = ask_all(feasible, spec.sampler)
    costs = np.array([count(feasible, params) for params in asked])
    fitting = find_costs(feasible)
    least = min(feasible.lower, fitting.min())
    largest = max(feasible.upper, fitting.max())

    shares = np.log(costs[:STARTS] / least) / np.log(largest / least)
    tenths = np.minimum((10 * shares).astype(int), 9)
    networks = {key_of(feasible, params) for params in asked[:STARTS]}
    over = int((costs > feasible.cap).sum())
    return Spread(least, largest, len(set(tenths.tolist())), len(networks), over)


def ask_all(
    feasible: FeasibleSpace, sampler: optuna.samplers.BaseSampler
) -> list[Configuration]:
    """The configurations of a study whose scores grow with the cost, and have noise."""
    study = optuna.create_study(directions=["minimize", "maximize"], sampler=sampler)
    rng = np.random.default_rng(0)
    asked: list[Configuration] = []
    for _ in range(ASKS):
        trial = study.ask()
        params = dict(trial.relative_params)
        [share] = feasible.shares_of([params])
        score = float(np.clip(0.5 + 0.45 * share + rng.normal(0, 0.03), 0, 1))
        study.tell(trial, [feasible.cost(params), score])
        asked.append(params)
    return asked


def count(feasible: FeasibleSpace, params: Configuration) -> float:
    """The counted cost."""
    assert feasible.costs is not None
    return feasible.costs.exact(params)


def key_of(
    feasible: FeasibleSpace, params: Configuration
) -> frozenset[tuple[str, object]]:
    """What of a configuration changes its network."""
    assert feasible.costs is not None
    idle = feasible.costs.find_idle(params)
    return frozenset(item for item in params.items() if item[0] not in idle)


def find_costs(feasible: FeasibleSpace) -> np.ndarray:
    """The costs of uniform draws of all branches that fit, and the least of all."""
    rng = np.random.default_rng(1)
    drawn = [
        feasible.draw_uniform(rng, choice)
        for choice in feasible.branches
        for _ in range(DRAWS)
    ]
    costs = feasible.weigh(drawn)
    return np.append(costs[costs <= feasible.cap], feasible.lower)


def run() -> dict[str, object]:
    """Figures by caps and family."""
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    figures: dict[str, object] = {}
    for caps, lines in CAPS.items():
        for family in FAMILIES:
            spread = measure_spread((f"model={family}", *lines))
            figures[f"{caps}, {family}"] = vars(spread)
            print(caps, family, vars(spread), file=sys.stderr, flush=True)
    return figures
