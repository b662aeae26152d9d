"""Trials as a pandas table."""

from collections.abc import Sequence
from math import nan

import pandas as pd

from paretune.front import costs_of, front
from paretune.reports.findings import Wanted
from paretune.tracking import Trial

__all__ = ["COLUMNS", "frame_of", "front_of"]

COLUMNS = (
    "sweep", "trial", "attempt", "state", "front", "family", "n_params", "val_f1", "val_accuracy", "val_loss", "best_epoch",
    "seconds", "images_per_s", "seed", "data", "started", "ended", "error", "run_id",
)  # fmt: skip


def frame_of(trials: Sequence[Trial]) -> pd.DataFrame:
    """A row for each trial; ``front`` says whether it is on the front of the complete ones."""
    table = pd.DataFrame([_row(trial) for trial in trials], columns=[*COLUMNS, *_searched(trials)])
    table[["started", "ended"]] = table[["started", "ended"]].apply(pd.to_datetime, unit="s", utc=True)
    table["front"] = False
    members = _members(table[table["state"] == "complete"])
    table.loc[members, "front"] = True
    return table


def front_of(table: pd.DataFrame, wanted: Wanted) -> pd.DataFrame:
    """The rows on the front of the complete trials that are wanted, by rising ``n_params``."""
    asked = table[table["state"] == "complete"]
    if wanted.max_params is not None:
        asked = asked[asked["n_params"] <= wanted.max_params]
    if wanted.min_f1 is not None:
        asked = asked[asked["val_f1"] >= wanted.min_f1]
    if wanted.families:
        asked = asked[asked["family"].isin(wanted.families)]
    return asked.loc[_members(asked)]


def _members(complete: pd.DataFrame) -> "pd.Index[int]":
    return complete.index[front(costs_of(complete["n_params"], complete["val_f1"]))]


def _searched(trials: Sequence[Trial]) -> list[str]:
    return list(dict.fromkeys(f"param.{name}" for trial in trials for name in trial.searched))


def _row(trial: Trial) -> dict[str, object]:
    p = trial.point
    return {
        "sweep": trial.sweep, "trial": trial.number, "attempt": trial.attempt, "state": trial.state, "family": p.family,
        "n_params": trial.params, "val_f1": p.f1, "val_accuracy": p.accuracy, "val_loss": p.loss,
        "best_epoch": p.best_epoch if p.best_epoch >= 0 else nan, "seconds": p.seconds, "images_per_s": trial.images_per_s,
        "seed": p.seed, "data": p.data, "started": trial.started_s, "ended": trial.ended_s, "error": trial.error,
        "run_id": p.run_id, **{f"param.{name}": value for name, value in trial.searched.items()},
    }  # fmt: skip
