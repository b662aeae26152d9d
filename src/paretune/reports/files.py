"""The files of a report: ``front.csv``, ``front.json``, ``front.png``, ``front.svg`` and ``report.html``."""

import json
import re
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paretune.errors import StoreError
from paretune.reports.findings import Query, SweepResults, find, finite, layers_of
from paretune.tracking import Store, SweepRecorder
from paretune.tracking.read import points_of

if TYPE_CHECKING:
    from pandas import DataFrame

CONFIRMED_SCORES = (
    "test_f1", "test_f1_sd", "test_f1_low", "test_f1_high", "test_accuracy", "test_accuracy_sd", "search_val_f1", "optimism",
)  # fmt: skip
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def folder_of(sweep: str, part: str = "") -> Path:
    """Where the files of a sweep go: ``sweeps/<sweep>``, whatever characters its name has; of a part of it, below that."""
    return Path("sweeps") / (_folder(sweep) or "_") / _folder(part)


def _folder(name: str) -> str:
    return re.sub(r"[^\w.,=+-]+", "_", name).strip(".")


def write_files(results: SweepResults, store: Store, out: Path, ui: str) -> list[str]:
    """Write all of them to ``out``; returns their names. ``ui`` is the address of the MLflow UI for links."""
    from paretune.reports.figure import draw_front  # matplotlib and plotly take a second each to import
    from paretune.reports.page import write_page

    out.mkdir(parents=True, exist_ok=True)
    write_csv(results, out / "front.csv")
    write_json(results, out / "front.json")
    draw_front(results, [out / "front.png", out / "front.svg"])
    write_page(results, store, out / "report.html", ui)
    return ["front.csv", "front.json", "front.png", "front.svg", "report.html"]


def write_csv(results: SweepResults, path: Path) -> None:
    """One row a member, by the names that the store uses; no cell is a formula to a spreadsheet."""
    members, split = results.members, results.split
    columns = {
        "params": members["n_params"].map("{:.0f}".format),
        f"{split}_f1": members[f"{split}_f1"].map("{:.6f}".format),
        f"{split}_accuracy": members[f"{split}_accuracy"].map("{:.6f}".format),
        "family": members["family"].map(_cell),
        "layers": _layers(members),
        "best_epoch": members["best_epoch"].fillna(-1).astype(int),
        "seconds": members["seconds"].map("{:.1f}".format),
        "seed": members["seed"],
        "run_id": members["run_id"].map(_cell),
    }
    _write(columns, path)


def write_confirmed(models: "DataFrame", path: Path) -> None:
    """One row a model and way of training it again, of :func:`~paretune.reports.confirmed.confirmed`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {"params": models["n_params"].map("{:.0f}".format), "seeds": models["seeds"]}
    scores = models.rename(columns={"val_f1": "search_val_f1"})
    columns |= {name: scores[name].map(_score) for name in CONFIRMED_SCORES}
    columns |= {"family": models["family"].map(_cell), "layers": _layers(models)}
    _write({**columns, "how": models["how"].map(_cell), "run_id": models["run_id"].map(_cell)}, path)


def _write(columns: Mapping[str, Any], path: Path) -> None:
    from pandas import DataFrame

    DataFrame(columns).to_csv(path, index=False, lineterminator="\r\n")


def _score(value: float) -> str:
    return f"{value:.6f}" if isfinite(value) else ""


def _layers(models: "DataFrame") -> Any:
    return models["config"].map(lambda config: _cell(layers_of(config)))


def _cell(text: str) -> str:
    return f"'{text}" if text.startswith(FORMULA) else text


def write_json(results: SweepResults, path: Path) -> None:
    """The front with each member's whole config, and what it was selected from; numbers that are not finite are null."""
    points = points_of(results.members, results.split)
    content = {
        "sweeps": list(results.sweeps),
        "score": results.score,
        "cap": results.cap,
        "trials": len(results.trials),
        "complete": len(results.complete),
        "front": [{**asdict(point), "layers": layers_of(point.config)} for point in points],
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
            results = find(self.store, [self.sweep], Query(), paths.CONF / "references")
        except StoreError:
            return
        with tempfile.TemporaryDirectory() as folder:
            table, picture = Path(folder) / "front.csv", Path(folder) / "front.png"
            write_csv(results, table)
            draw_front(results, [picture])
            self.attach([table, picture])
