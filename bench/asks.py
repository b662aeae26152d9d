"""The cost of asking, and what is asked: proposals over the cap, milliseconds, the
spread over the sizes.

One study of 300 trials for each sampler on the formula of ``studies.surrogates`` (five
widths 2 to 64, a learning rate), and the same with networks that are built and counted
as a sweep does.
"""

import warnings
from collections.abc import Callable
from functools import partial
from statistics import median
from time import perf_counter

import numpy as np
import optuna
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.trial import create_trial
from studies.surrogates import count, formula

from paretune import models
from paretune.search.caps import Caps
from paretune.search.costs import Count
from paretune.search.feasible_sampler import FeasibleSampler
from paretune.search.feasible_space import FeasibleSpace
from paretune.search.front_sampler import FrontSampler
from paretune.search.space_parser import parse_space

ASKS, CAPS = 300, (5000, 841)
TWO = Caps({"params": 5000, "ram_bytes": 40_000}, "params")
SPACE = parse_space(
    [
        *(f"w{i}=int(interval(2,64))" for i in range(5)),
        "lr=tag(log,interval(0.0005,0.05))",
    ],
    is_group=lambda _: False,
    own_space=lambda _: {},
)


def built(params: dict[str, float]) -> int:
    """Parameters of a real squeeze network of these widths."""
    widths = [params[f"w{i}"] for i in range(5)]
    return models.count(
        {"_target_": "paretune.models.squeeze.Squeeze", "widths": widths}
    )


def measured(params: dict[str, float]) -> dict[str, object]:
    """All costs of it, of RAM what is in use at each operation."""
    widths = [params[f"w{i}"] for i in range(5)]
    shape = {"image_shape": [1, 28, 28]}
    footprint = models.measure(
        {"_target_": "paretune.models.squeeze.Squeeze", "widths": widths, **shape}
    )
    return {
        "params": footprint.costs["params"],
        "ram_bytes": footprint.values["ram_bytes"],
    }


def feasible(base: type, cap: int | Caps, counting: Count) -> BaseSampler:
    return FeasibleSampler(
        lambda seed: base(seed=seed), FeasibleSpace(SPACE, counting, cap)
    )


def asked(
    make: Callable[[], BaseSampler], cap: int
) -> tuple[list[float], list[dict[str, float]]]:
    """Milliseconds of each ask (the sampler's first, which may learn how to count,
    included), and what was proposed.
    """
    rng = np.random.default_rng(0)
    started_s, sampler, asks_ms, proposals = perf_counter(), None, [], []
    sampler = make()
    study = optuna.create_study(directions=["minimize", "maximize"], sampler=sampler)
    for _ in range(ASKS):
        trial = study.ask(SPACE.all_distributions())
        asks_ms.append((perf_counter() - started_s) * 1e3)
        cost = count(trial.params)
        trial.set_constraint("cap", (cost - cap) / cap)
        study.tell(trial, [cost, formula(trial.params, rng)])
        proposals.append(trial.params)
        started_s = perf_counter()
    return asks_ms, proposals


def tenths_hit(costs: list[float], cap: int) -> int:
    """How many tenths of log cost, from the smallest network to the cap, the first 40
    trials reach.
    """
    smallest = count({f"w{i}": 2 for i in range(5)})
    share = np.log(np.array(costs[:40]) / smallest) / np.log(cap / smallest)
    return len(set(np.clip((share * 10).astype(int), 0, 9)))


def ask_after(n: int, counting: Count) -> float:
    """Milliseconds of an ask of ``front`` in a study with ``n`` finished trials."""
    sampler, rng = (
        FrontSampler(FeasibleSpace(SPACE, counting, CAPS[0])),
        np.random.default_rng(0),
    )
    study = optuna.create_study(directions=["minimize", "maximize"], sampler=sampler)
    for _ in range(n):
        params = sampler.feasible.draw_at_share(rng, float(rng.random()))
        values = [count(params), formula(params, rng)]
        study.add_trial(
            create_trial(
                params=params, distributions=SPACE.all_distributions(), values=values
            )
        )
    asks_ms = []
    for _ in range(5):
        started_s = perf_counter()
        trial = study.ask(SPACE.all_distributions())
        asks_ms.append((perf_counter() - started_s) * 1e3)
        study.tell(trial, [count(trial.params), formula(trial.params, rng)])
    return round(median(asks_ms), 1)


def under_two_caps() -> dict[str, object]:
    """The same of real networks under a cap of parameters alone, and under one of RAM
    beside it.
    """
    figures: dict[str, object] = {}
    for base, make in {
        "feasible_tpe": partial(feasible, TPESampler),
        "front": _front,
    }.items():
        for name, cap, counting in (
            ("one_cap", 5000, built),
            ("two_caps", TWO, measured),
        ):
            asks_ms, proposals = asked(partial(make, cap, counting), 5000)
            over = [
                {c: max(np.atleast_1d(v)) for c, v in measured(params).items()}
                for params in proposals
            ]
            figures[f"{base}_{name}"] = {
                "ask_ms_median": round(median(asks_ms), 2),
                "first_ask_ms": round(asks_ms[0], 1),
                "over_a_cap_of_300": sum(
                    any(costs[c] > most for c, most in TWO.most.items())
                    for costs in over
                ),
            }
            print(base, name, figures[f"{base}_{name}"], flush=True)
    return figures


def _front(cap: int | Caps, counting: Count) -> BaseSampler:
    return FrontSampler(FeasibleSpace(SPACE, counting, cap))


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
            "front_built": lambda cap=cap: FrontSampler(
                FeasibleSpace(SPACE, built, cap)
            ),
        }
        for name, make in samplers.items():
            asks_ms, proposals = asked(make, cap)
            costs = list(map(count, proposals))
            figures[f"{name}_{cap}"] = {
                "ask_ms_median": round(median(asks_ms), 2),
                "first_ask_ms": round(asks_ms[0], 1),
                "over_cap_of_300": sum(cost > cap for cost in costs),
                "tenths_hit_by_40": tenths_hit(costs, cap),
            }
            print(name, cap, figures[f"{name}_{cap}"], flush=True)
    figures |= under_two_caps()
    for n in (200, 1000):
        figures[f"front_ask_ms_after_{n}"] = ask_after(n, count)
        figures[f"front_built_ask_ms_after_{n}"] = ask_after(n, built)
    return figures
