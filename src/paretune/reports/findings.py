"""What the reports show of one or several sweeps: read once, filtered once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite, nan
from pathlib import Path
from typing import Any

import pandas as pd

from paretune.errors import ConfigError, StoreError
from paretune.front import Point, costs_of, front
from paretune.reports.confirmed import Confirmed, Reference, confirmed, read_references
from paretune.tracking import Store, Trial, read_confirmations, read_trials


def finite(value: Any) -> Any:
    """The same with null for every number that JSON has no word for."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not isfinite(value) else value


@dataclass(frozen=True)
class Query:
    """Which models a person asks for: size, validation F1, families; with ``confirmed`` those alone, by their test F1."""

    max_params: int | None = None
    min_f1: float | None = None
    families: tuple[str, ...] = ()
    confirmed: bool = False

    def __post_init__(self) -> None:
        if self.min_f1 is not None and not 0 <= self.min_f1 <= 1:
            message = f"--min-f1 `{self.min_f1:g}` is no fraction; expected 0 to 1, such as 0.99; set --min-f1"
            raise ConfigError(message)

    @property
    def part(self) -> str:
        """What is asked for as the name of a folder, such as ``max-params=5000,min-f1=0.97``; empty for all models."""
        parts = {"max-params": self.max_params, "min-f1": self.min_f1, "family": "+".join(self.families) or None}
        words = [f"{name}={value}" for name, value in parts.items() if value is not None]
        return ",".join([*(["confirmed"] if self.confirmed else []), *words])

    def admits(self, point: Point) -> bool:
        """Whether the model is one of them."""
        return (
            (self.max_params is None or point.params <= self.max_params)
            and (self.min_f1 is None or point.f1 >= self.min_f1)
            and (not self.families or point.family in self.families)
        )


@dataclass(frozen=True)
class SweepResults:
    """Sweeps, and what was asked of them.

    ``trials`` are all that were asked for, in any state; ``points`` the complete ones, ``members`` those on their front by
    rising parameter count. ``confirmed`` holds what was trained again by run id.
    """

    sweeps: Sequence[str]
    wanted: Query
    trials: Sequence[Trial]
    points: Sequence[Point]
    members: Sequence[Point]
    confirmed: Sequence[Confirmed]
    references: Sequence[Reference]
    cap: int | None

    @property
    def title(self) -> str:
        """One line for a heading."""
        what = "confirmed models" if self.wanted.confirmed else "complete trials"
        return f"{', '.join(self.sweeps)}: {len(self.members)} of {len(self.points)} {what} are on the front"

    @property
    def score(self) -> str:
        """What ``f1`` of the points is."""
        return "test F1, mean of the seeds" if self.wanted.confirmed else "validation F1"

    @property
    def split(self) -> str:
        """The images that ``f1`` and ``accuracy`` of the points were read on: ``val`` or ``test``."""
        return "test" if self.wanted.confirmed else "val"

    def run(self, prefix: str) -> Point:
        """The point whose run id starts with ``prefix``; of a model confirmed in several ways the best.

        Raises :class:`~paretune.errors.ConfigError` if there is none, or more than one.
        """
        ranked = sorted(self.points, key=lambda point: point.f1)
        found = list({point.run_id: point for point in ranked if point.run_id.startswith(prefix)}.values())
        if len(found) != 1:
            raise ConfigError(
                f"--run `{prefix}` fits {len(found)} complete trials of {', '.join(self.sweeps)}; expected one; "
                f"see the run column of paretune-pareto"
            )
        return found[0]


def find(store: Store, sweeps: Sequence[str], wanted: Query, references: Path) -> SweepResults:
    """Read the sweeps; ``references`` is the folder of published points by data set.

    Raises :class:`~paretune.errors.StoreError` if a sweep is not there, or has nothing that was asked for.
    """
    trials = read_trials(store, *sweeps)
    complete = [trial.point for trial in trials if trial.state == "complete" and isfinite(trial.point.f1)]
    again = confirmed(complete, read_confirmations(store, *sweeps))
    known = [replace(one.point, f1=one.f1.mean, accuracy=one.accuracy.mean) for one in again]
    points = [point for point in (known if wanted.confirmed else complete) if wanted.admits(point)]
    if not points:
        raise StoreError(_nothing(sweeps, wanted, len(complete), len(known)))
    caps = {point.config.get("cap", {}).get("max_params") for point in points}
    datas = {point.data for point in points}
    published = read_references(references / f"{datas.pop()}.yaml") if len(datas) == 1 else []
    return SweepResults(
        sweeps, wanted, [trial for trial in trials if trial.state != "complete" or wanted.admits(trial.point)],
        points, members_of(points), again, published, caps.pop() if len(caps) == 1 else None,
    )  # fmt: skip


def members_of(points: Sequence[Point]) -> list[Point]:
    """Those on the front, by rising parameter count."""
    return [points[i] for i in front(costs_of([p.params for p in points], [p.f1 for p in points]))]


def _nothing(sweeps: Sequence[str], wanted: Query, complete: int, again: int) -> str:
    names = ", ".join(sweeps)
    if wanted.confirmed and not again:
        return f"sweep `{names}` has no confirmed model; expected at least one; run paretune-confirm {names} first"
    return (
        f"sweep `{names}` has no finished trial that was asked for ({complete} finished in all); expected at least one; "
        f"widen --max-params, --min-f1 and --family, or let the sweep run on"
    )


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


def front_of(table: pd.DataFrame, wanted: Query) -> pd.DataFrame:
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


SHAPING = ("stem", "width", "steps", "pooled", "five", "one", "three", "merged")  # what a family has instead of widths


def layers_of(point: Point) -> str:
    """The settings that shape the network, in short: ``8-12-12 k3 batch`` is its widths, kernels and norm."""
    model = point.config.get("model", {})
    words = ["-".join(str(width) for width in model["widths"])] if model.get("widths") else []
    words += [f"{name} {_joined(model[name])}" for name in SHAPING if model.get(name)]
    words += [f"k{_joined(model['kernel_size'])}"] if "kernel_size" in model else []
    words += [model["norm"]] if model.get("norm", "none") != "none" else []
    words += [f"{name} {_joined(model[name])}" for name in ("neck", "head") if model.get(name)]
    return " ".join(words)


def _joined(value: Any) -> str:
    return "-".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
