"""``report.html``: one file with everything in it, so that it opens without a network."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import asdict
from itertools import chain
from math import isfinite
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader
from plotly.offline import get_plotlyjs

from paretune.point import Point
from paretune.reports.figure import F1_TICKS, FAMILY_COLOURS, GRADES, LEAST_SHOWN_ERROR, OTHER_FAMILY
from paretune.reports.findings import Findings, members_of
from paretune.reports.finite import finite
from paretune.reports.history import mattering, raced_curves, volume_curve
from paretune.reports.layers import layers_of, spelt_out
from paretune.tracking import Store, Trial

__all__ = ["write_page"]

FAILED_SHOWN = 50

Families = Mapping[str, list[Point]]


def write_page(findings: Findings, store: Store, path: Path, ui: str) -> None:
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


def _data(findings: Findings, families: Families, store: Store, ui: str) -> dict[str, Any]:
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
        "mattered": mattering(findings),
        "raced": raced_curves(findings, store),
    }


def _spelt(findings: Findings, families: Families) -> dict[str, str]:
    """The layers of members of the whole front and of each family's, by run: any filter by family shows some of these."""
    members = chain(findings.members, *families.values())
    return {run_id: spelt_out(point) for run_id, point in {member.run_id: member for member in members}.items()}


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


def _families(findings: Findings) -> Families:
    """The front of each family."""
    names = sorted({point.family for point in findings.points})
    return {name: members_of([point for point in findings.points if point.family == name]) for name in names}


def _facts(findings: Findings) -> list[tuple[str, str]]:
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


def _count(findings: Findings, state: str) -> int:
    return sum(trial.state == state for trial in findings.trials)


def _embedded(data: Any) -> str:
    """JSON that may stand inside a script element: nothing in it ends the element."""
    text = json.dumps(finite(data), separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
