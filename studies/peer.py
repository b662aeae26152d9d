"""A peer of today beside ``paretune train -m``: who has how much of the front after so
many seconds.

The peer is what people write: plain Lightning, a DataLoader, Optuna's TPE with a
constraint, MLFlowLogger. Both search the space of ``conf/model/squeeze.yaml`` under
5,000 parameters, five epochs a trial, on a core of their own, at the same time.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from paretune.front import front_volume
from paretune.tracking import read_trials
from paretune.tracking.store import Store

CAP, EPOCHS, BATCH_SIZE = 5000, 5, 128
SECONDS = int(os.environ.get("PEER_S", "1500"))
# Seconds since the command began, volume below the front.
Curve = list[tuple[float, float]]


def run() -> dict[str, object]:
    """Volumes at the end, the time at which each first has the other's final one,
    trials.
    """
    with tempfile.TemporaryDirectory() as folder:
        commands = {
            "peer": [sys.executable, "-W", "ignore", "-m", "studies.peer", folder],
            "paretune": [
                sys.executable,
                "-m",
                "paretune",
                "train",
                "-m",
                "name=bench",
                "model=squeeze",
                "data=mnist",
                f"cap.max_params={CAP}",
                f"trainer.max_epochs={EPOCHS}",
                "trainer.patience=null",
                "hydra.sweeper.n_trials=100000",
            ],
        }
        started_s = time.time()
        processes = [
            alone(command, core, folder)
            for core, command in enumerate(commands.values())
        ]
        time.sleep(SECONDS)
        for process in processes:
            process.terminate()
        for process in processes:
            ended(process)
        curves = {
            "peer": volumes(peer_trials(Path(folder)), started_s),
            "paretune": volumes(our_trials(folder), started_s),
        }
    ends = {name: curve[-1][1] for name, curve in curves.items()}
    reached_s = {
        "peer": reached(curves["peer"], ends["paretune"]),
        "paretune": reached(curves["paretune"], ends["peer"]),
    }
    return {
        "seconds": SECONDS,
        "trials": {name: len(curve) for name, curve in curves.items()},
        "final_volume": {name: round(volume, 4) for name, volume in ends.items()},
        "has_the_other's_final_volume_after_s": reached_s,
        "volume_after_s": {
            f"{s}": {name: at(curve, s) for name, curve in curves.items()}
            for s in (100, 200, 500, 1000, 1500)
        },
        "sooner": round(SECONDS / reached_s["paretune"], 1)
        if reached_s["paretune"]
        else None,
    }


def alone(command: Sequence[str], core: int, folder: str) -> "subprocess.Popen[bytes]":
    env = os.environ | {"PARETUNE_STORE": f"{folder}/ours", "OMP_NUM_THREADS": "1"}
    log = open(Path(folder) / f"{core}.log", "w")
    return subprocess.Popen(
        ["taskset", "-c", str(core), *command], env=env, stdout=log, stderr=log
    )


def ended(process: "subprocess.Popen[bytes]") -> None:
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()


def our_trials(folder: str) -> Iterator[tuple[float, int, float]]:
    table = read_trials(Store(f"sqlite:///{folder}/ours/mlflow.db"), "bench")
    for row in table[table["state"] == "complete"].itertuples():
        yield row.ended.timestamp(), int(row.n_params), row.val_f1


def peer_trials(folder: Path) -> Iterator[tuple[float, int, float]]:
    import optuna

    for trial in optuna.load_study(
        study_name="peer", storage=f"sqlite:///{folder}/peer.db"
    ).trials:
        if trial.state.name == "COMPLETE":
            yield (
                trial.datetime_complete.timestamp(),
                int(trial.values[0]),
                trial.values[1],
            )


def volumes(trials: Iterator[tuple[float, int, float]], started_s: float) -> Curve:
    curve: Curve = []
    params, f1 = [], []
    for ended_s, count, score in sorted(trials):
        params.append(count)
        f1.append(score)
        curve.append((ended_s - started_s, front_volume(params, f1, CAP)))
    return curve


def reached(curve: Curve, volume: float) -> float | None:
    return next(
        (round(seconds) for seconds, reached in curve if reached >= volume), None
    )


def at(curve: Curve, seconds: float) -> float:
    return round(
        max((volume for ended_s, volume in curve if ended_s <= seconds), default=0.0), 4
    )


def peer(folder: str) -> None:
    """The peer's whole program."""
    import optuna
    import pytorch_lightning as pl
    import torch
    from bench.nets import mnist
    from pytorch_lightning.loggers import MLFlowLogger
    from torch.utils.data import DataLoader, TensorDataset
    from torchmetrics.classification import MulticlassF1Score

    from paretune.models import build
    from paretune.models.tracing import count_parameters

    torch.set_num_threads(1)
    data = mnist()
    scaling = data.make_scaling("standard")
    train, val = (
        TensorDataset(scaling(split.pixels.float()), split.labels)
        for split in (data.train, data.val)
    )

    class Net(pl.LightningModule):
        def __init__(self, net: torch.nn.Module, lr: float) -> None:
            super().__init__()
            self.net, self.lr, self.f1 = net, lr, MulticlassF1Score(10)

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            loss = torch.nn.functional.cross_entropy(self.net(batch[0]), batch[1])
            self.log("train_loss", loss)
            return loss

        def validation_step(self, batch: Any, batch_idx: int) -> None:
            self.f1(self.net(batch[0]), batch[1])
            self.log("val_f1", self.f1)

        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.AdamW(self.parameters(), self.lr)
            schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
                optimizer, EPOCHS * len(train) // BATCH_SIZE
            )
            return {
                "optimizer": optimizer,
                "lr_scheduler": {"scheduler": schedule, "interval": "step"},
            }

    def objective(trial: optuna.Trial) -> tuple[int, float]:
        ends = (32, 32, 48, 48, 48)
        widths = [
            trial.suggest_int(f"width{i}", 2, end, log=True)
            for i, end in enumerate(ends)
        ]
        dropout, lr = (
            trial.suggest_float("dropout", 0.0, 0.1),
            trial.suggest_float("lr", 0.002, 0.03, log=True),
        )
        net = build(
            {
                "_target_": "paretune.models.squeeze.Squeeze",
                "widths": widths,
                "dropout": dropout,
            }
        )
        params = count_parameters(net)
        trial.set_constraint("cap", (params - CAP) / CAP)
        if params > CAP:
            return params, 0.0
        logger = MLFlowLogger("peer", tracking_uri=f"sqlite:///{folder}/peer_mlflow.db")
        logger.log_hyperparams(trial.params | {"params": params})
        trainer = pl.Trainer(
            max_epochs=EPOCHS,
            accelerator="cpu",
            logger=logger,
            enable_progress_bar=False,
            default_root_dir=folder,
        )
        trainer.fit(
            Net(net, lr),
            DataLoader(train, BATCH_SIZE, shuffle=True),
            DataLoader(val, 500),
        )
        return params, float(trainer.callback_metrics["val_f1"])

    sampler = optuna.samplers.TPESampler(seed=0)
    storage = f"sqlite:///{folder}/peer.db"
    study = optuna.create_study(
        study_name="peer",
        storage=storage,
        directions=["minimize", "maximize"],
        sampler=sampler,
    )
    study.optimize(objective)


if __name__ == "__main__":
    peer(sys.argv[1])
