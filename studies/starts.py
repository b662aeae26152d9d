"""Fifty sweeps of two workers, each on a store that does not exist yet: making both
databases must never fail.
"""

import subprocess
import tempfile
from os import environ

from bench.command import PARETUNE

STARTS = 50
OVERRIDES = (
    "-m",
    "name=start",
    "model=dense",
    "data=digits",
    "cap.max_params=9000",
    "trainer.max_epochs=1",
    "trainer.autotune=false",
    "hydra.sweeper.n_jobs=2",
    "hydra.sweeper.n_trials=2",
)


def run() -> dict[str, int]:
    """How many of the starts ended well."""
    good = 0
    for number in range(STARTS):
        with tempfile.TemporaryDirectory() as folder:
            command = [
                *PARETUNE,
                "train",
                *OVERRIDES,
            ]
            done = subprocess.run(
                command,
                env=environ | {"PARETUNE_STORE": folder},
                capture_output=True,
                text=True,
                check=False,
            )
            good += (
                done.returncode == 0
                and "ends with 2 trials: its total is reached" in done.stdout
            )
        print(number + 1, good, flush=True)
    return {"starts": STARTS, "good": good}
