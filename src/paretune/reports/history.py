"""How a sweep came to its front: its volume over trials and hours, what mattered, what was stopped early."""

from collections.abc import Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

from paretune.front import front_volume
from paretune.reports.findings import Findings, members_of
from paretune.search.importance import importances
from paretune.tracking import Store, Trial, read_curve

if TYPE_CHECKING:
    from paretune.point import Point

__all__ = ["mattering", "raced_curves", "volume_curve"]

CURVES = 60


def volume_curve(findings: Findings) -> dict[str, list[float]]:
    """The volume below the front after each complete trial, in the order they ended, and the hours since the first began."""
    complete = [trial for trial in _complete(findings) if isfinite(trial.ended_s)]  # its run may be about to be closed
    complete.sort(key=lambda trial: trial.ended_s)
    members: list[Point] = []
    volumes: list[float] = []
    for trial in complete:
        now = members_of([*members, trial.point])
        same = volumes and now == members
        volumes.append(
            volumes[-1] if same else front_volume([p.params for p in now], [p.f1 for p in now], findings.cap)
        )
        members = now
    began_s = min((trial.started_s for trial in complete), default=0.0)
    hours = [(trial.ended_s - began_s) / 3600 for trial in complete]
    return {"volume": volumes, "hours": hours, "gain": _gains(volumes)}


def _complete(findings: Findings) -> list[Trial]:
    """The trials that ended and are among the points asked for."""
    asked = {point.run_id for point in findings.points}
    return [trial for trial in findings.trials if trial.state == "complete" and trial.point.run_id in asked]


def _gains(volumes: Sequence[float]) -> list[float]:
    """Only where the curve changes: a curve over 10,000 trials has a few dozen steps."""
    return [float(i) for i, volume in enumerate(volumes) if i == 0 or volume > volumes[i - 1] or i == len(volumes) - 1]


def mattering(findings: Findings) -> dict[str, dict[str, float]]:
    """By family, how much each parameter tells trials of a high F1 from the rest; ``all families`` for what every trial has."""
    complete = _complete(findings)
    groups = {
        name: [t for t in complete if t.point.family == name] for name in sorted({t.point.family for t in complete})
    }
    if len(groups) > 1:
        groups = {"all families": complete, **groups}
    shares = {name: importances([t.searched for t in own], [t.point.f1 for t in own]) for name, own in groups.items()}
    return {name: share for name, share in shares.items() if share}


def raced_curves(findings: Findings, store: Store) -> list[dict[str, Any]]:
    """Validation F1 by epoch of the last ``CURVES`` raced trials, and of the front to compare them with."""
    raced = [trial for trial in findings.trials if trial.state == "raced"][-CURVES:]
    if not raced:
        return []
    on_front = {point.run_id for point in findings.members}
    shown = [*raced, *(trial for trial in findings.trials if trial.point.run_id in on_front)]
    return [
        _curve(trial.state == "raced", trial.number, trial.params, read_curve(store, trial.point.run_id))
        for trial in shown
    ]


def _curve(raced: bool, number: int, params: float, curve: Sequence[tuple[int, float]]) -> dict[str, Any]:
    return {
        "raced": raced,
        "number": number,
        "params": params,
        "epochs": [e for e, _ in curve],
        "f1": [f1 for _, f1 in curve],
    }
