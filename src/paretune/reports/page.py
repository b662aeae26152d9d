"""``report.html``: one file with everything in it, so that it opens without a network."""

import gzip
import json
import shlex
from base64 import b64encode
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader
from pandas import DataFrame
from plotly.offline import get_plotlyjs

from paretune.errors import ConfigError
from paretune.front import costs_of, front, front_volume
from paretune.reports.confirmed import format_mean_and_sd
from paretune.reports.figure import (
    CONFIRMED,
    F1_TICKS,
    FAMILY_COLOURS,
    FEWEST_TICKS,
    GRADES,
    LEAST_SHOWN_ERROR,
    MARGIN,
    OTHER_FAMILY,
    TICK_STEPS,
)
from paretune.reports.findings import SweepResults
from paretune.reports.json_values import replace_non_finite
from paretune.reports.layer_words import format_layers
from paretune.settings import UNITS
from paretune.tracking import Store, read_curve
from paretune.tracking.read import complete_rows, records
from paretune.tracking.store import COST_METRICS, VAL_F1

CURVES = 60  # raced trials that are shown
FAILED_SHOWN = 50
FEWEST_FOR_SHARES = 20  # trials: with less the best tenth is one
SETTINGS_SHOWN = 1000  # models nearest to the front


def _spelt(trial: Mapping[str, Any]) -> str:
    """Every layer of a trial's network, as its run has them; of earlier versions' runs as its family says now.

    Falls back on :func:`format_layers` where the family is not there any more.
    """
    if trial["layers"]:
        return str(trial["layers"])
    from paretune import models

    with suppress(ConfigError, KeyError):
        return models.describe(trial["config"]["model"])
    return format_layers(trial["config"])


def volume_curve(results: SweepResults) -> dict[str, list[float]]:
    """The volume below the front after each complete trial, in the order they ended, and the hours since the first began.

    ``gain`` says where the curve changes: a curve over 10,000 trials has a few dozen steps.
    """
    trials = _trials(results).dropna(subset="ended").sort_values("ended", kind="stable")  # an open run has no end yet
    axis = results.cost.removeprefix("n_")
    cost, f1 = trials[results.cost].to_numpy(), trials[VAL_F1].to_numpy()
    members: list[int] = []
    volumes: list[float] = []
    for trial in range(len(trials)):
        candidates = np.array([*members, trial])
        on_front = candidates[front(costs_of(cost[candidates], f1[candidates]))].tolist()
        is_same = on_front == members
        volumes.append(volumes[-1] if is_same else front_volume(cost[on_front], f1[on_front], results.cap, axis))
        members = on_front
    last = len(volumes) - 1
    gain = [i for i, volume in enumerate(volumes) if i in (0, last) or volume > volumes[i - 1]]
    hours = (trials["ended"] - trials["started"].min()).dt.total_seconds() / 3600
    return {"volume": volumes, "hours": hours.tolist(), "gain": gain}


def _trials(results: SweepResults) -> DataFrame:
    """The complete trials that the models are, with the scores of the search."""
    trials = complete_rows(results.table)
    return trials[trials["run_id"].isin(results.complete["run_id"])]


def family_importances(results: SweepResults) -> dict[str, dict[str, float]]:
    """By family, how much each parameter tells trials of a high F1 from the rest; ``all families`` for what every trial has."""
    trials = _trials(results)
    if len(trials) < FEWEST_FOR_SHARES:
        return {}
    from paretune.search.importance import compute_importances  # Optuna's takes a second to import

    groups = {str(name): group for name, group in trials.groupby("family")}
    groups = {"all families": trials, **groups} if len(groups) > 1 else groups
    shares = {
        name: compute_importances(group["searched"].tolist(), group[VAL_F1].tolist()) for name, group in groups.items()
    }
    return {name: share for name, share in shares.items() if share}


def raced_curves(results: SweepResults, store: Store) -> list[dict[str, Any]]:
    """Validation F1 by epoch of the last ``CURVES`` raced trials, and of the front to compare them with."""
    raced = results.table[results.table["state"] == "raced"].dropna(subset=results.cost).tail(CURVES)
    on_front = results.trials[results.trials["run_id"].isin(results.members["run_id"])]
    curves = []
    for row in [*records(raced), *records(on_front)] if len(raced) else []:
        curve = read_curve(store, row["run_id"])
        scores = {"epochs": [epoch for epoch, _ in curve], "f1": [f1 for _, f1 in curve]}
        trial = {"raced": row["state"] == "raced", "number": row["trial"], "cost": row[results.cost]}
        curves.append({**trial, **scores})
    return curves


def write_page(results: SweepResults, store: Store, path: Path, ui: str) -> None:
    """Write the page; ``ui`` is where the MLflow UI will be when a reader clicks on a point."""
    fronts = {name: results.front_of(models) for name, models in results.complete.groupby("family")}
    failed = results.table[results.table["state"] == "failed"]
    template = Environment(loader=PackageLoader("paretune.reports"), autoescape=True).get_template("page.html")
    middle = results.members.iloc[len(results.members) // 2]
    text = template.render(
        title=results.title,
        score=results.score,
        facts=_facts(results),
        data=packed(
            json.dumps(replace_non_finite(_data(results, fronts, store, ui)), separators=(",", ":"), allow_nan=False)
        ),
        confirmed=records(results.ways),
        mean_and_sd=format_mean_and_sd,
        families={name: _shown(members, results, set()) for name, members in fronts.items()},
        failed=records(failed.tail(FAILED_SHOWN)),
        n_failed=len(failed),
        published=bool(results.references),
        units=UNITS,
        axis=results.cost.removeprefix("n_"),
        unit=results.unit,
        middle=int(middle["n_params"]),
        plotly=packed(get_plotlyjs()),
        script=(Path(__file__).parent / "templates/page.js").read_text(),
        sweep=shlex.quote(middle["sweep"]),
    )
    path.write_text(text)


def _data(results: SweepResults, fronts: Mapping[Any, DataFrame], store: Store, ui: str) -> dict[str, Any]:
    """What the page's script draws; ``spelt`` has the layers of what any filter by family may show as a front."""
    shown = [row for members in (results.members, *fronts.values()) for row in records(members)]
    trials = {row["run_id"]: row for row in shown}
    return {
        "points": _shown(results.complete, results, results.near(SETTINGS_SHOWN)),
        "spelt": {run_id: _spelt(trial) for run_id, trial in trials.items()},
        "references": [asdict(reference) for reference in results.references],
        "grades": {grade: label for grade, (_, label) in GRADES.items()},
        "colours": {**FAMILY_COLOURS, "": OTHER_FAMILY},
        "intervalColour": CONFIRMED,
        "ticks": F1_TICKS,
        "fewestTicks": FEWEST_TICKS,
        "tickSteps": TICK_STEPS,
        "margin": MARGIN,
        "leastShownError": LEAST_SHOWN_ERROR,
        "caps": {column.removeprefix("n_"): cap for column, cap in results.caps.items()},
        "axis": results.cost.removeprefix("n_"),
        "units": UNITS,
        "score": results.score,
        "ui": ui.rstrip("/"),
        "volume": volume_curve(results),
        "mattered": family_importances(results),
        "raced": raced_curves(results, store),
    }


def _shown(models: DataFrame, results: SweepResults, with_settings: Collection[str]) -> list[dict[str, Any]]:
    """The models as the page's script reads them, what was searched of some; ``quoted`` is the sweep's name for a shell."""
    names = {
        **{column: cost for cost, column in COST_METRICS.items()}, results.f1: "f1", f"{results.split}_accuracy": "accuracy", "seconds": "seconds",
        "family": "family", "best_epoch": "epoch", "run_id": "run", "sweep": "sweep", "trial": "number",
        "experiment_id": "experiment",
    }  # fmt: skip
    if results.query.confirmed:  # the interval, which one seed has not
        names |= {f"{results.f1}_low": "f1Low", f"{results.f1}_high": "f1High"}
    rows = records(models.fillna({"best_epoch": -1})[list(names)].rename(columns=names))
    return [
        {**row, "layers": format_layers(config), "quoted": shlex.quote(row["sweep"]),
         **({"searched": [f"{name}={value}" for name, value in searched.items()]} if row["run"] in with_settings else {})}
        for row, config, searched in zip(rows, models["config"], models["searched"], strict=True)
    ]  # fmt: skip


def _facts(results: SweepResults) -> list[tuple[str, str]]:
    trials, states = results.trials, results.trials["state"].value_counts()
    facts = [("trials", f"{len(trials):,}"), ("on the front", f"{len(results.members):,}")]
    facts += [(state, f"{states[state]:,}") for state in ("raced", "failed", "running") if state in states]
    facts += [("data", ", ".join(sorted(results.complete["data"].unique())))]
    facts += [("cap", f"{cap:,} {UNITS[column.removeprefix('n_')]}") for column, cap in results.caps.items()]
    hours = (trials["ended"] - trials["started"]).dt.total_seconds().sum() / 3600
    spent = f"{hours:.1f} h" if hours >= 1 else f"{60 * hours:.0f} min"
    return [*facts, ("training", f"{spent} in all")] if trials["ended"].notna().any() else facts


def packed(text: str) -> str:
    """``text`` by gzip and base64, which the page undoes: a third of the size, and nothing in it ends a script element."""
    return b64encode(gzip.compress(text.encode(), mtime=0)).decode()
