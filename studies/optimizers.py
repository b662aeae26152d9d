"""Which optimizer brings a tiny network furthest in so many epochs: validation F1 and
time, each at its best learning rate.

The rate of a network and an optimizer is the best of four after six epochs, seed 0.
Every finished training is a line of ``studies/optimizers.csv``; a second run goes on
after them.
"""

import csv
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from bench.nets import BATCH_SIZE, mnist

from paretune import models, schema
from paretune.paths import CONF

NETS: dict[str, dict[str, Any]] = {
    "separable 4 + 4-5-6-5": {
        "_target_": "separable.Separable",
        "stem": 4,
        "widths": [4, 5, 6, 5],
    },
    "separable 6 + 5-9-10-8": {
        "_target_": "separable.Separable",
        "stem": 6,
        "widths": [5, 9, 10, 8],
    },
    "squeeze 2-2-3-4-3": {"_target_": "squeeze.Squeeze", "widths": [2, 2, 3, 4, 3]},
    "squeeze 4-4-5-6-6": {"_target_": "squeeze.Squeeze", "widths": [4, 4, 5, 6, 6]},
    "squeeze 4-6-6-8-8": {"_target_": "squeeze.Squeeze", "widths": [4, 6, 6, 8, 8]},
    "conv 4-4-4": {
        "_target_": "conv.Conv",
        "widths": [4, 4, 4],
        "pool_after": [2, 3],
        "neck": 1,
    },
    "recurrent 6, 13 x 3": {"_target_": "recurrent.Recurrent", "stem": 6, "width": 13},
    "recurrent 8, 18 x 3": {"_target_": "recurrent.Recurrent", "width": 18},
}
RATES = {
    "adamw": (0.01, 0.02, 0.04, 0.08),
    "nadam": (0.01, 0.02, 0.04, 0.08),
    "soap": (0.01, 0.02, 0.04, 0.08),
    "full_matrix": (0.02, 0.04, 0.08, 0.16),
}
EPOCHS, RATE_EPOCHS, SEEDS = (3, 6, 12, 30), 6, (0, 1, 2)
TRAININGS = Path(__file__).with_suffix(".csv")
FIELDS = (
    "net",
    "parameters",
    "optimizer",
    "lr",
    "epochs",
    "seed",
    "val_f1",
    "train_loss",
    "seconds",
)
Job = tuple[str, str, float, int, int]  # net, optimizer, learning rate, epochs, seed


def run() -> dict[str, object]:
    """Medians over seeds, means of those over networks, by epochs and optimizer; how
    many networks each is best on.

    Medians, since one network is dead from its first weights on with one of the seeds,
    whatever the optimizer.
    """
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        train_missing(
            pool,
            [
                (*pair, lr, RATE_EPOCHS, 0)
                for pair in product(NETS, RATES)
                for lr in RATES[pair[1]]
            ],
        )
        train_missing(pool, list(jobs_at_best_rate()))
    return summary()


def summary() -> dict[str, object]:
    medians = (
        at_best_rate()
        .groupby(["net", "epochs", "optimizer"])[["val_f1", "train_loss", "seconds"]]
        .median()
    )
    wins = medians["val_f1"].unstack().idxmax(axis=1).groupby("epochs").value_counts()
    table = medians.groupby(["epochs", "optimizer"]).mean().round(4)
    best = wins.rename("best on").reindex(table.index, fill_value=0)
    return {
        f"{epochs} epochs, {name}": row
        for (epochs, name), row in table.join(best).to_dict("index").items()
    }


def train_missing(pool: ProcessPoolExecutor, jobs: Sequence[Job]) -> None:
    done = {
        tuple(row)
        for row in finished()[["net", "optimizer", "lr", "epochs", "seed"]].itertuples(
            index=False
        )
    }
    with TRAININGS.open("a", newline="") as file:
        for row in pool.map(train, [job for job in jobs if job not in done]):
            csv.DictWriter(file, FIELDS).writerow(row)
            file.flush()


def finished() -> pd.DataFrame:
    if not TRAININGS.is_file():
        TRAININGS.write_text(",".join(FIELDS) + "\n")
    return pd.read_csv(TRAININGS)


def best_rates() -> pd.Series:
    trials = finished().query("epochs == @RATE_EPOCHS and seed == 0")
    return trials.loc[
        trials.groupby(["net", "optimizer"])["val_f1"].idxmax()
    ].set_index(["net", "optimizer"])["lr"]


def jobs_at_best_rate() -> Iterator[Job]:
    rates = best_rates()
    for epochs, seed, (net, optimizer) in product(EPOCHS, SEEDS, product(NETS, RATES)):
        yield net, optimizer, float(rates[net, optimizer]), epochs, seed


def at_best_rate() -> pd.DataFrame:
    return finished().merge(best_rates().reset_index(), on=["net", "optimizer", "lr"])


@cache
def image_data() -> Any:
    torch.set_num_threads(1)
    return mnist()


def train(job: Job) -> dict[str, object]:
    from hydra import compose, initialize_config_dir
    from hydra.utils import instantiate

    from paretune.training.execution import Execution
    from paretune.training.fit import fit, seed_everything
    from paretune.training.settings import Training

    net_name, optimizer, lr, epochs, seed = job
    schema.register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose(
            "train",
            [f"optimizer={optimizer}", f"optimizer.lr={lr}", "scheduler=cosine"],
        )
    factories = {
        "optimizer": instantiate(config.optimizer),
        "schedule": instantiate(config.scheduler),
    }
    data = image_data()
    seed_everything(seed)
    model = NETS[net_name]
    net = models.build({**model, "_target_": f"paretune.models.{model['_target_']}"})
    training = Training(
        **factories,
        seed=seed,
        max_epochs=epochs,
        batch_size=BATCH_SIZE,
        patience=None,
        autotune=False,
    )
    trained = fit(net, data, training, execution=Execution("batch_last", threads=1))
    parameters = sum(weight.numel() for weight in net.parameters())
    scores = (
        round(trained.best.val_f1, 5),
        round(trained.best.train_loss, 5),
        round(trained.seconds, 2),
    )
    return dict(zip(FIELDS, (net_name, parameters, *job[1:], *scores), strict=True))
