"""Makes ``mnist_trials.csv``: 300 real trainings on MNIST, spread evenly over the
sizes, for the surrogate of ``studies.search``.

Five 3x3 convolutions with batch norm and global average pooling (``squeeze``, pools
after the first and the third), 5,000 training and 2,000 validation images, 4 epochs,
AdamW with a cosine schedule, one seed. Started again, it goes on.
"""

import csv
import subprocess
import sys
from os import environ

from bench.command import PARETUNE

from paretune.tracking import Store, read_points
from studies.surrogates import CAP, SPACE, TRIALS

WIDTHS = [f"model.widths.{i}=tag(log,int(interval(2,64)))" for i in range(5)]
OVERRIDES = (
    "-m",
    "name=mnist_trials",
    "model=squeeze",
    "model.pool_after=[1,3]",
    "model.dropout=0.0",
    *WIDTHS,
    "optimizer.lr=tag(log,interval(0.0005,0.05))",
    f"cap.max_params={CAP}",
    "data=mnist",
    "data.splitting.train_size=5000",
    "data.splitting.val_size=2000",
    "trainer.max_epochs=4",
    "trainer.patience=null",
    "trainer.autotune=false",
    "trainer.memory_format=channels_last",
    "trainer.threads=1",
    "hydra.sweeper.n_trials=300",
    "hydra.sweeper.sampler.n_startup=300",
    "hydra.sweeper.n_jobs=2",
)


def main(store: str) -> None:
    """Run the sweep in the folder ``store`` and write its points."""
    command = [*PARETUNE, "train", *OVERRIDES]
    subprocess.run(command, env=environ | {"PARETUNE_STORE": store}, check=True)
    points = read_points(Store(f"sqlite:///{store}/mlflow.db"), "mnist_trials")
    with TRIALS.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*SPACE.all_distributions(), "params", "f1"])
        for point in points:
            rate = point.config["optimizer"]["lr"]
            writer.writerow(
                [
                    *point.config["model"]["widths"],
                    f"{rate:.6g}",
                    point.params,
                    f"{point.f1:.5f}",
                ]
            )


if __name__ == "__main__":
    main(sys.argv[1])
