"""A sweep with racing beside the same without: two processes at once, a core each, the
same draws (sampler ``random``).

Dense networks under 50,000 parameters on all of MNIST, 60 trials of 20 epochs.
"""

import subprocess
import tempfile
from math import log
from os import environ
from pathlib import Path

import optuna
from bench.command import PARETUNE

from paretune.front import hypervolume

TRIALS, CAP = 60, 50_000
OVERRIDES = (
    "-m",
    "name=race",
    "model=dense",
    "data=mnist",
    f"cap.max_params={CAP}",
    "trainer.max_epochs=20",
    "trainer.patience=null",
    "trainer.autotune=false",
    "trainer.precision=fp32",
    "trainer.threads=1",
    "hydra/sweeper/sampler=random",
    "hydra.sweeper.sampler.seed=2",
    f"hydra.sweeper.n_trials={TRIALS}",
)


def start(folder: Path, core: int, *overrides: str) -> subprocess.Popen[bytes]:
    command = [
        "taskset",
        "-c",
        str(core),
        *PARETUNE,
        "train",
        *OVERRIDES,
        *overrides,
    ]
    env = environ | {"PARETUNE_STORE": str(folder), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def run() -> dict[str, object]:
    """Time, F1 lost anywhere on the front, and the hypervolume of both at equal wall
    time.
    """
    with tempfile.TemporaryDirectory() as name:
        folders = [Path(name) / "plain", Path(name) / "raced"]
        processes = [
            start(folders[0], 0),
            start(folders[1], 1, "hydra.sweeper.race.eta=4"),
        ]
        for process in processes:
            process.wait()
        plain, raced = (
            optuna.load_study(
                study_name="race", storage=f"sqlite:///{folder}/optuna.db"
            ).trials[:TRIALS]
            for folder in folders
        )
    seconds, raced_seconds = wall_s(plain), wall_s(raced)
    complete = [trial.values for trial in raced if trial.values]
    lost = {
        int(params): round(
            f1 - max((g for q, g in complete if q <= params), default=0.0), 4
        )
        for params, f1 in front(plain)
    }
    at = [round(raced_seconds * share) for share in (0.25, 0.5, 0.75, 1.0)]
    return {
        "same_draws": [trial.params for trial in plain]
        == [trial.params for trial in raced],
        "stopped_early": sum(trial.state.name == "PRUNED" for trial in raced),
        "seconds": round(seconds),
        "raced_seconds": round(raced_seconds),
        "time_ratio": round(raced_seconds / seconds, 2),
        "f1_lost_by_params": lost,
        "hypervolume_at_seconds": {
            t: [round(grown(trials, t), 3) for trials in (plain, raced)] for t in at
        },
    }


def wall_s(trials: list[optuna.trial.FrozenTrial]) -> float:
    return (
        max(t.datetime_complete for t in trials) - min(t.datetime_start for t in trials)
    ).total_seconds()


def front(trials: list[optuna.trial.FrozenTrial]) -> list[tuple[float, float]]:
    members: list[tuple[float, float]] = []
    for params, f1 in sorted(
        (trial.values for trial in trials if trial.values),
        key=lambda point: (point[0], -point[1]),
    ):
        members += [(params, f1)] if not members or f1 > members[-1][1] else []
    return members


def grown(trials: list[optuna.trial.FrozenTrial], seconds: float) -> float:
    """Hypervolume of (log params, log error) of what was finished after ``seconds``."""
    start = min(trial.datetime_start for trial in trials)
    done = [
        t.values
        for t in trials
        if t.values and (t.datetime_complete - start).total_seconds() <= seconds
    ]
    return (
        hypervolume(
            [(log(params), log(1 - f1)) for params, f1 in done], (log(CAP), 0.0)
        )
        if done
        else 0.0
    )
