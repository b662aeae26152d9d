"""The files of a report: ``front.csv``, ``front.json``, ``front.png``, ``front.svg`` and ``report.html``."""

import hashlib
import json
import logging
import re
from collections.abc import Collection, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pandas import DataFrame

from paretune.errors import StoreError
from paretune.hints import next_command
from paretune.paths import temporary_folder
from paretune.reports.findings import SweepResults, find
from paretune.reports.json_values import replace_non_finite
from paretune.reports.layer_words import format_layers
from paretune.reports.query import Query
from paretune.settings import line_of
from paretune.tracking import Store, SweepRecorder
from paretune.tracking.read import points_of

log = logging.getLogger(__name__)

CONFIRMED_COLUMNS = (
    "params", "macs", "ram_bytes", "flash_bytes", "seeds", "test_f1", "test_f1_sd", "test_f1_low", "test_f1_high",
    "test_accuracy", "test_accuracy_sd",
    "search_val_f1", "optimism", "family", "layers", "how", "run_id", "test_f1_of_seeds", "seconds_a_seed",
)  # fmt: skip
PLAIN = re.compile(r"[\w,=+-]+(\.[\w,=+-]+)*")  # without dots at its ends
LONGEST_BYTES = 200  # file systems take 255
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def folder_of(sweep: str, part: str = "") -> Path:
    """Where the files of a sweep go: ``sweeps/<sweep>``, whatever characters its name has; of a part of it, below that."""
    folder = Path("sweeps") / _folder(sweep)
    return folder / _folder(part) if part else folder


def _folder(name: str) -> str:
    """``name``, or, if it cannot be that of a folder as it is, one that no other name leads to."""
    if PLAIN.fullmatch(name) and len(name.encode()) <= LONGEST_BYTES:
        return name
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:12]
    words = re.sub(r"[^\w.,=+-]+", "_", name).strip(".").encode()[:LONGEST_BYTES].decode(errors="ignore")
    return f"{words}-{digest}"


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
    """One row a member, by the names that the store uses, and what was searched as a line of ``start`` or of overrides.

    No cell is a formula to a spreadsheet.
    """
    scores = (f"{results.split}_f1", f"{results.split}_accuracy")
    costs = ("params", "macs", "ram_bytes", "flash_bytes")
    _write(
        results.members,
        path,
        *costs,
        *scores,
        "family",
        "layers",
        "best_epoch",
        "seconds",
        "seed",
        "run_id",
        "overrides",
    )


def write_confirmed(models: DataFrame, path: Path) -> None:
    """One row a model and way of training it again, of :func:`~paretune.reports.confirmed.summarize_trainings`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(models.assign(seconds_a_seed=models["seconds_a_seed"].map("{:.0f}".format)), path, *CONFIRMED_COLUMNS)


def _write(models: DataFrame, path: Path, *columns: str) -> None:
    table = models.assign(
        params=models["n_params"].astype(int),
        **{cost: models[cost].astype("Int64") for cost in ("macs", "ram_bytes", "flash_bytes")},
        layers=models["config"].map(format_layers),
        best_epoch=models["best_epoch"].fillna(-1).astype(int),
        seconds=models["seconds"].map("{:.1f}".format),
        search_val_f1=models["val_f1"],
        overrides=models["searched"].map(_overrides),
    )
    cells = table[list(columns)].map(_cell)
    cells.to_csv(path, index=False, float_format="%.6f", lineterminator="\r\n")


def _overrides(searched: Mapping[str, str]) -> str:
    return line_of(f"{name}={value}" for name, value in searched.items())


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def write_json(results: SweepResults, path: Path) -> None:
    """The front with each member's whole config, and what it was selected from; numbers that are not finite are null."""
    points = points_of(results.members, results.split)
    content = {
        "sweeps": list(results.sweeps),
        "score": results.score,
        "cap": results.cap,
        "cost": results.cost.removeprefix("n_"),
        "trials": len(results.trials),
        "complete": len(results.complete),
        "front": [{**asdict(point), "layers": format_layers(point.config)} for point in points],
    }
    path.write_text(json.dumps(replace_non_finite(content), indent=2, allow_nan=False) + "\n")


class FrontRecorder(SweepRecorder):
    """A :class:`~paretune.tracking.SweepRecorder` that leaves ``front.csv`` and ``front.png`` in the parent run, too."""

    def finish(self, status: str, reasons: Mapping[int, str], running: Collection[int]) -> None:
        """Close the runs, then write the front that there is; a sweep without a finished trial has none."""
        super().finish(status, reasons, running)
        if self.store is None or not self.run_id:
            return
        from paretune.reports.figure import draw_front  # matplotlib takes a second to import

        try:
            results = find(self.store, [self.sweep], Query())
        except StoreError:
            return
        log.info(next_command("pareto", self.sweep, uri=self.store.uri))
        with temporary_folder() as folder:
            table, picture = folder / "front.csv", folder / "front.png"
            write_csv(results, table)
            draw_front(results, [picture])
            self.attach([table, picture])
