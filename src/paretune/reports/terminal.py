"""The front as a table in the terminal, and the lines below it."""

import shlex
from collections.abc import Mapping, Sequence
from math import isnan
from typing import Any

from pandas import DataFrame
from rich import box
from rich.markup import escape
from rich.table import Table

from paretune.costs import COSTS, cost_of_metric
from paretune.errors import ConfigError
from paretune.reports.confirmed import (
    INTERVAL,
    Reference,
    format_mean_and_sd,
    select_most_seeds,
)
from paretune.reports.findings import SweepResults
from paretune.reports.layer_words import format_layers
from paretune.reports.pick import describe_chance, describe_rule, pick_model
from paretune.scores import format_number
from paretune.tracking.schema import N_PARAMS, VAL_EFFECTIVE, VAL_F1_SE, VAL_IMAGES
from paretune.tracking.trial_table import records

WIDE = 105  # columns of a terminal that has room for every cost
LARGEST_POWER = 3  # of a thousand: counts are written in G at most
POWER_LETTERS = " kMG"
# Of the images, that those of equal classes are at least which tell as much.
EVEN = 0.9


def build_results_table(results: SweepResults, width: int = WIDE) -> Table:
    """The members of the front by rising cost, on ``width`` columns; of confirmed ones
    every way of training them.
    """
    if results.is_study:
        return _build_study_table(results)
    if results.query.confirmed:
        is_member = results.confirmed["run_id"].isin(results.members["run_id"])
        costs = _costs_asked_for(results)
        models = results.confirmed[is_member]
        return build_confirmed_table(models, results.title, costs)
    costs = _shown_costs(results, width)
    headings = [cost_of_metric(cost).heading for cost in costs]
    scores = ["val F1", "val acc"]
    has_errors = results.members[VAL_F1_SE].notna().any()
    if has_errors:
        scores.insert(1, "se")
    table = _build_table(
        results.title, (*headings, *scores), ("family", "layers", "run")
    )
    for model in records(results.members):
        counts = [_format_cost(model, cost) for cost in costs]
        figures = [f"{model['val_f1']:.4f}", f"{model['val_accuracy']:.4f}"]
        if has_errors:
            figures.insert(1, _format_standard_error(model))
        table.add_row(
            *counts,
            *figures,
            model["family"],
            format_layers(model["config"]),
            model["run_id"][:8],
        )
    return table


def _build_study_table(results: SweepResults) -> Table:
    """The members of the front of a study of anybody's: both values, and what was
    drawn.
    """
    # Names and values are anybody's, and may have brackets, which are rich's markup.
    names = (results.weighed.heading, results.score.heading)
    numbers = (*map(escape, names), "trial")
    table = _build_table(escape(results.title), numbers, ("parameters",))
    for trial in records(results.members):
        table.add_row(
            format_number(trial[results.cost]),
            results.score.format(trial[results.score.column]),
            str(trial["trial"]),
            escape(format_params(trial["params"])),
        )
    return table


def format_params(params: Mapping[str, Any]) -> str:
    """What a trial drew, in short: ``width=12, lr=0.0031623``."""
    return ", ".join(f"{name}={_format_param(value)}" for name, value in params.items())


def _format_param(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.5g}"
    return str(value)


def _format_standard_error(model: Mapping[str, Any]) -> str:
    """The standard error of a validation F1; empty where the images were not
    counted.
    """
    error = model[VAL_F1_SE]
    return "" if isnan(error) else f"{error:.4f}"


def _shown_costs(results: SweepResults, width: int) -> list[str]:
    """The columns of the costs that there is room for."""
    columns = [cost.metric for cost in COSTS.values()]
    if width >= WIDE:
        return columns
    return _costs_asked_for(results)


def _costs_asked_for(results: SweepResults) -> list[str]:
    """The columns of the parameters, and of the cost that the front is over."""
    return list(dict.fromkeys([N_PARAMS, results.cost]))


def _format_cost(model: Mapping[str, Any], cost: str) -> str:
    if cost == N_PARAMS:
        return f"{model[cost]:,.0f}"
    return format_count(model[cost])


def format_count(value: float) -> str:
    """A count to three digits: ``812``, ``81.2k``, ``1.52M``; nothing for one that is
    not known.
    """
    if isnan(value):
        return ""
    if value >= 1000:
        value = float(f"{value:.3g}")
    digits = len(f"{value:.0f}")
    power = min((digits - 1) // 3, LARGEST_POWER)
    if power == 0:
        return f"{value:.0f}"
    number = f"{value / 1000**power:#.3g}"
    return number.rstrip(".") + POWER_LETTERS[power]


def build_confirmed_table(
    models: DataFrame, title: str, costs: Sequence[str] = (N_PARAMS,)
) -> Table:
    """Confirmed models with the columns ``costs``: mean ± deviation of ``n`` seeds, and the
    interval of the mean.
    """
    words = ["family", "run"]
    has_ways = models["how"].nunique() > 1
    if has_ways:
        words.append("how")
    headings = [cost_of_metric(cost).heading for cost in costs]
    numbers = (*headings, "n", "test F1", INTERVAL, "acc")
    table = _build_table(title, numbers, words)
    for model in records(models):
        cells = [
            *(f"{model[cost]:,.0f}" for cost in costs),
            str(model["seeds"]),
            format_mean_and_sd(model, "test_f1"),
            _format_interval(model),
            f"{model['test_accuracy']:.4f}",
            model["family"],
            model["run_id"][:8],
        ]
        if has_ways:
            cells.append(model["how"])
        table.add_row(*cells)
    return table


def _format_interval(model: Mapping[str, Any]) -> str:
    """The interval of the mean test F1; empty for one seed, which has none."""
    if model["seeds"] == 1:
        return ""
    low = model["test_f1_low"]
    high = model["test_f1_high"]
    return f"{low:.4f}-{high:.4f}"


def _build_table(title: str, numbers: Sequence[str], words: Sequence[str]) -> Table:
    table = Table(
        title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD
    )
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    for name in words:
        is_short = name not in ("layers", "how", "parameters")
        table.add_column(name, no_wrap=is_short)
    return table


def answer_query(results: SweepResults, *, beats: str | None = None) -> list[str]:
    """The lines below the table.

    The smallest model above an F1 and the best one under a count, where those were
    asked for; the one to take; and the models that beat a published one, whose name contains
    the text ``beats``. Raises
    :class:`~paretune.errors.ConfigError` if no published point or more than one is
    called so.
    """
    lines = [*_extreme_lines(results), *_list_pick(results)]
    if beats is not None:
        reference = _find_reference(beats, results.references)
        lines.append(_describe_beating(results, reference))
    lines.append(_describe_objectives(results))
    if results.mixture:
        lines.append(f"Beware: {results.mixture}.")
    return lines


def _describe_objectives(results: SweepResults) -> str:
    """What the score is; of a study what became of both objectives."""
    score = results.score
    if not results.is_study:
        return f"F1 is {score.words}{_describe_images(results)}."
    if not score.is_minimised:
        return f"Minimised: {results.unit}; maximised: {score.words}."
    return (
        f"Minimised: {results.unit}, the cost, and {score.words}; "
        f"--cost {shlex.quote(score.words)} swaps their parts."
    )


def _describe_images(results: SweepResults) -> str:
    """How many images the best model was scored on, and what that is worth; empty
    where they were not counted.
    """
    best = records(results.members)[-1]
    if results.query.confirmed or isnan(best[VAL_IMAGES]):
        return ""
    images = best[VAL_IMAGES]
    worth = describe_unevenness(best) or f"one of them is {1 / images:.4f}"
    return f", on {images:,.0f} images: {worth}; se is the standard error"


def describe_unevenness(model: Mapping[str, Any]) -> str:
    """What the images that a model was scored on are worth, where their classes are so
    uneven that its F1 is clearly less certain than over as many of equal classes; else
    nothing.
    """
    effective = model[VAL_EFFECTIVE]
    if effective < EVEN * model[VAL_IMAGES]:
        return f"worth {effective:,.0f} of classes of equal size"
    return ""


def _extreme_lines(results: SweepResults) -> list[str]:
    """The smallest and the best model of those that were asked for."""
    query = results.query
    members = records(results.members)
    lines: list[str] = []
    if query.min_f1 is not None:
        smallest = _describe_model(members[0], results)
        lines.append(f"Smallest with F1 of at least {query.min_f1:g}: {smallest}")
    if query.most:
        bounds = [f"{most:,} {COSTS[cost].unit}" for cost, most in query.most.items()]
        best = _describe_model(members[-1], results)
        lines.append(f"Best with at most {' and '.join(bounds)}: {best}")
    return lines


def _list_pick(results: SweepResults) -> list[str]:
    """The model to take, where it is not the best one below a bound, which is told
    anyway.
    """
    model = pick_model(results)
    if model is None:
        return [f"No model to take: {describe_chance(results)}"]
    if results.query.most:
        return []
    return [describe_pick(model, results)]


def describe_pick(model: Mapping[str, Any], results: SweepResults) -> str:
    """The line on the model to take."""
    return f"To take: {_describe_model(model, results)}; {describe_rule(results)}"


def _describe_model(model: Mapping[str, Any], results: SweepResults) -> str:
    cost = model[results.cost]
    score = results.score.format(model[results.score.column])
    if results.is_study:
        return (
            f"{results.unit} {format_number(cost)}, {results.score.words} {score} "
            f"(trial {model['trial']})"
        )
    words = [f"run {model['run_id'][:8]}"]
    if model["family"]:
        words.insert(0, model["family"])
    return f"{cost:,.0f} {results.unit}, F1 {score} ({', '.join(words)})"


def format_beaten_references(
    models: DataFrame, references: Sequence[Reference]
) -> list[str]:
    """A line for each confirmed model that beats published ones.

    It has no more parameters, and the lower end of its interval is above their score.
    Of several ways in which a model was confirmed that of most seeds speaks for it.
    """
    lines: list[str] = []
    for model in records(select_most_seeds(models)):
        names = [
            _describe_reference(reference)
            for reference in references
            if reference.is_beaten_by(model)
        ]
        if names:
            lines.append(f"{_describe_scores(model)}, beats {'; '.join(names)}")
    return lines


def _describe_reference(reference: Reference) -> str:
    params = f"{reference.params:,}"
    score = f"{reference.score:.4f}"
    return f"{reference.name} ({params}: {score}, {reference.grade})"


def _describe_scores(model: Mapping[str, Any]) -> str:
    accuracy = format_mean_and_sd(model, "test_accuracy")
    return f"{_describe_f1(model)}, accuracy {accuracy}"


def _find_reference(name: str, references: Sequence[Reference]) -> Reference:
    """The published model whose name contains the text; the one of this very name, if
    several contain it.
    """
    text = name.lower()
    matches = [reference for reference in references if text in reference.name.lower()]
    exact = [reference for reference in matches if text == reference.name.lower()]
    candidates = exact or matches
    if len(candidates) != 1:
        raise _wrong_reference(name, len(candidates), candidates or references)
    return candidates[0]


def _wrong_reference(
    name: str, count: int, choices: Sequence[Reference]
) -> ConfigError:
    if not choices:
        return ConfigError(
            f"--beats `{name}` names no published point, as there are none for this "
            "data set; leave it out"
        )
    names = ", ".join(reference.name for reference in choices)
    return ConfigError(
        f"--beats `{name}` names {count} published points; expected one of: {names}; "
        "give more of its name"
    )


def _describe_beating(results: SweepResults, reference: Reference) -> str:
    """The models that beat a published one, in a sentence.

    Only confirmed test scores beat a published one; a validation F1 above it is a
    reason to confirm.
    """
    target = _describe_target(reference)
    better = _confirmed_above(results, reference)
    if better:
        names = "; ".join(map(_describe_f1, better))
        return f"Beat {target}, the lower end of the interval above it: {names}"
    candidates = _candidates_above(results, reference)
    if not candidates:
        return f"Nothing confirmed beats {target}"
    hint = _describe_model(candidates[0], results)
    return (
        f"Nothing confirmed beats {target}; worth paretune confirm by its validation "
        f"F1: {hint}"
    )


def _describe_target(reference: Reference) -> str:
    params = f"{reference.params:,} parameters"
    score = f"test {reference.metric} {reference.score:.4f}"
    return f"{reference.name} ({params}, {score}, {reference.grade})"


def _describe_f1(model: Mapping[str, Any]) -> str:
    params = model["n_params"]
    f1 = format_mean_and_sd(model, "test_f1")
    return f"{params:,.0f} parameters, test F1 {f1}"


def _confirmed_above(
    results: SweepResults, reference: Reference
) -> list[dict[str, Any]]:
    """The confirmed models, of those that were asked for, that beat a published one."""
    models = select_most_seeds(results.confirmed)
    asked_for = results.query.rows(models, results.score.column)
    return [model for model in records(asked_for) if reference.is_beaten_by(model)]


def _candidates_above(
    results: SweepResults, reference: Reference
) -> list[dict[str, Any]]:
    """The members of a front of validation F1 that are above a published model."""
    if results.query.confirmed:
        return []
    members = results.members
    is_small = members["n_params"] <= reference.params
    is_better = members[results.score.column] > reference.score
    return records(members[is_small & is_better])
