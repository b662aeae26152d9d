"""Trials per hour of two workers beside one: the same twenty-four random networks, from
the first trial's start to the last's end.
"""

import subprocess
import tempfile
from os import environ

import optuna

from bench.command import PARETUNE

TRIALS = 24
OVERRIDES = (
    "-m",
    "name=workers",
    "model=conv",
    "data=mnist",
    "data.splitting.train_size=10000",
    "cap.max_params=5000",
    "trainer.max_epochs=3",
    "trainer.patience=null",
    "trainer.autotune=false",
    "trainer.memory_format=channels_last",
    "hydra/sweeper/sampler=random",
    f"hydra.sweeper.n_trials={TRIALS}",
)


def run() -> dict[str, float]:
    """Trials per hour, and the ratios."""
    figures = {
        "one_worker_of_one_thread": per_hour(
            "hydra.sweeper.n_jobs=1", "trainer.threads=1"
        ),
        "two_workers_of_one_thread": per_hour(
            "hydra.sweeper.n_jobs=2", "trainer.threads=1"
        ),
    }
    two = figures["two_workers_of_one_thread"]
    figures["two_over_one"] = round(two / figures["one_worker_of_one_thread"], 2)
    return figures


def per_hour(*overrides: str) -> float:
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *PARETUNE,
            "train",
            *OVERRIDES,
            *overrides,
        ]
        subprocess.run(
            command,
            env=environ | {"PARETUNE_STORE": folder},
            capture_output=True,
            check=True,
        )
        trials = optuna.load_study(
            study_name="workers", storage=f"sqlite:///{folder}/optuna.db"
        ).trials[:TRIALS]
    seconds = (
        max(t.datetime_complete for t in trials) - min(t.datetime_start for t in trials)
    ).total_seconds()
    return round(TRIALS / seconds * 3600, 1)
