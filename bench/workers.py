"""Two workers beside one: trials per hour, and the seconds of a small sweep before its
first epoch and after its last trial.
"""

import re
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from os import environ
from pathlib import Path
from statistics import median

import optuna

from bench.command import PARETUNE

TRIALS = 24
NAME = "workers"
OVERRIDES = (
    "model=conv",
    "data=mnist",
    "data.splitting.train_size=10000",
    "cap.max_params=5000",
    "trainer.max_epochs=3",
    "trainer.patience=null",
    "trainer.autotune=false",
    "trainer.memory_format=channels_last",
    "hydra/sweeper/sampler=random",
)
SMALL = ("model=conv", "data=digits", "cap.max_params=5000", "trainer.max_epochs=2")
SMALL_TRIALS = 8
# Trials of a moment, to fill a store.
MANY = (
    "model=dense",
    "data=digits",
    "data.splitting.train_size=100",
    "cap.max_params=5000",
    "trainer.max_epochs=1",
    "trainer.autotune=false",
    "hydra/sweeper/sampler=random",
)
MANY_TRIALS = 400
ROUNDS = 3
AUTOTUNE = re.compile(r"autotune chose")


@dataclass(frozen=True)
class Finished:
    """A sweep that has ended: when its command began and ended, in seconds since 1970,
    its folder, and what it printed.
    """

    began_s: float
    ended_s: float
    folder: Path
    output: str

    @property
    def seconds(self) -> float:
        """Of the whole command."""
        return self.ended_s - self.began_s

    @property
    def first_epoch_s(self) -> float:
        """From the command to the end of the first epoch of any trial: of small
        trainings a tenth of a second after its first step.
        """
        with closing(sqlite3.connect(self.folder / "mlflow.db")) as connection:
            [[at_ms]] = connection.execute(
                "SELECT MIN(timestamp) FROM metrics WHERE step = 1"
            )
        return float(at_ms / 1000 - self.began_s)

    @property
    def end_s(self) -> float:
        """From the end of the last trial to that of the command."""
        trials = read_trials(self.folder)
        last = max(trial.datetime_complete for trial in trials)
        return self.ended_s - last.timestamp()

    @property
    def has_autotuned(self) -> bool:
        """Whether a trial timed executions."""
        return any(AUTOTUNE.search(log.read_text()) for log in self._list_logs())

    def _list_logs(self) -> list[Path]:
        return list(self.folder.glob(f"outputs/{NAME}/*/train.log"))


def run() -> dict[str, float | str]:
    """Trials per hour, seconds, and the ratios."""
    return {**compare_speeds(), **compare_starts(), **measure_long_end()}


def compare_speeds() -> dict[str, float | str]:
    """Trials per hour: the same random networks, from the first trial's start to the
    last's end.
    """
    one = per_hour("hydra.sweeper.n_jobs=1", "trainer.threads=1")
    two = per_hour("hydra.sweeper.n_jobs=2", "trainer.threads=1")
    return {
        "one_worker_of_one_thread": one,
        "two_workers_of_one_thread": two,
        "two_over_one": round(two / one, 2),
    }


def compare_starts() -> dict[str, float | str]:
    """Medians of small sweeps with one worker and with two, in turns."""
    ones: list[Finished] = []
    twos: list[Finished] = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(ROUNDS):
            ones.append(_run_small(Path(folder, f"one{number}"), n_jobs=1))
            twos.append(_run_small(Path(folder, f"two{number}"), n_jobs=2))
        first = [median(sweep.first_epoch_s for sweep in of) for of in (ones, twos)]
        whole = [median(sweep.seconds for sweep in of) for of in (ones, twos)]
        ends = [median(sweep.end_s for sweep in of) for of in (ones, twos)]
        asks = re.findall("asks took .*", twos[-1].output)
        return {
            "first_epoch_of_one_s": round(first[0], 1),
            "first_epoch_of_two_s": round(first[1], 1),
            "first_epoch_two_over_one": round(first[1] / first[0], 2),
            "small_sweep_of_one_s": round(whole[0], 1),
            "small_sweep_of_two_s": round(whole[1], 1),
            "small_sweep_two_over_one": round(whole[1] / whole[0], 2),
            "end_of_one_s": round(ends[0], 1),
            "end_of_two_s": round(ends[1], 1),
            "small_sweeps_that_autotune": sum(
                sweep.has_autotuned for sweep in (*ones, *twos)
            ),
            "asks": "".join(asks),
        }


def measure_long_end() -> dict[str, float | str]:
    """The end of one more trial of a sweep that has hundreds."""
    with tempfile.TemporaryDirectory() as folder:
        sweep(Path(folder), *MANY, n_trials(MANY_TRIALS), "hydra.sweeper.n_jobs=2")
        more = sweep(Path(folder), *MANY, n_trials(MANY_TRIALS + 1))
        return {"end_after_400_trials_s": round(more.end_s, 1)}


def _run_small(folder: Path, n_jobs: int) -> Finished:
    folder.mkdir()
    return sweep(
        folder, *SMALL, n_trials(SMALL_TRIALS), f"hydra.sweeper.n_jobs={n_jobs}"
    )


def n_trials(number: int) -> str:
    return f"hydra.sweeper.n_trials={number}"


def per_hour(*overrides: str) -> float:
    with tempfile.TemporaryDirectory() as folder:
        sweep(Path(folder), *OVERRIDES, n_trials(TRIALS), *overrides)
        trials = read_trials(Path(folder))[:TRIALS]
    seconds = (
        max(t.datetime_complete for t in trials) - min(t.datetime_start for t in trials)
    ).total_seconds()
    return round(TRIALS / seconds * 3600, 1)


def sweep(folder: Path, *overrides: str) -> Finished:
    """Run a sweep whose stores and outputs are in the ``folder``."""
    began_s = time.time()
    done = subprocess.run(
        [*PARETUNE, "train", "-m", f"name={NAME}", *overrides],
        env=environ | {"PARETUNE_STORE": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    return Finished(began_s, time.time(), folder, done.stdout + done.stderr)


def read_trials(folder: Path) -> Sequence[optuna.trial.FrozenTrial]:
    """Those of the sweep that ended."""
    study = optuna.load_study(study_name=NAME, storage=f"sqlite:///{folder}/optuna.db")
    return [trial for trial in study.trials if trial.datetime_complete]
