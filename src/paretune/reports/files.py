"""The files of a report: ``front.csv``, ``front.json``, ``front.png``, ``front.svg``
and ``report.html``.
"""

import hashlib
import json
import logging
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from pandas import DataFrame, Series

from paretune.costs import COSTS
from paretune.errors import StoreError
from paretune.front import Point
from paretune.hints import next_command
from paretune.paths import temporary_folder
from paretune.reports.findings import SweepResults, read_results
from paretune.reports.json_values import replace_non_finite
from paretune.reports.layer_words import format_layers
from paretune.reports.query import Query
from paretune.settings import LONGEST_NAME_BYTES, join_overrides
from paretune.tracking import Store, SweepRecorder
from paretune.tracking.points import points_of
from paretune.tracking.schema import VAL_F1_SE, VAL_IMAGES, Split
from paretune.tracking.trial_table import records

log = logging.getLogger(__name__)

LOCAL_UI = "http://127.0.0.1:5000"  # where paretune ui is by default
FRONT_COLUMNS = (
    "family",
    "layers",
    "best_epoch",
    "seconds",
    "seed",
    "run_id",
    "overrides",
)
CONFIRMED_COLUMNS = (
    "seeds",
    "test_f1",
    "test_f1_sd",
    "test_f1_low",
    "test_f1_high",
    "test_accuracy",
    "test_accuracy_sd",
    "search_val_f1",
    "optimism",
    "family",
    "layers",
    "how",
    "run_id",
    "test_f1_of_seeds",
    "seconds_a_seed",
)
POINT_FIELDS = (
    "params",
    "f1",
    "accuracy",
    "loss",
    "seconds",
    "seed",
    "family",
    "data",
    "best_epoch",
    "config",
    "run_id",
)
# Without dots at its ends.
PLAIN_FOLDER_NAME = re.compile(r"[\w,=+-]+(\.[\w,=+-]+)*")
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def study_folder(study: str) -> Path:
    """The folder for the files of a study of anybody's: ``pareto/<study>``."""
    return Path("pareto") / _folder_name(study)


def folder_of(sweep: str, part: str = "") -> Path:
    """The folder for a sweep's files: ``sweeps/<sweep>``, whatever characters its name
    has; of a part, below that.
    """
    folder = Path("sweeps") / _folder_name(sweep)
    if part:
        return folder / _folder_name(part)
    return folder


def _folder_name(name: str) -> str:
    """``name``, or, if it cannot be that of a folder as it is, one that no other name
    leads to.
    """
    encoded = name.encode(errors="surrogatepass")
    is_short = len(encoded) <= LONGEST_NAME_BYTES
    if is_short and PLAIN_FOLDER_NAME.fullmatch(name):
        return name
    digest = hashlib.sha256(encoded).hexdigest()
    words = re.sub(r"[^\w.,=+-]+", "_", name).strip(".")
    shortened = words.encode()[:LONGEST_NAME_BYTES].decode(errors="ignore")
    return f"{shortened}-{digest[:12]}"


def write_files(
    results: SweepResults, store: Store | None, out: Path, ui: str = ""
) -> list[str]:
    """Write all of them to ``out``; returns their names. ``ui`` is the address of the
    MLflow UI for links. A study of anybody's has neither that nor a ``store``.
    """
    # Matplotlib and plotly take a second each to import.
    from paretune.reports.figure import draw_front
    from paretune.reports.page import write_page

    out.mkdir(parents=True, exist_ok=True)
    write_csv(results, out / "front.csv")
    write_json(results, out / "front.json")
    draw_front(results, [out / "front.png", out / "front.svg"])
    write_page(results, store, out / "report.html", ui)
    return ["front.csv", "front.json", "front.png", "front.svg", "report.html"]


def write_csv(results: SweepResults, path: Path) -> None:
    """One row a member, by the names that the store uses, and what was searched as a
    line of ``start`` or of overrides.

    No cell is a formula to a spreadsheet. Of a study there is a column ``values_NAME``
    for each objective, and ``params_NAME`` for each parameter.
    """
    if results.is_study:
        table = _table_of_study(results)
        _write_table(table, path, list(map(str, table)), number="%.10g")
        return
    scores = [results.split.f1, results.split.accuracy]
    if results.split is Split.VALIDATION:
        scores += [VAL_F1_SE, VAL_IMAGES]
    table = _table_of(results.members)
    _write_table(table, path, (*COSTS, *scores, *FRONT_COLUMNS))


def write_confirmed(models: DataFrame, path: Path) -> None:
    """One row a model and way of training it, of
    :func:`~paretune.reports.confirmed.summarize_trainings`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    table = _table_of(models)
    table["seconds_a_seed"] = models["seconds_a_seed"].map("{:.0f}".format)
    _write_table(table, path, (*COSTS, *CONFIRMED_COLUMNS))


def _table_of(models: DataFrame) -> DataFrame:
    """The models with the columns that only files have."""
    table = models.copy()
    for name, cost in COSTS.items():
        table[name] = models[cost.metric].astype("Int64")  # NaN stays empty
    table["layers"] = models["config"].map(format_layers)
    table["best_epoch"] = models["best_epoch"].fillna(-1).astype(int)
    table["seconds"] = models["seconds"].map("{:.1f}".format)
    table["search_val_f1"] = models["val_f1"]
    table["overrides"] = models["searched"].map(_format_overrides)
    return table


def _table_of_study(results: SweepResults) -> DataFrame:
    """The front of a study, by the names that Optuna's own tables use."""
    members = results.members
    columns: dict[str, Any] = {
        "trial": members["trial"],
        f"values_{results.unit}": members[results.cost],
        f"values_{results.score.heading}": members[results.score.column],
        "seconds": members["seconds"],
    }
    for name in _params_of(members):
        values = [params.get(name) for params in members["params"]]
        columns[f"params_{name}"] = Series(values, members.index, dtype=object)
    columns["overrides"] = members["searched"].map(_format_overrides)
    return DataFrame(columns)


def _params_of(members: DataFrame) -> list[str]:
    """The names of all parameters that were drawn, in their order."""
    names: dict[str, None] = {}
    for params in members["params"]:
        names |= dict.fromkeys(params)
    return list(names)


def _write_table(
    table: DataFrame, path: Path, columns: Collection[str], number: str = "%.6f"
) -> None:
    cells = table[list(columns)].map(_escape_formula)
    cells.to_csv(path, index=False, float_format=number, lineterminator="\r\n")


def _format_overrides(searched: Mapping[str, str]) -> str:
    return join_overrides(f"{name}={value}" for name, value in searched.items())


def _escape_formula(value: Any) -> Any:
    """The value of a cell, behind an apostrophe if a spreadsheet would take it for a
    formula.
    """
    if isinstance(value, str) and value.startswith(FORMULA_STARTS):
        return f"'{value}"
    return value


def write_json(results: SweepResults, path: Path) -> None:
    """The front with each member's whole config, and its selection; numbers that are
    not finite are null.
    """
    content = _describe_results(results)
    text = json.dumps(replace_non_finite(content), indent=2, allow_nan=False)
    path.write_text(f"{text}\n")


def _describe_results(results: SweepResults) -> dict[str, Any]:
    if results.is_study:
        return _describe_study(results)
    points = points_of(results.members, results.split)
    return {
        "sweeps": list(results.sweeps),
        "score": results.score.words,
        "cap": results.cap,
        "cost": results.cost_name,
        "trials": len(results.trials),
        "complete": len(results.models),
        "front": list(map(_describe_point, points)),
    }


def _describe_study(results: SweepResults) -> dict[str, Any]:
    score = results.score
    return {
        "study": results.sweeps[0],
        "cost": results.unit,
        "score": score.heading,
        "score_direction": "minimize" if score.is_minimised else "maximize",
        "trials": len(results.trials),
        "complete": len(results.models),
        "hypervolume": results.volume_of(results.members),
        "front": [_describe_trial(row, results) for row in records(results.members)],
    }


def _describe_trial(trial: Mapping[str, Any], results: SweepResults) -> dict[str, Any]:
    return {
        "trial": trial["trial"],
        "values": {
            results.unit: trial[results.cost],
            results.score.heading: trial[results.score.column],
        },
        "seconds": trial["seconds"],
        "params": trial["params"],
    }


def _describe_point(point: Point) -> dict[str, Any]:
    """The fields of a point, and its layers in short."""
    fields = {name: getattr(point, name) for name in POINT_FIELDS}
    others = {name: point.costs.get(name) for name in COSTS if name != "params"}
    return {**fields, **others, "layers": format_layers(point.config)}


class FrontRecorder(SweepRecorder):
    """A :class:`~paretune.tracking.SweepRecorder` that leaves ``front.csv``,
    ``front.png`` and ``report.html`` in the parent, too, and, if it ``tells_next``, the
    command that usually comes next.
    """

    def __init__(self, tracking: Mapping[str, Any], *, tells_next: bool = True) -> None:
        super().__init__(tracking)
        self.tells_next = tells_next

    def finish(
        self, status: str, reasons: Mapping[int, str], running: Collection[int]
    ) -> None:
        """Close the runs, then write the front that there is; a sweep without a
        finished trial has none.
        """
        super().finish(status, reasons, running)
        if self.store is None or not self.run_id:
            return
        try:
            results = read_results(self.store, [self.sweep], Query())
        except StoreError:
            return
        if self.tells_next:
            log.info(next_command("pareto", self.sweep, uri=self.store.uri))
        self._attach_front(results)

    def _attach_front(self, results: SweepResults) -> None:
        # Matplotlib takes a second to import.
        from paretune.reports.figure import draw_front
        from paretune.reports.page import write_page

        assert self.store
        with temporary_folder() as folder:
            table = folder / "front.csv"
            picture = folder / "front.png"
            page = folder / "report.html"
            write_csv(results, table)
            draw_front(results, [picture])
            write_page(results, self.store, page, LOCAL_UI)
            self.attach([table, picture, page])
