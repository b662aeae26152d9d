"""Twenty ``kill -9`` of a worker, of the parent, of both, at random moments of one
sweep, and what is left of it.
"""

import os
import random
import signal
import subprocess
import tempfile
import time
from collections import Counter
from contextlib import suppress
from os import environ

import optuna
import psutil
from bench.command import PARETUNE

from paretune.search.claims import ATTEMPT, read_worker
from paretune.search.storage import read_note
from paretune.tracking import Store, read_points
from paretune.tracking.runs import find_runs

KILLS, TRIALS = 20, 150
OVERRIDES = (
    "-m",
    "name=kills",
    "model=conv",
    "data=digits",
    "cap.max_params=9000",
    "trainer.max_epochs=12",
    "trainer.patience=null",
    "trainer.autotune=false",
    "hydra.sweeper.n_jobs=2",
    f"hydra.sweeper.n_trials={TRIALS}",
)


def start(folder: str) -> subprocess.Popen[bytes]:
    command = [*PARETUNE, "train", *OVERRIDES]
    log = open(f"{folder}/log.txt", "a")
    return subprocess.Popen(
        command, env=environ | {"PARETUNE_STORE": folder}, stdout=log, stderr=log
    )


def kill_worker(study: optuna.Study) -> bool:
    """Kill the process of a running trial, if there is one."""
    for trial in study.trials:
        if trial.state.name == "RUNNING" and read_worker(trial):
            with suppress(psutil.NoSuchProcess, ProcessLookupError):
                os.kill(read_worker(trial)["pid"], signal.SIGKILL)
                return True
    return False


def run() -> dict[str, object]:
    """How it was killed, and the state of both stores at the end."""
    rng, killed, attempts = random.Random(0), Counter(), 0
    with tempfile.TemporaryDirectory() as folder:
        parent = start(folder)
        while sum(killed.values()) < KILLS:
            time.sleep(rng.uniform(1, 14))
            with suppress(Exception):  # the study may not exist yet
                study = optuna.load_study(
                    study_name="kills", storage=f"sqlite:///{folder}/optuna.db"
                )
                what = rng.choice(("worker", "parent", "both"))
                if what != "parent" and not kill_worker(study):
                    continue
                if what != "worker":
                    parent.kill()
                killed[what] += 1
                print(
                    sum(killed.values()),
                    what,
                    Counter(t.state.name for t in study.trials),
                    flush=True,
                )
            if parent.poll() is not None or what != "worker":
                parent.wait()
                parent = start(folder)
        while parent.wait() != 0 and attempts < 3:
            attempts += 1
            parent = start(folder)
        return {"killed": dict(killed), **state_of(folder)}


def state_of(folder: str) -> dict[str, object]:
    """Counts of trials by state in Optuna and of runs in MLflow, duplicates, and trials
    whose numbers differ.
    """
    trials = optuna.load_study(
        study_name="kills", storage=f"sqlite:///{folder}/optuna.db"
    ).trials
    store = Store(f"sqlite:///{folder}/mlflow.db")
    points = {point.run_id: point for point in read_points(store, "kills")}
    runs = find_runs(store, {"kind": "trial"})
    by_number = {
        int(r.data.tags["trial"]): points[r.info.run_id]
        for r in runs
        if r.info.run_id in points
    }
    complete = [trial for trial in trials if trial.state.name == "COMPLETE"]
    return {
        "trials_wanted": TRIALS,
        "trials": dict(Counter(trial.state.name for trial in trials)),
        "trials_started_again": sum(
            (read_note(trial, ATTEMPT) or 0) > 0 for trial in trials
        ),
        "mlflow_runs": dict(Counter(run.info.status for run in runs)),
        "points_in_mlflow": len(points),
        "duplicates": len(complete)
        - len({frozenset(trial.params.items()) for trial in complete}),
        "unequal": sum(
            trial.number not in by_number
            or trial.values
            != [by_number[trial.number].params, by_number[trial.number].f1]
            for trial in complete
        ),
    }
