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

from paretune.costs import cost_of_metric
from paretune.errors import ConfigError
from paretune.front import Floats, front
from paretune.hints import name_example
from paretune.layers.windows import is_signal
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
from paretune.reports.pick import describe_chance, pick_model
from paretune.reports.study import NO_FAMILY
from paretune.reports.terminal import describe_pick, describe_unevenness, format_params
from paretune.reports.wrong import describe_wrong_answers, read_wrong_answers
from paretune.scores import ScoreKind, format_number
from paretune.tracking import Store, read_curve
from paretune.tracking.schema import VAL_F1_SE, VAL_IMAGES
from paretune.tracking.trial_table import complete_rows, records

MOST_CURVES = 60  # raced trials that are shown
FAILED_SHOWN = 50
FEWEST_FOR_SHARES = 20  # trials: with less the best tenth is one
SETTINGS_SHOWN = 1000  # models nearest to the front
SCRIPT = Path(__file__).parent / "templates/page.js"


def write_page(results: SweepResults, store: Store | None, path: Path, ui: str) -> None:
    """Write the page; ``ui`` is where the MLflow UI will be when a reader clicks on a
    point. A study of anybody's has no ``store`` of runs.
    """
    environment = Environment(loader=PackageLoader("paretune.reports"), autoescape=True)
    template = environment.get_template("page.html")
    fronts = _front_of_each_family(results)
    data = _data(results, fronts, store, ui)
    text = template.render(
        **_heading(results),
        **_tables(results, fronts),
        wrong=_wrong(results, store),
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
        "columns": [cost.column for cost in results.costs.values()],
        "title": results.title,
        "is_study": results.is_study,
        "score": results.score,
        "has_errors": _has_errors(results),
        "facts": _facts(results),
        "published": bool(results.references),
        "units": _units(results),
        "axis": results.cost_name,
        "unit": results.unit,
    }


def _has_errors(results: SweepResults) -> bool:
    """Whether the standard error of a score is known."""
    if results.is_study or results.query.confirmed:
        return False
    return bool(results.models[VAL_F1_SE].notna().any())


def _units(results: SweepResults) -> dict[str, str]:
    """The units of the costs, by the costs' names."""
    return {name: cost.unit for name, cost in results.costs.items()}


def _tables(results: SweepResults, fronts: Mapping[str, DataFrame]) -> dict[str, Any]:
    """The rows of the page's tables that no script fills."""
    failed = results.table[results.table["state"] == "failed"]
    if results.is_study:  # whose maker may have noted no errors
        failed = failed[failed["error"] != ""]
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


def _wrong(results: SweepResults, store: Store | None) -> list[dict[str, Any]]:
    """What the confirmed models get wrong; nothing of a study, which has none."""
    if store is None:
        return []
    return describe_wrong_answers(read_wrong_answers(results, store))


def _commands(results: SweepResults) -> dict[str, Any]:
    """The parts of the commands that the page proposes, and the model to take; none for
    a study.
    """
    if results.is_study:
        return {}
    sweep = results.members.iloc[-1]["sweep"]
    model = pick_model(results)
    if model is None:
        pick = f"No model to take: {describe_chance(results)}"
    else:
        sweep = model["sweep"]
        pick = describe_pick(model, results)
    image_shape = (
        results.members.iloc[-1]["config"].get("model", {}).get("image_shape", ())
    )
    return {
        "sweep": shlex.quote(sweep),
        "example": name_example(is_signal=bool(image_shape) and is_signal(image_shape)),
        "pick": pick,
        "run": model["run_id"][:8] if model else None,
        "is_confirmed": results.query.confirmed,
    }


def _compact_json(data: Mapping[str, Any]) -> str:
    return json.dumps(replace_non_finite(data), separators=(",", ":"), allow_nan=False)


def compress_to_base64(text: str) -> str:
    """``text`` by gzip and base64, which the page undoes.

    It is a third of the size, and nothing in it ends a script element.
    """
    compressed = gzip.compress(text.encode(), mtime=0)
    return b64encode(compressed).decode()


def _data(
    results: SweepResults,
    fronts: Mapping[str, DataFrame],
    store: Store | None,
    ui: str,
) -> dict[str, Any]:
    """The data that the page's script draws."""
    return {
        "points": _describe_models(
            results.models, results, results.near(SETTINGS_SHOWN)
        ),
        "spelt": _layers_of_fronts(results, fronts),
        "references": list(map(asdict, results.references)),
        "grades": {grade: label for grade, (_, label) in GRADES.items()},
        "colours": {**FAMILY_COLOURS, "": _colour_of_others(results)},
        "intervalColour": CONFIRMED,
        "ticks": F1_TICKS,
        "fewestTicks": FEWEST_TICKS,
        "tickSteps": TICK_STEPS,
        "margin": MARGIN,
        "leastShownError": LEAST_SHOWN_ERROR,
        "caps": _caps_by_name(results),
        "axis": results.cost_name,
        "units": _units(results),
        "isStudy": results.is_study,
        "score": _describe_score(results),
        "logCost": results.has_log_cost,
        "ui": ui.rstrip("/"),
        "volume": volume_curve(results),
        "mattered": family_importances(results),
        "raced": raced_curves(results, store),
    }


def _colour_of_others(results: SweepResults) -> str:
    if results.is_study:
        return FAMILY_COLOURS[NO_FAMILY]
    return OTHER_FAMILY


def _describe_score(results: SweepResults) -> dict[str, Any]:
    """What the page's script knows of the score."""
    score = results.score
    axis = f"macro F1 ({score.words})"
    if results.is_study:
        axis = score.axis
    return {
        "heading": score.heading,
        "axis": axis,
        "isShare": score.kind is ScoreKind.SHARE,
        "sign": -1 if score.is_minimised else 1,
        "isLog": results.has_log_score,
    }


def _caps_by_name(results: SweepResults) -> dict[str, int]:
    """The caps by the names of their costs."""
    caps: dict[str, int] = {}
    for column, cap in results.caps.items():
        caps[cost_of_metric(column).name] = cap
    return caps


def _layers_of_fronts(
    results: SweepResults, fronts: Mapping[str, DataFrame]
) -> dict[str, str]:
    """By run id every layer of the models that any filter by family may show as a
    front; trials of a study have none.
    """
    layers: dict[str, str] = {}
    if results.is_study:
        return layers
    for members in [results.members, *fronts.values()]:
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
    drawn = ["params"] if results.is_study else ["config", "searched"]
    for row, model in zip(rows, records(models[drawn]), strict=True):
        row["layers"] = _describe_layers(model, results)
        row["quoted"] = shlex.quote(row["sweep"])
        if row["run"] in with_settings:
            row["searched"] = _list_settings(model, results)
    return rows


def _describe_layers(model: Mapping[str, Any], results: SweepResults) -> str:
    """The layers of a model in short; of a trial of a study what it drew."""
    if results.is_study:
        return format_params(model["params"])
    return format_layers(model["config"])


def _list_settings(model: Mapping[str, Any], results: SweepResults) -> list[str]:
    """What was searched; nothing of a study, whose trials have it in short already."""
    if results.is_study:
        return []
    return [f"{name}={value}" for name, value in model["searched"].items()]


def _names_in_script(results: SweepResults) -> dict[str, str]:
    """By column the name that the page's script has for it."""
    names = {cost.metric: name for name, cost in results.costs.items()}
    names |= {
        results.score.column: "f1",
        "seconds": "seconds",
        "family": "family",
        "run_id": "run",
        "sweep": "sweep",
        "trial": "number",
    }
    if results.is_study:
        return names
    names |= {
        results.split.accuracy: "accuracy",
        "best_epoch": "epoch",
        "experiment_id": "experiment",
    }
    if not results.query.confirmed:
        names[VAL_F1_SE] = "se"
    if results.query.confirmed:  # the interval, which one seed has not
        names[f"{results.score.column}_low"] = "f1Low"
        names[f"{results.score.column}_high"] = "f1High"
    return names


def _facts(results: SweepResults) -> list[tuple[str, str]]:
    """The facts at the head of the page, each with its name."""
    trials = results.trials
    facts = [
        ("trials", f"{len(trials):,}"),
        ("on the front", f"{len(results.members):,}"),
        *_format_unfinished(trials),
    ]
    if results.is_study:
        facts += _describe_ends(results)
    else:
        facts += _describe_data(results)
    for name, cap in _caps_by_name(results).items():
        facts.append(("cap", f"{cap:,} {results.costs[name].unit}"))
    if trials["ended"].notna().any():
        kind = "trials took" if results.is_study else "training"
        facts.append((kind, f"{_format_time_spent(trials)} in all"))
    return facts


def _describe_data(results: SweepResults) -> list[tuple[str, str]]:
    """The data set, and the number of images that were scored, if it is known."""
    data = sorted(results.models["data"].unique())
    facts = [("data", ", ".join(data))]
    by_images = results.models.sort_values(VAL_IMAGES, na_position="first")
    [scored] = records(by_images.tail(1))
    images = scored[VAL_IMAGES]
    if not results.query.confirmed and images > 0:
        worth = describe_unevenness(scored) or f"one is {1 / images:.4f}"
        facts.append(("scored on", f"{images:,.0f} images, {worth}"))
    return facts


def _describe_ends(results: SweepResults) -> list[tuple[str, str]]:
    """The two ends of a study's front: the least cost, and the best score."""
    first = results.members.iloc[0]
    last = results.members.iloc[-1]
    score = results.score
    return [
        (f"least {results.unit}", format_number(first[results.cost])),
        (f"best {score.words}", score.format(last[score.column])),
    ]


def _format_unfinished(trials: DataFrame) -> list[tuple[str, str]]:
    counts = count_unfinished(trials)
    return [(state, f"{count:,}") for state, count in counts.items()]


def _format_time_spent(trials: DataFrame) -> str:
    """The time of all trainings together, in hours, or in minutes or seconds if it is
    less than one.
    """
    durations = trials["ended"] - trials["started"]
    seconds = durations.dt.total_seconds().sum()
    if seconds >= 3600:
        return f"{seconds / 3600:.1f} h"
    if seconds >= 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds:.0f} s"


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
    trials = complete_rows(results.table, results.searched_score.column)
    is_compared = trials["run_id"].isin(results.models["run_id"])
    return trials[is_compared]


def _volumes(trials: DataFrame, results: SweepResults) -> list[float]:
    """The volume below the front of the first trial, of the first two, and so on."""
    losses = results.losses_of(trials, results.searched_score)
    members: list[int] = []
    volumes: list[float] = []
    for trial in range(len(trials)):
        candidates = np.array([*members, trial])
        on_front = front(losses[candidates])
        joined = candidates[on_front].tolist()
        if joined == members:
            volumes.append(volumes[-1])
            continue
        members = joined
        volumes.append(results.volume_of(trials.iloc[members]))
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

    ``all families`` is for what every trial has. Of a study by the names of its two
    objectives. Empty if there are too few trials to tell.
    """
    trials = _compared_trials(results)
    if len(trials) < FEWEST_FOR_SHARES:
        return {}
    # Optuna's takes a second to import.
    from paretune.search.importance import compute_importances

    importances: dict[str, dict[str, float]] = {}
    for name, group, goodness in _questions(trials, results):
        shares = compute_importances(group["searched"].tolist(), goodness.tolist())
        if shares:
            importances[name] = shares
    return importances


def _questions(
    trials: DataFrame, results: SweepResults
) -> list[tuple[str, DataFrame, Floats]]:
    """What is asked of parameters: a name, some trials, and how good each of them
    is.
    """
    goodness = -results.losses_of(trials, results.searched_score)
    if results.is_study:
        return [
            (results.score.words, trials, goodness[:, 1]),
            (results.unit, trials, goodness[:, 0]),
        ]
    questions: list[tuple[str, DataFrame, Floats]] = []
    for name, group in _groups_of(trials).items():
        places = trials.index.get_indexer(group.index)
        questions.append((name, group, goodness[places, 1]))
    return questions


def _groups_of(trials: DataFrame) -> dict[str, DataFrame]:
    """The trials of each family, after all of them together if there are several
    families.
    """
    groups = {str(name): group for name, group in trials.groupby("family")}
    if len(groups) > 1:
        return {"all families": trials, **groups}
    return groups


def raced_curves(results: SweepResults, store: Store | None) -> list[dict[str, Any]]:
    """Validation F1 by epoch of the last raced trials, at most ``MOST_CURVES``, and of
    the front beside them; none without a store.
    """
    raced = _last_raced(results)
    if store is None or raced.empty:
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
