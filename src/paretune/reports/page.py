"""``report.html``: one file with everything in it, so that it opens without a network."""

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from itertools import chain
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jinja2 import Environment, PackageLoader
from plotly.offline import get_plotlyjs
from torch import nn

from paretune.errors import ConfigError
from paretune.front import Point, front_volume
from paretune.models import build
from paretune.reports.figure import F1_TICKS, FAMILY_COLOURS, GRADES, LEAST_SHOWN_ERROR, OTHER_FAMILY
from paretune.reports.findings import SweepResults, finite, layers_of, members_of
from paretune.search.importance import importances
from paretune.tracking import Store, Trial, read_curve

if TYPE_CHECKING:
    from paretune.front import Point


def layer_list(point: Point) -> str:
    """Every layer in order, such as ``conv 3x3 1>8, relu, batch norm 8, pool 2, ... dense 40>10``; shared ones once.

    Falls back on :func:`layers_of` where the family is not there any more.
    """
    try:
        with torch.device("meta"):
            net = build(point.config["model"])
    except (ConfigError, KeyError):
        return layers_of(point)
    leaves = (module for module in net.modules() if not any(module.children()))
    return ", ".join(_named(leaf) for leaf in leaves if not isinstance(leaf, UNSAID))


def _conv(layer: Any) -> str:
    kind = "depthwise conv" if layer.groups == layer.in_channels > 1 else "conv"
    return f"{kind} {'x'.join(map(str, layer.kernel_size))} {layer.in_channels}>{layer.out_channels}"


UNSAID = (nn.Identity, nn.Flatten, nn.Dropout, nn.Dropout2d)  # nothing of it is left in a trained network

NAMES: dict[type[nn.Module], Callable[[Any], str]] = {
    nn.Conv2d: _conv,
    nn.Linear: lambda layer: f"dense {layer.in_features}>{layer.out_features}",
    nn.MaxPool2d: lambda layer: f"pool {layer.kernel_size}",
    nn.LeakyReLU: lambda layer: "leaky relu",
    nn.AdaptiveAvgPool2d: lambda layer: "average of each map",
    nn.BatchNorm2d: lambda layer: f"batch norm {layer.num_features}",
    nn.BatchNorm1d: lambda layer: f"batch norm {layer.num_features}",
}


def _named(leaf: nn.Module) -> str:
    return NAMES[type(leaf)](leaf) if type(leaf) in NAMES else type(leaf).__name__.lower()


CURVES = 60


def volume_curve(findings: SweepResults) -> dict[str, list[float]]:
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


def _complete(findings: SweepResults) -> list[Trial]:
    """The trials that ended and are among the points asked for."""
    asked = {point.run_id for point in findings.points}
    return [trial for trial in findings.trials if trial.state == "complete" and trial.point.run_id in asked]


def _gains(volumes: Sequence[float]) -> list[float]:
    """Only where the curve changes: a curve over 10,000 trials has a few dozen steps."""
    return [float(i) for i, volume in enumerate(volumes) if i == 0 or volume > volumes[i - 1] or i == len(volumes) - 1]


def family_importances(findings: SweepResults) -> dict[str, dict[str, float]]:
    """By family, how much each parameter tells trials of a high F1 from the rest; ``all families`` for what every trial has."""
    complete = _complete(findings)
    groups = {
        name: [t for t in complete if t.point.family == name] for name in sorted({t.point.family for t in complete})
    }
    if len(groups) > 1:
        groups = {"all families": complete, **groups}
    shares = {name: importances([t.searched for t in own], [t.point.f1 for t in own]) for name, own in groups.items()}
    return {name: share for name, share in shares.items() if share}


def raced_curves(findings: SweepResults, store: Store) -> list[dict[str, Any]]:
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


FAILED_SHOWN = 50

Families = Mapping[str, list[Point]]


def write_page(findings: SweepResults, store: Store, path: Path, ui: str) -> None:
    """Write the page; ``ui`` is where the MLflow UI will be when a reader clicks on a point."""
    families = _families(findings)
    template = Environment(loader=PackageLoader("paretune.reports"), autoescape=True).get_template("page.html")
    text = template.render(
        title=findings.title,
        score=findings.score,
        facts=_facts(findings),
        data=_embedded(_data(findings, families, store, ui)),
        confirmed=findings.confirmed,
        isfinite=isfinite,
        families=families,
        failed=[trial for trial in findings.trials if trial.state == "failed"][-FAILED_SHOWN:],
        published=bool(findings.references),
        middle=findings.members[len(findings.members) // 2].params,
        n_failed=_count(findings, "failed"),
        plotly=get_plotlyjs(),
        script=(Path(__file__).parent / "templates/page.js").read_text(),
        layers_of=layers_of,
        sweep=shlex.quote(",".join(findings.sweeps)),
    )
    path.write_text(text)


def _data(findings: SweepResults, families: Families, store: Store, ui: str) -> dict[str, Any]:
    """What the page's script draws."""
    trials = {trial.point.run_id: trial for trial in findings.trials}
    return {
        "points": [_shown(point, trials.get(point.run_id)) for point in findings.points],
        "spelt": _spelt(findings, families),
        "references": [asdict(reference) for reference in findings.references],
        "grades": {grade: label for grade, (_, label) in GRADES.items()},
        "colours": {**FAMILY_COLOURS, "": OTHER_FAMILY},
        "ticks": F1_TICKS,
        "leastShownError": LEAST_SHOWN_ERROR,
        "cap": findings.cap,
        "score": findings.score,
        "ui": ui.rstrip("/"),
        "volume": volume_curve(findings),
        "mattered": family_importances(findings),
        "raced": raced_curves(findings, store),
    }


def _spelt(findings: SweepResults, families: Families) -> dict[str, str]:
    """The layers of members of the whole front and of each family's, by run: any filter by family shows some of these."""
    members = chain(findings.members, *families.values())
    return {run_id: layer_list(point) for run_id, point in {member.run_id: member for member in members}.items()}


def _shown(point: Point, trial: Trial | None) -> dict[str, Any]:
    searched = trial.searched if trial else {}
    where = _where(trial) if trial else {}
    return {
        "params": point.params, "f1": point.f1, "accuracy": point.accuracy, "seconds": point.seconds,
        "family": point.family, "layers": layers_of(point), "epoch": point.best_epoch, "run": point.run_id,
        "searched": [f"{name}={value}" for name, value in searched.items()], **where,
    }  # fmt: skip


def _where(trial: Trial) -> dict[str, Any]:
    """Where the trial is found again; ``quoted`` is the sweep's name for a shell."""
    quoted = shlex.quote(trial.sweep)
    return {"sweep": trial.sweep, "quoted": quoted, "number": trial.number, "experiment": trial.experiment_id}


def _families(findings: SweepResults) -> Families:
    """The front of each family."""
    names = sorted({point.family for point in findings.points})
    return {name: members_of([point for point in findings.points if point.family == name]) for name in names}


def _facts(findings: SweepResults) -> list[tuple[str, str]]:
    ended = [trial.ended_s for trial in findings.trials if isfinite(trial.ended_s)]
    hours = sum(trial.ended_s - trial.started_s for trial in findings.trials if isfinite(trial.ended_s)) / 3600
    data = ", ".join(sorted({point.data for point in findings.points}))
    facts = [("trials", f"{len(findings.trials):,}"), ("on the front", f"{len(findings.members):,}")]
    facts += [
        (state, f"{_count(findings, state):,}") for state in ("raced", "failed", "running") if _count(findings, state)
    ]
    facts += [("data", data), ("cap", f"{findings.cap:,} parameters")] if findings.cap else [("data", data)]
    spent = f"{hours:.1f} h" if hours >= 1 else f"{60 * hours:.0f} min"
    return [*facts, ("training", f"{spent} in all")] if ended else facts


def _count(findings: SweepResults, state: str) -> int:
    return sum(trial.state == state for trial in findings.trials)


def _embedded(data: Any) -> str:
    """JSON that may stand inside a script element: nothing in it ends the element."""
    text = json.dumps(finite(data), separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
