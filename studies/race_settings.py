"""Racing on recorded curves: what each setting would have saved and lost, and how a
raced trial teaches the sampler best.

The curves are those of random draws of the space of ``sweeps/record.yaml`` under 4,000
parameters, all trained to the end (``bench/curves.csv``; ``python -m studies race_settings``
records what is missing, hours, and goes on where it was).
"""

import os
import subprocess
import sys
from itertools import product
from math import log
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import spearmanr

from paretune.front import LEAST_ERROR, front, front_volume
from paretune.search.racing import Race, stays
from paretune.search.surrogate import Surrogate
from paretune.tracking import Store, read_trials
from paretune.tracking.read import read_curve

TRIALS, CAP, EPOCHS = 60, 4000, 27
CURVES = Path(__file__).with_name("curves.csv")
STORE = Path(os.environ.get("PARETUNE_STORE", "mlruns")) / "curves"
RUNGS = ((3,), (3, 9), (2, 8), (2, 6, 18), (9,))
Floats = NDArray[np.float64]


def run() -> dict[str, object]:
    """Share of the epochs, hypervolume kept and the largest F1 lost by setting; errors
    of predictions by way of teaching.
    """
    curves = recorded()
    settings = product(RUNGS, (2, 3, 4), (0.0, 0.15, 0.3))
    races = {
        f"rungs {rungs}, eta {eta}, margin {margin}": replayed(
            curves, rungs, eta, margin
        )
        for rungs, eta, margin in settings
    }
    return {"trials": len(curves), "races": races, "teaching": teaching(curves)}


def recorded() -> pd.DataFrame:
    """Validation F1 after each epoch, a row a trial in the order of their numbers; the
    first column is the parameters.
    """
    if not CURVES.is_file():
        record()
        store = Store(f"sqlite:///{STORE}/mlflow.db")
        table = read_trials(store, "curves")
        table = table[table["state"] == "complete"].sort_values("trial")
        curves = {
            row.run_id: dict(read_curve(store, row.run_id))
            for row in table.itertuples()
        }
        frame = (
            pd.DataFrame.from_dict(curves, orient="index")
            .reset_index(drop=True)
            .round(5)
        )
        frame.insert(0, "params", table["n_params"].to_numpy())
        frame.insert(1, "family", table["family"].to_numpy())
        frame.to_csv(CURVES, index=False)
    return pd.read_csv(CURVES)


def record() -> None:
    overrides = (
        "sweeps=record",
        "name=curves",
        f"cap.max_params={CAP}",
        f"trainer.max_epochs={EPOCHS}",
        "hydra/sweeper/sampler=random",
        "hydra.sweeper.race.eta=null",
        "hydra.sweeper.start=null",
        f"hydra.sweeper.n_trials={TRIALS}",
    )
    env = os.environ | {"PARETUNE_STORE": str(STORE)}
    subprocess.run(
        [sys.executable, "-m", "paretune", "train", *overrides], env=env, check=True
    )


def replayed(
    curves: pd.DataFrame, rungs: tuple[int, ...], eta: int, margin: float
) -> dict[str, float]:
    """One race, the trials one after another."""
    race = Race(eta, 1, 1, margin)
    seen: dict[int, list[tuple[float, float]]] = {rung: [] for rung in rungs}
    epochs, finished = 0, []
    for row in curves.itertuples(index=False):
        scores = dict(zip(range(1, EPOCHS + 1), row[2:], strict=True))
        reached = EPOCHS
        for rung in rungs:
            seen[rung].append((row.params, 1 - scores[rung]))
            if not stays(seen[rung], len(seen[rung]) - 1, race):
                reached = rung
                break
        epochs += reached
        finished += [(row.params, max(scores.values()))] if reached == EPOCHS else []
    everything = np.column_stack([curves["params"], curves.iloc[:, 2:].max(axis=1)])
    kept = np.array(finished)
    best = everything[front(everything * (1, -1))]
    lost = [f1 - max(kept[kept[:, 0] <= params, 1], default=0.0) for params, f1 in best]
    volumes = [
        front_volume(points[:, 0], points[:, 1], CAP) for points in (kept, everything)
    ]
    shares = {
        "epochs": epochs / (EPOCHS * len(curves)),
        "volume": volumes[0] / volumes[1],
    }
    return {
        **{name: round(float(share), 3) for name, share in shares.items()},
        "most_f1_lost": round(float(max(lost)), 4),
    }


def teaching(
    curves: pd.DataFrame, rung: int = 3, splits: int = 40
) -> dict[str, dict[str, float]]:
    """Predictions of the final log error of trials left out, where a third is known to
    the end and a third at the rung only.

    ``value``: what a trial had at the rung, with the epoch as a feature, as the sampler
    has it; ``rank``: the final error that trials of its rank at the rung had;
    ``neither``: raced trials teach nothing.
    """
    errors = np.log(np.clip(1 - curves[[str(rung)]].to_numpy(), LEAST_ERROR, None))[
        :, 0
    ]
    final = np.log(
        np.clip(1 - curves.iloc[:, 2:].max(axis=1).to_numpy(), LEAST_ERROR, None)
    )
    rows = np.column_stack(
        [
            pd.get_dummies(curves["family"]).to_numpy(float),
            np.log(curves["params"]) / log(CAP),
        ]
    )
    outcomes: dict[str, list[tuple[float, float]]] = {
        "value": [],
        "rank": [],
        "neither": [],
    }
    for seed in range(splits):
        whole, raced, left = np.array_split(
            np.random.default_rng(seed).permutation(len(curves)), 3
        )
        for way, found in outcomes.items():
            predicted = prediction(
                way, rows, errors, final, (whole, raced, left), 1 / rung
            )
            found.append(
                (
                    spearmanr(predicted, final[left])[0],
                    float(np.sqrt(np.mean((predicted - final[left]) ** 2))),
                )
            )
    return {
        way: {
            "rho": round(float(np.median(found, axis=0)[0]), 3),
            "rmse": round(float(np.median(found, axis=0)[1]), 3),
        }
        for way, found in outcomes.items()
    }


def prediction(
    way: str,
    rows: Floats,
    errors: Floats,
    final: Floats,
    parts: tuple[Floats, ...],
    early: float,
) -> Floats:
    whole, raced, left = parts
    at_end = np.column_stack([rows, np.zeros(len(rows))])
    at_rung = np.column_stack([rows, np.full(len(rows), early)])
    if way == "neither":
        known, losses = at_end[whole], final[whole]
    elif way == "value":
        known = np.concatenate([at_end[whole], at_rung[whole], at_rung[raced]])
        losses = np.concatenate([final[whole], errors[whole], errors[raced]])
    else:
        guessed = np.interp(
            errors[raced], np.sort(errors[whole]), np.sort(final[whole])
        )
        known, losses = (
            np.concatenate([at_end[whole], at_end[raced]]),
            np.concatenate([final[whole], guessed]),
        )
    return Surrogate(known, losses).predict(at_end[left])[0]
