"""Stores, sweeps and trials as tests leave them."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from paretune.front import Point
from paretune.tracking import (
    RunRecorder,
    Store,
    SweepRecorder,
)

POINT = Point(
    costs={"params": 120, "macs": 900, "ram_bytes": 160, "flash_bytes": 480},
    f1=0.91,
    accuracy=0.92,
    loss=0.3,
    seconds=1.5,
    seed=4,
    family="conv",
    data="rows",
    best_epoch=2,
    config={"seed": 4, "model": {"widths": [2, 3]}},
)


def start_sweep(store: Store, name: str = "small") -> SweepRecorder:
    recorder = SweepRecorder(
        {"uri": store.uri, "artifacts": store.artifacts, "experiment": store.experiment}
    )
    recorder.start(name, {"cap": 1000})
    return recorder


def run_trial(
    store: Store,
    tmp_path: Path,
    number: int = 0,
    sweep: str = "small",
    attempt: int = 0,
) -> str:
    tags = {
        "kind": "trial",
        "sweep": sweep,
        "trial": str(number),
        "data": "rows",
        "attempt": str(attempt),
    }
    weights = tmp_path / "weights.pt"
    weights.write_bytes(b"weights")
    again = ("sweep", "trial") if attempt else ()
    with RunRecorder(
        store,
        f"{sweep}-{number}",
        tags=tags,
        searched={"model.widths.0": "2"},
        replaces=again,
    ) as run:
        run.start(POINT)
        run.epoch(1, {"val_f1": 0.5})
        run.epoch(2, {"val_f1": 0.91})
        run.finish(POINT, {"images_per_s": 10.0}, [weights])
    return run.run_id


def finished(store: Store, number: int, params: int, f1: float) -> str:
    tags = {"kind": "trial", "sweep": "small", "trial": str(number), "data": "rows"}
    with RunRecorder(store, f"small-{number}", tags=tags, searched={}) as run:
        point = replace(POINT, costs={"params": params}, f1=f1)
        run.start(point)
        run.finish(point, {}, [])
    return run.run_id


def copied(store: Store) -> tuple[Store, str]:
    """A store that this process has not opened yet (MLflow keeps what it has), and its
    file.
    """
    store.create()
    path = str(store.file.with_name("other.db"))
    with (
        closing(sqlite3.connect(store.file)) as source,
        closing(sqlite3.connect(path)) as target,
    ):
        source.backup(target)
    return Store(f"sqlite:///{path}", store.artifacts, store.experiment), path
