"""Twelve trials of a 5,000-parameter squeeze space on full MNIST in one worker: time,
and where it goes.
"""

import re
import subprocess
import sys
import tempfile
from datetime import datetime
from os import environ
from pathlib import Path

from paretune.tracking import Store
from paretune.tracking.runs import find_runs

TRIALS = 12
OVERRIDES = (
    "-m",
    "name=bench",
    "model=squeeze",
    "data=mnist",
    "cap.max_params=5000",
    "trainer.max_epochs=3",
    "trainer.autotune=true",
    f"hydra.sweeper.n_trials={TRIALS}",
)


def run() -> dict[str, float]:
    """Seconds of the whole command, of the trials, and the share of training in
    them.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "paretune", "train", *OVERRIDES]
        started = datetime.now()
        done = subprocess.run(
            command,
            env=environ | {"PARETUNE_STORE": folder},
            capture_output=True,
            text=True,
            check=True,
        )
        whole_s = (datetime.now() - started).total_seconds()
        runs = find_runs(Store(f"sqlite:///{folder}/mlflow.db"), {"kind": "trial"})
        logs = [
            path.read_text() for path in Path(folder).glob("outputs/bench/*/train.log")
        ]
    training_s = sum(run.data.metrics["seconds"] for run in runs)
    trials_s = sum(
        float(seconds)
        for seconds in re.findall(r"trial \d+: .* in ([\d.]+) s", done.stdout)
    )
    return {
        "trials": len(logs),
        "whole_s": round(whole_s, 1),
        "trials_s": round(trials_s, 1),
        "training_s": round(training_s, 1),
        "overhead_per_trial_s": round((trials_s - training_s) / TRIALS, 2),
        "training_share_of_trials": round(training_s / trials_s, 3),
        "training_share_of_whole": round(training_s / whole_s, 3),
    }
