"""Peak memory of a worker on MNIST."""

import subprocess
import sys
import tempfile
from os import environ

PEAK = "import resource; print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"


def run() -> dict[str, float]:
    """Gigabytes of resident memory at the peak of two trials, for a small and for the
    largest published network.
    """
    small = ["model=squeeze", "cap.max_params=5000"]
    large = [
        "model=conv",
        "space=null",
        "+space={seed: 'choice(0,1)'}",
        "model.padding=valid",
        "model.widths=[32,64]",
        "model.pool_after=[2]",
        "model.head=[128]",
    ]
    return {"squeeze_5k_gb": _peak_gb(small), "conv_1200k_gb": _peak_gb(large)}


def _peak_gb(overrides: list[str]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        sweep = [
            "-m",
            "data=mnist",
            "data.splitting.train_size=5000",
            "trainer.max_epochs=1",
            "hydra.sweeper.n_trials=2",
        ]
        command = [sys.executable, "-m", "paretune", "train", *sweep, *overrides]
        code = (
            f"import subprocess; subprocess.run({command!r}, check=True, "
            f"stdout=subprocess.DEVNULL); {PEAK}"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environ | {"PARETUNE_STORE": folder},
            capture_output=True,
            text=True,
            check=True,
        )
    return round(int(done.stdout.split()[-1]) * 1024 / 1e9, 2)
