"""The cost of asking, and what is asked: proposals over the cap, milliseconds, the spread over the sizes.

One study of 300 trials for each sampler on the formula of ``bench.surrogates`` (five widths 2 to 64, a learning rate), and the
same with networks that are built and counted as a sweep does.
"""

import warnings
from collections.abc import Callable
from statistics import median
from time import perf_counter

import numpy as np
import optuna
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.trial import create_trial

from bench.surrogates import count, formula
from paretune import models
from paretune.search.feasible_space import FeasibleSpace
from paretune.search.front_sampler import FrontSampler
from paretune.search.samplers import FeasibleSampler
from paretune.search.space import parse_space

ASKS, CAPS = 300, (5000, 841)
SPACE = parse_space(
    [*(f"w{i}=int(interval(2,64))" for i in range(5)), "lr=tag(log,interval(0.0005,0.05))"],
    is_group=lambda _: False,
    own_space=lambda _: {},
)
Count = Callable[[dict[str, float]], int]


def built(params: dict[str, float]) -> int:
    """Parameters of a real squeeze network of these widths."""
    widths = [params[f"w{i}"] for i in range(5)]
    return models.count({"_target_": "paretune.models.squeeze.Squeeze", "widths": widths})


def feasible(base: type, cap: int, counting: Count) -> BaseSampler:
    return FeasibleSampler(lambda seed: base(seed=seed), FeasibleSpace(SPACE, counting, cap))


def asked(make: Callable[[], BaseSampler], cap: int) -> tuple[list[float], list[float]]:
    """Milliseconds of each ask (the sampler's first, which may learn how to count, included), and the costs proposed."""
    rng = np.random.default_rng(0)
    started_s, sampler, asks_ms, costs = perf_counter(), None, [], []
    sampler = make()
    study = optuna.create_study(directions=["minimize", "maximize"], sampler=sampler)
    for _ in range(ASKS):
        trial = study.ask(SPACE.everything())
        asks_ms.append((perf_counter() - started_s) * 1e3)
        cost = count(trial.params)
        trial.set_constraint("cap", (cost - cap) / cap)
        study.tell(trial, [cost, formula(trial.params, rng)])
        costs.append(cost)
        started_s = perf_counter()
    return asks_ms, costs


def tenths_hit(costs: list[float], cap: int) -> int:
    """How many tenths of log cost, from the smallest network to the cap, the first 40 trials reach."""
    smallest = count({f"w{i}": 2 for i in range(5)})
    share = np.log(np.array(costs[:40]) / smallest) / np.log(cap / smallest)
    return len(set(np.clip((share * 10).astype(int), 0, 9)))


def ask_after(n: int, counting: Count) -> float:
    """Milliseconds of an ask of ``front`` in a study with ``n`` finished trials."""
    sampler, rng = FrontSampler(FeasibleSpace(SPACE, counting, CAPS[0])), np.random.default_rng(0)
    study = optuna.create_study(directions=["minimize", "maximize"], sampler=sampler)
    for _ in range(n):
        params = sampler.feasible.spread(rng, float(rng.random()))
        values = [count(params), formula(params, rng)]
        study.add_trial(create_trial(params=params, distributions=SPACE.everything(), values=values))
    asks_ms = []
    for _ in range(5):
        started_s = perf_counter()
        trial = study.ask(SPACE.everything())
        asks_ms.append((perf_counter() - started_s) * 1e3)
        study.tell(trial, [count(trial.params), formula(trial.params, rng)])
    return round(median(asks_ms), 1)


def run() -> dict[str, object]:
    """Figures by cap and sampler."""
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    figures: dict[str, object] = {}
    for cap in CAPS:
        samplers: dict[str, Callable[[], BaseSampler]] = {
            "tpe_constraints": lambda: TPESampler(seed=0),
            "nsgaii_constraints": lambda: NSGAIISampler(seed=0),
            "feasible_random": lambda cap=cap: feasible(RandomSampler, cap, count),
            "feasible_tpe": lambda cap=cap: feasible(TPESampler, cap, count),
            "front": lambda cap=cap: FrontSampler(FeasibleSpace(SPACE, count, cap)),
            "feasible_tpe_built": lambda cap=cap: feasible(TPESampler, cap, built),
            "front_built": lambda cap=cap: FrontSampler(FeasibleSpace(SPACE, built, cap)),
        }
        for name, make in samplers.items():
            asks_ms, costs = asked(make, cap)
            figures[f"{name}_{cap}"] = {
                "ask_ms_median": round(median(asks_ms), 2),
                "first_ask_ms": round(asks_ms[0], 1),
                "over_cap_of_300": sum(cost > cap for cost in costs),
                "tenths_hit_by_40": tenths_hit(costs, cap),
            }
            print(name, cap, figures[f"{name}_{cap}"], flush=True)
    for n in (200, 1000):
        figures[f"front_ask_ms_after_{n}"] = ask_after(n, count)
        figures[f"front_built_ask_ms_after_{n}"] = ask_after(n, built)
    return figures
