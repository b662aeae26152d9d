"""Seconds between two trainings of one worker: from the end of one fit to the start of
the next, autotune off.
"""

import re
import statistics
import subprocess
import sys
import tempfile
from os import environ

OVERRIDES = (
    "-m",
    "name=gap",
    "model=dense",
    "data=mnist",
    "cap.max_params=20000",
    "trainer.max_epochs=1",
    "trainer.autotune=false",
    "hydra.sweeper.n_trials=8",
)


def run() -> dict[str, float]:
    """Median over trials 2 to 8, with MLflow and without."""
    return {
        "with_tracking_s": _gap_s(),
        "without_tracking_s": _gap_s(
            "tracking.uri=null", "hydra.sweeper.recorder=null"
        ),
    }


def _gap_s(*overrides: str) -> float:
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-m", "bench.gap", *OVERRIDES, *overrides],
            env=environ | {"PARETUNE_STORE": folder},
            capture_output=True,
            text=True,
            check=True,
        )
    stamps = [
        float(stamp) for stamp in re.findall(r"^FIT (\S+)$", done.stdout, re.MULTILINE)
    ]
    gaps = [
        after - before
        for before, after in zip(stamps[1::2], stamps[2::2], strict=False)
    ]
    return round(statistics.median(gaps[1:]), 2)


def _stamped() -> None:
    """``paretune train`` that prints the time when Lightning's fit begins and ends."""
    from time import perf_counter

    import pytorch_lightning as pl

    from paretune.commands.train import cli

    fit = pl.Trainer.fit

    def stamped(*args, **kwargs):
        print(f"FIT {perf_counter()}", flush=True)
        fit(*args, **kwargs)
        print(f"FIT {perf_counter()}", flush=True)

    pl.Trainer.fit = stamped
    cli()


if __name__ == "__main__":
    _stamped()
