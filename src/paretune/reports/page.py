"""``report.html``: one file with everything in it, so that it opens without a
network.
"""

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

from paretune.costs import COSTS, cost_of_metric, units
from paretune.errors import ConfigError
from paretune.front import costs_of, front, front_volume
from paretune.reports.confirmed import INTERVAL, format_mean_and_sd
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
from paretune.reports.findings import SweepResults, count_unfinished
from paretune.reports.json_values import replace_non_finite
from paretune.reports.layer_words import format_layers
from paretune.tracking import Store, read_curve
from paretune.tracking.schema import VAL_F1, VAL_F1_SE, VAL_IMAGES
from paretune.tracking.trial_table import complete_rows, records

MOST_CURVES = 60  # raced trials that are shown
FAILED_SHOWN = 50
FEWEST_FOR_SHARES = 20  # trials: with less the best tenth is one
SETTINGS_SHOWN = 1000  # models nearest to the front
SCRIPT = Path(__file__).parent / "templates/page.js"


def write_page(results: SweepResults, store: Store, path: Path, ui: str) -> None:
    """Write the page; ``ui`` is where the MLflow UI will be when a reader clicks on a
    point.
    """
    environment = Environment(loader=PackageLoader("paretune.reports"), autoescape=True)
    template = environment.get_template("page.html")
    fronts = _front_of_each_family(results)
    data = _data(results, fronts, store, ui)
    text = template.render(
        **_heading(results),
        **_tables(results, fronts),
        **_commands(results),
        data=compress_to_base64(_compact_json(data)),
        plotly=compress_to_base64(get_plotlyjs()),
        script=SCRIPT.read_text(),
    )
    path.write_text(text)


def _front_of_each_family(results: SweepResults) -> dict[str, DataFrame]:
    fronts: dict[str, DataFrame] = {}
    for family, models in results.models.groupby("family"):
        fronts[str(family)] = results.front_of(models)
    return fronts


def _heading(results: SweepResults) -> dict[str, Any]:
    return {
        "columns": [cost.column for cost in COSTS.values()],
        "title": results.title,
        "score": results.score,
        "has_errors": bool(results.models[VAL_F1_SE].notna().any())
        and not results.query.confirmed,
        "facts": _facts(results),
        "published": bool(results.references),
        "units": units(),
        "axis": results.cost_name,
        "unit": results.unit,
    }


def _tables(results: SweepResults, fronts: Mapping[str, DataFrame]) -> dict[str, Any]:
    """The rows of the page's tables that no script fills."""
    failed = results.table[results.table["state"] == "failed"]
    families: dict[str, Any] = {}
    for name, members in fronts.items():
        families[name] = _describe_models(members, results, with_settings=())
    return {
        "confirmed": records(results.ways),
        "mean_and_sd": format_mean_and_sd,
        "interval": INTERVAL,
        "families": families,
        "failed": records(failed.tail(FAILED_SHOWN)),
        "n_failed": len(failed),
    }


def _commands(results: SweepResults) -> dict[str, Any]:
    """The parts of the commands that the page proposes, for the model in the middle of
    the front.
    """
    middle = results.members.iloc[len(results.members) // 2]
    return {"middle": int(middle["n_params"]), "sweep": shlex.quote(middle["sweep"])}


def _compact_json(data: Mapping[str, Any]) -> str:
    return json.dumps(replace_non_finite(data), separators=(",", ":"), allow_nan=False)


def compress_to_base64(text: str) -> str:
    """``text`` by gzip and base64, which the page undoes.

    It is a third of the size, and nothing in it ends a script element.
    """
    compressed = gzip.compress(text.encode(), mtime=0)
    return b64encode(compressed).decode()


def _data(
    results: SweepResults, fronts: Mapping[str, DataFrame], store: Store, ui: str
) -> dict[str, Any]:
    """The data that the page's script draws."""
    return {
        "points": _describe_models(
            results.models, results, results.near(SETTINGS_SHOWN)
        ),
        "spelt": _layers_of_fronts([results.members, *fronts.values()]),
        "references": list(map(asdict, results.references)),
        "grades": {grade: label for grade, (_, label) in GRADES.items()},
        "colours": {**FAMILY_COLOURS, "": OTHER_FAMILY},
        "intervalColour": CONFIRMED,
        "ticks": F1_TICKS,
        "fewestTicks": FEWEST_TICKS,
        "tickSteps": TICK_STEPS,
        "margin": MARGIN,
        "leastShownError": LEAST_SHOWN_ERROR,
        "caps": _caps_by_name(results),
        "axis": results.cost_name,
        "units": units(),
        "score": results.score,
        "ui": ui.rstrip("/"),
        "volume": volume_curve(results),
        "mattered": family_importances(results),
        "raced": raced_curves(results, store),
    }


def _caps_by_name(results: SweepResults) -> dict[str, int]:
    """The caps by the names of their costs."""
    caps: dict[str, int] = {}
    for column, cap in results.caps.items():
        caps[cost_of_metric(column).name] = cap
    return caps


def _layers_of_fronts(fronts: Collection[DataFrame]) -> dict[str, str]:
    """By run id every layer of the models that any filter by family may show as a
    front.
    """
    layers: dict[str, str] = {}
    for members in fronts:
        for trial in records(members):
            run_id = trial["run_id"]
            if run_id not in layers:
                layers[run_id] = _describe_network(trial)
    return layers


def _describe_network(trial: Mapping[str, Any]) -> str:
    """Every layer of a trial's network, as its run has them; of a run that has none, as
    its family says.

    Falls back on :func:`format_layers` where the family is not there any more.
    """
    if trial["layers"]:
        return str(trial["layers"])
    from paretune import models

    with suppress(ConfigError, KeyError):
        return models.describe(trial["config"]["model"])
    return format_layers(trial["config"])


def _describe_models(
    models: DataFrame, results: SweepResults, with_settings: Collection[str]
) -> list[dict[str, Any]]:
    """The models as the page's script reads them; those whose run ids are in
    ``with_settings`` with what was searched.

    ``quoted`` is the sweep's name for a shell.
    """
    names = _names_in_script(results)
    known = models.fillna({"best_epoch": -1})
    rows = records(known[list(names)].rename(columns=names))
    for row, config, searched in zip(
        rows, models["config"], models["searched"], strict=True
    ):
        row["layers"] = format_layers(config)
        row["quoted"] = shlex.quote(row["sweep"])
        if row["run"] in with_settings:
            row["searched"] = _list_settings(searched)
    return rows


def _list_settings(searched: Mapping[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in searched.items()]


def _names_in_script(results: SweepResults) -> dict[str, str]:
    """By column the name that the page's script has for it."""
    names = {cost.metric: name for name, cost in COSTS.items()}
    names |= {
        results.f1: "f1",
        results.split.accuracy: "accuracy",
        "seconds": "seconds",
        "family": "family",
        "best_epoch": "epoch",
        "run_id": "run",
        "sweep": "sweep",
        "trial": "number",
        "experiment_id": "experiment",
    }
    if not results.query.confirmed:
        names[VAL_F1_SE] = "se"
    if results.query.confirmed:  # the interval, which one seed has not
        names[f"{results.f1}_low"] = "f1Low"
        names[f"{results.f1}_high"] = "f1High"
    return names


def _facts(results: SweepResults) -> list[tuple[str, str]]:
    """The facts at the head of the page, each with its name."""
    trials = results.trials
    data = sorted(results.models["data"].unique())
    facts = [
        ("trials", f"{len(trials):,}"),
        ("on the front", f"{len(results.members):,}"),
        *_format_unfinished(trials),
        ("data", ", ".join(data)),
    ]
    images = results.models[VAL_IMAGES].max()
    if not results.query.confirmed and images > 0:
        facts.append(("scored on", f"{images:,.0f} images, one is {1 / images:.4f}"))
    for name, cap in _caps_by_name(results).items():
        facts.append(("cap", f"{cap:,} {COSTS[name].unit}"))
    if trials["ended"].notna().any():
        facts.append(("training", f"{_format_time_spent(trials)} in all"))
    return facts


def _format_unfinished(trials: DataFrame) -> list[tuple[str, str]]:
    counts = count_unfinished(trials)
    return [(state, f"{count:,}") for state, count in counts.items()]


def _format_time_spent(trials: DataFrame) -> str:
    """The time of all trainings together, in hours, or in minutes if it is less than
    one.
    """
    durations = trials["ended"] - trials["started"]
    hours = durations.dt.total_seconds().sum() / 3600
    if hours >= 1:
        return f"{hours:.1f} h"
    return f"{60 * hours:.0f} min"


def volume_curve(results: SweepResults) -> dict[str, list[float]]:
    """The volume below the front after each complete trial, in the order they ended.

    ``hours`` are those since the first trial began. ``gain`` says where the curve
    changes: a curve over 10,000 trials has a few dozen steps.
    """
    # An open run has no end yet.
    trials = _compared_trials(results).dropna(subset="ended")
    trials = trials.sort_values("ended", kind="stable")
    volumes = _volumes(trials, results)
    since_first = trials["ended"] - trials["started"].min()
    hours = since_first.dt.total_seconds() / 3600
    return {"volume": volumes, "hours": hours.tolist(), "gain": _steps_of(volumes)}


def _compared_trials(results: SweepResults) -> DataFrame:
    """The complete trials that the models are, with the scores of the search."""
    trials = complete_rows(results.table)
    is_compared = trials["run_id"].isin(results.models["run_id"])
    return trials[is_compared]


def _volumes(trials: DataFrame, results: SweepResults) -> list[float]:
    """The volume below the front of the first trial, of the first two, and so on."""
    cost = trials[results.cost].to_numpy()
    f1 = trials[VAL_F1].to_numpy()
    members: list[int] = []
    volumes: list[float] = []
    for trial in range(len(trials)):
        candidates = np.array([*members, trial])
        on_front = front(costs_of(cost[candidates], f1[candidates]))
        joined = candidates[on_front].tolist()
        if joined == members:
            volumes.append(volumes[-1])
            continue
        members = joined
        volumes.append(
            front_volume(cost[members], f1[members], results.cap, results.cost_name)
        )
    return volumes


def _steps_of(volumes: list[float]) -> list[float]:
    """The places where the volume grows, the first and the last."""
    last = len(volumes) - 1
    steps: list[float] = []
    for place, volume in enumerate(volumes):
        is_end = place in (0, last)
        if is_end or volume > volumes[place - 1]:
            steps.append(place)
    return steps


def family_importances(results: SweepResults) -> dict[str, dict[str, float]]:
    """By family, how much each parameter tells trials of a high F1 from the rest.

    ``all families`` is for what every trial has. Empty if there are too few trials to
    tell.
    """
    trials = _compared_trials(results)
    if len(trials) < FEWEST_FOR_SHARES:
        return {}
    # Optuna's takes a second to import.
    from paretune.search.importance import compute_importances

    importances: dict[str, dict[str, float]] = {}
    for name, group in _groups_of(trials).items():
        searched = group["searched"].tolist()
        shares = compute_importances(searched, group[VAL_F1].tolist())
        if shares:
            importances[name] = shares
    return importances


def _groups_of(trials: DataFrame) -> dict[str, DataFrame]:
    """The trials of each family, after all of them together if there are several
    families.
    """
    groups = {str(name): group for name, group in trials.groupby("family")}
    if len(groups) > 1:
        return {"all families": trials, **groups}
    return groups


def raced_curves(results: SweepResults, store: Store) -> list[dict[str, Any]]:
    """Validation F1 by epoch of the last raced trials, at most ``MOST_CURVES``, and of
    the front beside them.
    """
    raced = _last_raced(results)
    if raced.empty:
        return []
    is_on_front = results.trials["run_id"].isin(results.members["run_id"])
    trials = records(raced) + records(results.trials[is_on_front])
    return [_curve_of(trial, results.cost, store) for trial in trials]


def _last_raced(results: SweepResults) -> DataFrame:
    """The last raced trials whose cost is known."""
    table = results.table
    raced = table[table["state"] == "raced"]
    known = raced.dropna(subset=results.cost)
    return known.tail(MOST_CURVES)


def _curve_of(trial: Mapping[str, Any], cost: str, store: Store) -> dict[str, Any]:
    epochs: list[int] = []
    scores: list[float] = []
    for epoch, f1 in read_curve(store, trial["run_id"]):
        epochs.append(epoch)
        scores.append(f1)
    return {
        "raced": trial["state"] == "raced",
        "number": trial["trial"],
        "cost": trial[cost],
        "epochs": epochs,
        "f1": scores,
    }
