"""What the reports show of one or several sweeps: read once, filtered once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path

from paretune.errors import ConfigError, StoreError
from paretune.front import costs_of, front
from paretune.point import Point
from paretune.reports.confirmed import Confirmed, confirmed
from paretune.reports.references import Reference, read_references
from paretune.tracking import Store, Trial, read_confirmations, read_trials

__all__ = ["Findings", "Wanted", "find", "members_of"]


@dataclass(frozen=True)
class Wanted:
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
class Findings:
    """Sweeps, and what was asked of them.

    ``trials`` are all that were asked for, in any state; ``points`` the complete ones, ``members`` those on their front by
    rising parameter count. ``confirmed`` holds what was trained again by run id.
    """

    sweeps: Sequence[str]
    wanted: Wanted
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
            message = (
                f"--run `{prefix}` fits {len(found)} complete trials of {', '.join(self.sweeps)}; expected one; "
                f"see the run column of paretune-pareto"
            )
            raise ConfigError(message)
        return found[0]


def find(store: Store, sweeps: Sequence[str], wanted: Wanted, references: Path) -> Findings:
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
    return Findings(
        sweeps, wanted, [trial for trial in trials if trial.state != "complete" or wanted.admits(trial.point)],
        points, members_of(points), again, published, caps.pop() if len(caps) == 1 else None,
    )  # fmt: skip


def members_of(points: Sequence[Point]) -> list[Point]:
    """Those on the front, by rising parameter count."""
    return [points[i] for i in front(costs_of([p.params for p in points], [p.f1 for p in points]))]


def _nothing(sweeps: Sequence[str], wanted: Wanted, complete: int, again: int) -> str:
    names = ", ".join(sweeps)
    if wanted.confirmed and not again:
        return f"sweep `{names}` has no confirmed model; expected at least one; run paretune-confirm {names} first"
    return (
        f"sweep `{names}` has no finished trial that was asked for ({complete} finished in all); expected at least one; "
        f"widen --max-params, --min-f1 and --family, or let the sweep run on"
    )
