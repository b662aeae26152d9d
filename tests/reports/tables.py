"""Tables of trials and of confirmations that need no store."""

from collections.abc import Sequence
from math import nan
from typing import Any

from pandas import DataFrame, to_datetime

from paretune.reports.confirmed import Reference, summarize_trainings
from paretune.reports.findings import SweepResults
from paretune.reports.query import Query
from paretune.tracking.trial_table import complete_rows, front_rows

REFERENCE = Reference(
    "known <net>", 300, 0.9, "honest", "somewhere", metric="accuracy", label=True
)
TRAININGS = (
    "confirms",
    "seed",
    "how",
    "val_f1",
    "test_f1",
    "test_accuracy",
    "seconds",
    "run_id",
)


def trial(
    number: int,
    params: int,
    f1: float,
    family: str = "conv",
    state: str = "complete",
    **more: Any,
) -> dict[str, Any]:
    """A row of the table of trials."""
    model = {"_target_": "paretune.models.conv.Conv", "widths": [4, 4]}
    return {
        "sweep": "demo",
        "trial": number,
        "attempt": 0,
        "state": state,
        "front": False,
        "family": family,
        "model": family,
        "n_params": params,
        "macs": 10.0 * params,
        "ram_bytes": 3136.0 + params % 64,
        "flash_bytes": 4.0 * params,
        "cost": "params",
        "val_f1": f1,
        "val_accuracy": f1,
        "val_loss": nan,
        "best_epoch": 3,
        "seconds": 2.0,
        "images_per_s": 100.0,
        "val_images": 400.0,
        "val_effective_images": 400.0,
        "val_f1_se": (f1 * (1 - f1) / 400) ** 0.5,
        "seed": 0,
        "layers": "",
        "data": "digits",
        "started": 10.0 * number,
        "ended": 10.0 * number + 5,
        "error": "",
        "run_id": f"{number:032x}",
        "searched": {
            "model.widths.0": str(params % 7),
            "optimizer.lr": f"{0.001 * (number + 1):g}",
        },
        "config": {"model": model},
        "experiment_id": "7",
        **more,
    }


def table_of(rows: Sequence[dict[str, Any]]) -> DataFrame:
    """The table that :func:`paretune.tracking.read_trials` would give."""
    table = DataFrame(rows, columns=list(trial(0, 1, 0.5))).astype(
        {"n_params": float, "val_f1": float, "front": bool}
    )
    for name in ("started", "ended"):
        table[name] = to_datetime(table[name].astype(float), unit="s", utc=True)
    table.loc[front_rows(complete_rows(table)).index, "front"] = True
    return table


def training(
    seed: int, test_f1: float, how: str = "3 epochs", run: str = f"{0:032x}"
) -> tuple[Any, ...]:
    """A row of the table of trainings that confirm."""
    return run, seed, how, 0.95, test_f1, test_f1 + 0.01, 10.0 * seed, f"{run}{seed}"


def confirmed_of(
    rows: Sequence[dict[str, Any]], *trainings: tuple[Any, ...]
) -> DataFrame:
    """What the trainings say of these trials."""
    return summarize_trainings(table_of(rows), DataFrame(trainings, columns=TRAININGS))


def results_of(
    rows: Sequence[dict[str, Any]], *trainings: tuple[Any, ...], **more: Any
) -> SweepResults:
    """The results of a sweep with these trials."""
    return SweepResults(
        **{
            "sweeps": ["demo"],
            "query": Query(),
            "table": table_of(rows),
            "confirmed": confirmed_of(rows, *trainings),
            "references": [REFERENCE],
            "caps": {"n_params": 1000},
            **more,
        }
    )
