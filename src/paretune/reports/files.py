"""The files of a report: ``front.csv``, ``front.json``, ``front.png``, ``front.svg`` and ``report.html``."""

import csv
import json
import re
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from math import isfinite
from pathlib import Path

from paretune.errors import StoreError
from paretune.front import Point
from paretune.reports.confirmed import Confirmed
from paretune.reports.findings import Query, SweepResults, find, finite, layers_of
from paretune.tracking import Store, SweepRecorder

COLUMNS = ("family", "layers", "best_epoch", "seconds", "seed", "run_id")
CONFIRMED_COLUMNS = (
    "params", "seeds", "test_f1", "test_f1_sd", "test_f1_low", "test_f1_high", "test_accuracy", "test_accuracy_sd",
    "search_val_f1", "optimism", "family", "layers", "how", "run_id",
)  # fmt: skip
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def folder_of(sweep: str, part: str = "") -> Path:
    """Where the files of a sweep go: ``sweeps/<sweep>``, whatever characters its name has; of a part of it, below that."""
    return Path("sweeps") / (_folder(sweep) or "_") / _folder(part)


def write_files(findings: SweepResults, store: Store, out: Path, ui: str) -> list[str]:
    """Write all of them to ``out``; returns their names. ``ui`` is the address of the MLflow UI for links."""
    from paretune.reports.figure import draw_front  # matplotlib and plotly take a second each to import
    from paretune.reports.page import write_page

    out.mkdir(parents=True, exist_ok=True)
    members = findings.members
    write_csv(members, out / "front.csv", findings.split)
    write_json(findings, out / "front.json")
    pictures = [out / "front.png", out / "front.svg"]
    draw_front(findings.points, pictures, title=findings.title, score=findings.score,
               references=findings.references, cap=findings.cap)  # fmt: skip
    write_page(findings, store, out / "report.html", ui)
    return ["front.csv", "front.json", *(picture.name for picture in pictures), "report.html"]


def write_csv(points: Sequence[Point], path: Path, split: str = "val") -> None:
    """One row a point, by the names that the store uses; scores are of ``split``; no cell is a formula to a spreadsheet."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["params", f"{split}_f1", f"{split}_accuracy", *COLUMNS])
        for p in points:
            scores = (p.params, f"{p.f1:.6f}", f"{p.accuracy:.6f}", _cell(p.family), _cell(layers_of(p)))
            writer.writerow([*scores, p.best_epoch, f"{p.seconds:.1f}", p.seed, _cell(p.run_id)])


def write_confirmed(rows: Sequence[Confirmed], path: Path) -> None:
    """One row a model and way of training it again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(CONFIRMED_COLUMNS)
        for row in rows:
            scores = [
                row.f1.mean,
                row.f1.sd,
                row.f1.low,
                row.f1.high,
                row.accuracy.mean,
                row.accuracy.sd,
                row.point.f1,
                row.optimism,
            ]
            cells = [f"{score:.6f}" if isfinite(score) else "" for score in scores]
            p = row.point
            writer.writerow(
                [p.params, row.f1.n, *cells, _cell(p.family), _cell(layers_of(p)), _cell(row.how), _cell(p.run_id)]
            )


def _folder(name: str) -> str:
    return re.sub(r"[^\w.,=+-]+", "_", name).strip(".")


def _cell(text: str) -> str:
    return f"'{text}" if text.startswith(FORMULA) else text


def write_json(findings: SweepResults, path: Path) -> None:
    """The front with each member's whole config, and what it was selected from; numbers that are not finite are null."""
    content = {
        "sweeps": list(findings.sweeps),
        "score": findings.score,
        "cap": findings.cap,
        "trials": len(findings.trials),
        "complete": len(findings.points),
        "front": [{**asdict(point), "layers": layers_of(point)} for point in findings.members],
    }
    path.write_text(json.dumps(finite(content), indent=2, allow_nan=False) + "\n")


class FrontRecorder(SweepRecorder):
    """A :class:`~paretune.tracking.SweepRecorder` that leaves ``front.csv`` and ``front.png`` in the parent run, too."""

    def finish(self, status: str, reasons: Mapping[int, str], running: Collection[int]) -> None:
        """Close the runs, then write the front that there is; a sweep without a finished trial has none."""
        super().finish(status, reasons, running)
        if self.store is None or not self.run_id:
            return
        from paretune import paths
        from paretune.reports.figure import draw_front  # matplotlib takes a second to import

        try:
            findings = find(self.store, [self.sweep], Query(), paths.CONF / "references")
        except StoreError:
            return
        with tempfile.TemporaryDirectory() as folder:
            table, picture = Path(folder) / "front.csv", Path(folder) / "front.png"
            write_csv(findings.members, table)
            draw_front(
                findings.points, [picture], title=findings.title, references=findings.references, cap=findings.cap
            )
            self.attach([table, picture])
