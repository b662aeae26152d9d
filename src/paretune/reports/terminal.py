"""The front as a table in the terminal."""

from collections.abc import Mapping, Sequence
from math import isnan
from typing import Any

from pandas import DataFrame
from rich import box
from rich.table import Table

from paretune.errors import ConfigError
from paretune.front import costs_of, knee
from paretune.reports.confirmed import Reference, format_mean_and_sd, select_most_seeds
from paretune.reports.findings import SweepResults
from paretune.reports.layer_words import format_layers
from paretune.settings import UNITS
from paretune.tracking.read import records

SHORT = {"n_params": "params", "macs": "MACs", "ram_bytes": "RAM B", "flash_bytes": "flash for weights B"}


WIDE = 105  # columns of a terminal that has room for every cost


def results_table(results: SweepResults, width: int = WIDE) -> Table:
    """The members of the front by rising cost, on ``width`` columns; with ``confirmed`` every way in which they were confirmed."""
    if results.query.confirmed:
        is_member = results.confirmed["run_id"].isin(results.members["run_id"])
        return confirmed_table(results.confirmed[is_member], results.title)
    columns = [column for column in SHORT if width >= WIDE or column in ("n_params", results.cost)]
    costs = [SHORT[column] for column in columns]
    table = _table(results.title, (*costs, "val F1", "val acc"), ("family", "layers", "run"))
    for row in records(results.members):
        counts = [f"{row[column]:,.0f}" if column == "n_params" else short(row[column]) for column in columns]
        scores = (f"{row['val_f1']:.4f}", f"{row['val_accuracy']:.4f}")
        table.add_row(*counts, *scores, row["family"], format_layers(row["config"]), row["run_id"][:8])
    return table


def short(value: float) -> str:
    """A count to three digits: ``812``, ``81.2k``, ``1.52M``; nothing for one that is not known."""
    if isnan(value):
        return ""
    value = float(f"{value:.3g}") if value >= 1000 else value
    power = min((len(f"{value:.0f}") - 1) // 3, 3)
    return f"{value:.0f}" if power == 0 else f"{value / 1000**power:#.3g}".rstrip(".") + " kMG"[power]


def confirmed_table(models: DataFrame, title: str) -> Table:
    """Confirmed models by rising parameter count, with mean ± deviation of ``n`` seeds and the 95 % interval of the mean."""
    ways = ("how",) if models["how"].nunique() > 1 else ()
    table = _table(title, ("params", "n", "test F1", "95 %", "acc"), ("family", "run", *ways))
    for row in records(models):
        interval = f"{row['test_f1_low']:.4f}-{row['test_f1_high']:.4f}" if row["seeds"] > 1 else ""
        scores = (format_mean_and_sd(row, "test_f1"), interval, f"{row['test_accuracy']:.4f}")
        table.add_row(
            f"{row['n_params']:,.0f}",
            str(row["seeds"]),
            *scores,
            row["family"],
            row["run_id"][:8],
            *(row[way] for way in ways),
        )
    return table


def _table(title: str, numbers: Sequence[str], words: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    for name in words:
        table.add_column(name, no_wrap=name not in ("layers", "how"))
    return table


def answers(results: SweepResults, *, beats: str | None = None) -> list[str]:
    """The smallest model above an F1 and the best one under a count, where those were asked for; the knee; and what
    ``beats`` a published point whose name contains that text.

    Raises :class:`~paretune.errors.ConfigError` if no published point or more than one is called so.
    """
    members, query = records(results.members), results.query
    lines = []
    if query.min_f1 is not None:
        lines.append(f"Smallest with F1 of at least {query.min_f1:g}: {_model(members[0], results)}")
    if query.most:
        bounds = " and ".join(f"{most:,} {UNITS[cost]}" for cost, most in query.most.items())
        lines.append(f"Best with at most {bounds}: {_model(members[-1], results)}")
    bend = knee(costs_of(results.members[results.cost], results.members[results.f1]))
    if len(members) > 2 and bend is not None:
        lines.append(f"Knee of the front: {_model(members[bend], results)}")
    if beats is not None:
        lines.append(_beating(results, _named(beats, results.references)))
    lines.append(f"F1 is {results.score}.")
    lines += [f"Beware: {mixture}."] if (mixture := results.mixture) else []
    return lines


def beaten(models: DataFrame, references: Sequence[Reference]) -> list[str]:
    """A line for each confirmed model that beats published ones: no more parameters, the interval's lower end above the score.

    Of several ways in which a model was confirmed that of most seeds speaks for it.
    """
    lines = []
    for row in records(select_most_seeds(models)):
        names = [f"{r.name} ({r.params:,}: {r.score:.4f}, {r.grade})" for r in references if r.is_beaten_by(row)]
        if names:
            scores = (
                f"test F1 {format_mean_and_sd(row, 'test_f1')}, accuracy {format_mean_and_sd(row, 'test_accuracy')}"
            )
            lines.append(f"{row['n_params']:,.0f} parameters, {scores}, beats {'; '.join(names)}")
    return lines


def _model(row: Mapping[str, Any], results: SweepResults) -> str:
    size = f"{row[results.cost]:,.0f} {results.unit}"
    return f"{size}, F1 {row[results.f1]:.4f} ({row['family']}, run {row['run_id'][:8]})"


def _named(name: str, references: Sequence[Reference]) -> Reference:
    matches = [reference for reference in references if name.lower() in reference.name.lower()]
    matches = [reference for reference in matches if reference.name.lower() == name.lower()] or matches
    if len(matches) != 1:
        choices = ", ".join(reference.name for reference in (matches or references)) or "none for this data set"
        raise ConfigError(
            f"--beats `{name}` names {len(matches)} published points; expected one of: {choices}; give more of its name"
        )
    return matches[0]


def _beating(results: SweepResults, reference: Reference) -> str:
    """Only confirmed test scores beat a published one; a validation F1 above it is a reason to confirm."""
    target = f"{reference.name} ({reference.params:,} parameters, test {reference.metric} {reference.score:.4f}, {reference.grade})"
    models = records(results.query.rows(select_most_seeds(results.confirmed), results.f1))
    better = [row for row in models if reference.is_beaten_by(row)]
    if better:
        names = "; ".join(
            f"{row['n_params']:,.0f} parameters, test F1 {format_mean_and_sd(row, 'test_f1')}" for row in better
        )
        return f"Beat {target}, the lower end of the interval above it: {names}"
    members = results.members
    near = members[(members["n_params"] <= reference.params) & (members[results.f1] > reference.score)]
    if near.empty or results.query.confirmed:
        return f"Nothing confirmed beats {target}"
    hint = _model(records(near)[0], results)
    return f"Nothing confirmed beats {target}; worth paretune confirm by its validation F1: {hint}"
