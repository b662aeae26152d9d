"""What the reports show of one or several sweeps: a table of trials, read once and filtered once."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from math import isfinite
from typing import Any

import numpy as np
from pandas import DataFrame, Series

from paretune import paths
from paretune.errors import ConfigError, StoreError, check_least
from paretune.front import Point
from paretune.reports.confirmed import Reference, confirmed, of_most_seeds, read_references
from paretune.settings import UNITS, mend
from paretune.tracking import Store, read_confirmations, read_trials
from paretune.tracking.read import column_of, complete_rows, front_rows, points_of, records
from paretune.tracking.store import COST_METRICS, N_PARAMS, VAL_F1
from paretune.trust import Trust

LEAST_ERROR = 1e-6  # of a front that makes none


def finite(value: Any) -> Any:
    """The same with null for every number that JSON has no word for."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not isfinite(value) else value


@dataclass(frozen=True)
class Query:
    """Which models a person asks for: costs, validation F1, families; with ``confirmed`` those alone, by their test F1.

    ``cost`` is what the front is drawn over; without one it is what the sweeps weighed against F1.
    """

    max_params: int | None = None
    min_f1: float | None = None
    families: tuple[str, ...] = ()
    confirmed: bool = False
    max_macs: int | None = None
    max_ram_bytes: int | None = None
    max_flash_bytes: int | None = None
    cost: str | None = None

    def __post_init__(self) -> None:
        if self.min_f1 is not None:
            check_least("--min-f1", self.min_f1, 0, most=1, whole=False)

    @property
    def part(self) -> str:
        """What is asked for as the name of a folder, such as ``max-params=5000,min-f1=0.97``; empty for all models."""
        parts: dict[str, Any] = {f"max-{cost.replace('_', '-')}": most for cost, most in self.most.items()}
        parts |= {"min-f1": self.min_f1, "family": "+".join(self.families) or None, "cost": self.cost}
        words = [f"{name}={value}" for name, value in parts.items() if value is not None]
        return ",".join([*(["confirmed"] if self.confirmed else []), *words])

    @property
    def most(self) -> dict[str, int]:
        """The largest costs asked for, by the costs' names."""
        bounds = {cost: getattr(self, f"max_{cost}") for cost in UNITS}
        return {cost: bound for cost, bound in bounds.items() if bound is not None}

    def rows(self, table: DataFrame, f1: str = VAL_F1) -> DataFrame:
        """The rows that are asked for, by the column ``f1``."""
        for cost, most in self.most.items():
            table = table[table[COST_METRICS[cost]] <= most]
        table = table if self.min_f1 is None else table[table[f1] >= self.min_f1]
        return table[_are_of(table, self.families)] if self.families else table

    def check_families(self, table: DataFrame) -> None:
        """Raise :class:`~paretune.errors.StoreError` for families that no trial of the ``table`` is of."""
        unknown = [family for family in self.families if not _are_of(table, [family]).any()]
        if unknown:
            known = sorted({*table["family"], *table["model"]} - {""})
            raise StoreError(
                f"--family `{', '.join(unknown)}` is of no trial of {', '.join(table['sweep'].unique())}; the families there are "
                f"{', '.join(known) or 'none yet'}; {mend(unknown[0], known, 'choose one of these')}"
            )


def _are_of(table: DataFrame, families: Collection[str]) -> "Series[bool]":
    """Which rows are of these families, by the names of their classes or of their files of ``conf/model``."""
    return table["family"].isin(families) | table["model"].isin(families)


@dataclass(frozen=True)
class SweepResults:
    """Sweeps, and what was asked of them.

    ``table`` has all their trials, in any state, as :func:`paretune.tracking.read_trials` gives them; ``confirmed`` a row for
    each model and way in which it was trained again (:func:`paretune.reports.confirmed.confirmed`). ``cost`` is the column
    that fronts are drawn over.
    """

    sweeps: Sequence[str]
    query: Query
    table: DataFrame
    confirmed: DataFrame
    references: Sequence[Reference] = ()
    caps: Mapping[str, int] = field(default_factory=dict)
    cost: str = N_PARAMS

    @property
    def unit(self) -> str:
        """What that cost counts, in words."""
        return UNITS[self.cost.removeprefix("n_")]

    @property
    def cap(self) -> int | None:
        """The cap of the cost that fronts are drawn over, if all sweeps had the same."""
        return self.caps.get(self.cost)

    @property
    def split(self) -> str:
        """The images that the models are compared on: ``val`` or ``test``."""
        return "test" if self.query.confirmed else "val"

    @property
    def f1(self) -> str:
        """The column by which the models are compared."""
        return f"{self.split}_f1"

    @property
    def score(self) -> str:
        """What that F1 is, in words."""
        return "test F1, mean of the seeds" if self.query.confirmed else "validation F1"

    @property
    def title(self) -> str:
        """One line for a heading."""
        what = "confirmed models" if self.query.confirmed else "complete trials"
        members = len(self.members)
        verb = "is" if members == 1 else "are"
        return f"{', '.join(self.sweeps)}: {members} of {len(self.complete)} {what} {verb} on the front{self._others}"

    @property
    def _others(self) -> str:
        """How many trials there are, and why the others are not among the models; empty where they all are."""
        if len(self.complete) == len(self.table):
            return ""
        states = self.table["state"].value_counts()
        reasons = [f"{states[state]:,} {state}" for state in ("raced", "failed", "running") if state in states]
        models, what = len(self.complete), "not asked for"
        if self.query.confirmed:
            models, what = self.table["run_id"].isin(self.confirmed["run_id"]).sum(), "not confirmed"
        left_out = states.get("complete", 0) - models
        if left_out:
            reasons.append(f"{left_out:,} {what}")
        why = f" ({', '.join(reasons)})" if reasons else ""
        return f"; {len(self.table):,} trials in all{why}"

    @property
    def mixture(self) -> str | None:
        """Why the models cannot be compared, in words, if they cannot."""
        data = self.complete["data"].unique()
        numbers = {config.get("cap", {}).get("dtype", "float32") for config in self.complete["config"]}
        if len(data) > 1:
            return f"the models are of different data ({', '.join(sorted(data))}), so that their F1 are not comparable"
        if len(numbers) > 1 and self.cost.endswith("bytes"):
            return f"{self.unit} are counted in {' and '.join(sorted(numbers))}, so that they are not comparable"
        return None

    @cached_property
    def complete(self) -> DataFrame:
        """The models to compare that were asked for: complete trials, or a row of ``confirmed`` for each model."""
        models = of_most_seeds(self.confirmed) if self.query.confirmed else complete_rows(self.table)
        return self.query.rows(models, self.f1)

    @cached_property
    def members(self) -> DataFrame:
        """Those on the front, by rising cost."""
        return self.front_of(self.complete)

    @cached_property
    def ways(self) -> DataFrame:
        """Every way in which the models that were asked for were trained again."""
        return self.confirmed[self.confirmed["run_id"].isin(self.complete["run_id"])]

    @property
    def confirmed_of_these(self) -> DataFrame:
        """Of the models that were asked for and trained again, the way that most seeds were given to."""
        return of_most_seeds(self.ways)

    @cached_property
    def trials(self) -> DataFrame:
        """The trials that were asked for, and all that are not complete."""
        asked = self.query.rows(self.table)["run_id"]
        return self.table[(self.table["state"] != "complete") | self.table["run_id"].isin(asked)]

    def front_of(self, models: DataFrame) -> DataFrame:
        """Those of ``models`` that are on the front of these alone, by rising cost."""
        return front_rows(models, self.cost, self.f1)

    def near(self, count: int) -> set[str]:
        """Ids of the runs of so many models that are nearest to the front, by their error over that of the front there."""
        errors, best = 1 - self.complete[self.f1], 1 - self.members[self.f1].to_numpy()
        place = self.members[self.cost].searchsorted(self.complete[self.cost], side="right") - 1
        excess = (errors / np.maximum(best[place], LEAST_ERROR)).sort_values(kind="stable")
        return set(self.complete.loc[excess.index[:count], "run_id"])

    def point(self, run: str | None = None) -> Point:
        """The best member of the front, or the model whose run id starts with ``run`` (as it was confirmed with most seeds).

        Raises :class:`~paretune.errors.ConfigError` if there is no such model, or more than one.
        """
        if not run:
            return points_of(self.members.tail(1), self.split)[0]
        models = self.complete[self.complete["run_id"].str.startswith(run)]
        points = points_of(models, self.split)
        if len(points) != 1:
            what, option = ("confirmed models", " --confirmed") if self.query.confirmed else ("complete trials", "")
            raise ConfigError(
                f"--run `{run}` fits {len(points)} {what} of {', '.join(self.sweeps)}; expected one; "
                f"see the run column of paretune pareto{option}"
            )
        return points[0]

    def confirmation(self, run_id: str) -> dict[str, Any] | None:
        """The row of ``confirmed`` for the way of training a model again that most seeds were given to, if it was."""
        ways = of_most_seeds(self.confirmed[self.confirmed["run_id"] == run_id])
        return next(iter(records(ways)), None)


def find(store: Store, sweeps: Sequence[str], query: Query) -> SweepResults:
    """Read the sweeps, and the published points of their data set (``conf/references``).

    Raises :class:`~paretune.errors.StoreError` if a sweep is not there, or has nothing that was asked for.
    """
    table, names = with_costs(read_trials(store, *sweeps)), ", ".join(sweeps)
    query.check_families(table)
    trials = complete_rows(table)
    confirmations = confirmed(trials, read_confirmations(store, *sweeps))
    models = SweepResults(sweeps, query, table, confirmations).complete
    if query.confirmed and confirmations.empty:
        raise StoreError(
            f"sweep `{names}` has no confirmed model; expected at least one; run paretune confirm {sweeps[0]} first"
        )
    if models.empty:
        what, more = (
            ("confirmed model", "confirm more") if query.confirmed else ("finished trial", "let the sweep run on")
        )
        raise StoreError(
            f"sweep `{names}` has no {what} that was asked for ({len(trials)} finished in all); expected at least "
            f"one; widen --max-params, --min-f1 and --family, or {more}"
        )
    bounds = {
        c: {config.get("cap", {}).get(f"max_{cost}") for config in models["config"]} for cost, c in COST_METRICS.items()
    }
    caps = {column: bound for column, values in bounds.items() if len(values) == 1 and (bound := values.pop())}
    data, column = models["data"].unique(), COST_METRICS[query.cost] if query.cost else column_of(table)
    published = read_references(paths.CONF / f"references/{data[0]}.yaml") if len(data) == 1 else []
    results = SweepResults(sweeps, query, table, confirmations, published, caps, column)
    if results.members.empty:
        raise StoreError(
            f"sweep `{names}` has no model whose {results.unit} are known; expected one; choose another --cost"
        )
    return results


def with_costs(table: DataFrame) -> DataFrame:
    """The table with the costs of complete trials counted by their configs, where an earlier version did not log them."""
    uncounted = complete_rows(table)
    uncounted = uncounted[uncounted["macs"].isna()]
    if uncounted.empty:
        return table
    from paretune.models import measure  # imports torch

    trust = Trust()

    table = table.copy()
    for row, config in uncounted["config"].items():
        with suppress(ConfigError, KeyError, StoreError):
            trust.check(config, "the run")
            costs = measure(config["model"], config.get("cap", {}).get("dtype", "float32"))
            table.loc[row, [*COST_METRICS.values()][1:]] = [costs.macs, costs.ram_bytes, costs.flash_bytes]
    return table


SHAPING = ("stem", "width", "steps", "pooled", "five", "one", "three", "merged")  # what a family has instead of widths


def layers_of(config: Mapping[str, Any]) -> str:
    """The settings that shape the network, in short: ``8-12-12 k3 batch`` is its widths, kernels and norm."""
    model = config.get("model", {})
    widths, depth = model.get("widths"), model.get("depth")
    widths = widths if isinstance(widths, list | tuple) else [widths] if widths else []
    depth = depth if isinstance(depth, int) else None  # of a family of one's own it may be anything
    words = [_joined(widths[:depth])] if widths else []
    words += [f"{name} {_joined(model[name])}" for name in SHAPING if model.get(name)]
    words += [f"{model['depthwise_kernels']} kernels"] if model.get("depthwise_kernels") else []
    if "kernel_size" in model:
        sides = model["kernel_size"]
        if depth and widths and isinstance(sides, list | tuple):  # some are of layers that were not built
            first = 1 if model.get("stem") else 0
            sides = [*sides[: first + depth], *sides[first + len(widths) :]]
            sides = sides[0] if len(set(sides)) == 1 else sides
        words.append(f"k{_joined(sides)}")
    if depth and isinstance(model.get("pool_after"), list | tuple):
        last = depth + bool(model.get("stem"))
        words.append(f"pools {_joined([number for number in model['pool_after'] if number <= last])}")
    words += [norm] if isinstance(norm := model.get("norm"), str) and norm != "none" else []
    words += [f"{name} {_joined(model[name])}" for name in ("neck", "head") if model.get(name)]
    words += ["class maps"] if model.get("class_maps") else []
    words += [f"{views} views"] if isinstance(views := model.get("views"), int) and views > 1 else []
    return " ".join(words)


def _joined(value: Any) -> str:
    return "-".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
