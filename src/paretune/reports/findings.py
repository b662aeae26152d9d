"""The trials of one or several sweeps that a report shows: a table, read once and
filtered once.
"""

from collections.abc import Collection, Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from pandas import DataFrame

from paretune import paths
from paretune.costs import COSTS, Cost
from paretune.errors import ConfigError, StoreError
from paretune.front import Floats, Point, front, front_volume
from paretune.reports.confirmed import (
    Reference,
    read_references,
    select_most_seeds,
    summarize_trainings,
)
from paretune.reports.objectives import Objectives
from paretune.reports.query import Query
from paretune.scores import TEST_F1, VALIDATION_F1, Score, ScoreKind
from paretune.tracking import Store, read_confirmations, read_trials
from paretune.tracking.points import points_of
from paretune.tracking.schema import N_PARAMS, Split
from paretune.tracking.trial_table import (
    column_of,
    complete_rows,
    records,
)
from paretune.trust import Trust

LEAST_FRONT_ERROR = 1e-6  # of a front that makes none
UNFINISHED_STATES = (
    "raced",
    "pruned",
    "infeasible",
    "not finite",
    "failed",
    "running",
    "waiting",
)


@dataclass(frozen=True)
class SweepResults:
    """Sweeps, and what was asked of them.

    ``table`` has all their trials, in any state, as
    :func:`paretune.tracking.read_trials` gives them. ``confirmed`` has a row for each
    model and way in which it was trained again, as
    :func:`paretune.reports.confirmed.summarize_trainings` gives them. ``cost`` is the
    column that fronts are drawn over. ``objectives`` are those of a study of anybody's,
    whose trials are no trainings that Paretune knows.
    """

    sweeps: Sequence[str]
    query: Query
    table: DataFrame
    confirmed: DataFrame
    references: Sequence[Reference] = ()
    caps: Mapping[str, int] = field(default_factory=dict)
    cost: str = N_PARAMS
    objectives: Objectives | None = None

    @property
    def is_study(self) -> bool:
        """Whether the trials are of a study of anybody's: without families, layers, runs
        and confirmations.
        """
        return self.objectives is not None

    @property
    def costs(self) -> Mapping[str, Cost]:
        """The costs that are known of the models, by name."""
        if self.objectives is None:
            return COSTS
        return {self.objectives.cost.name: self.objectives.cost}

    @property
    def weighed(self) -> Cost:
        """The cost that fronts are drawn over."""
        by_metric = {cost.metric: cost for cost in self.costs.values()}
        return by_metric[self.cost]

    @property
    def cost_name(self) -> str:
        """The name of that cost, as settings and options have it."""
        return self.weighed.name

    @property
    def unit(self) -> str:
        """The unit of that cost, in words."""
        return self.weighed.unit

    @property
    def cap(self) -> int | None:
        """The cap of the cost that fronts are drawn over, if all sweeps had the
        same.
        """
        return self.caps.get(self.cost)

    @property
    def split(self) -> Split:
        """The images that the models are compared on."""
        if self.query.confirmed:
            return Split.TEST
        return Split.VALIDATION

    @property
    def score(self) -> Score:
        """What the models are compared by, beside that cost."""
        if self.query.confirmed:
            return TEST_F1
        return self.searched_score

    @property
    def searched_score(self) -> Score:
        """What the search compared them by."""
        if self.objectives is None:
            return VALIDATION_F1
        return self.objectives.score

    @property
    def has_log_cost(self) -> bool:
        """Whether the axis of the cost is logarithmic."""
        return self.objectives is None or self.objectives.scales.log_cost

    @property
    def has_log_score(self) -> bool:
        """Whether the axis of the score, or of a share's error, is logarithmic."""
        return self.objectives is None or self.objectives.scales.log_error

    @property
    def title(self) -> str:
        """One line for a heading."""
        kind = "complete trials"
        if self.query.confirmed:
            kind = "confirmed models"
        members = len(self.members)
        verb = "are"
        if members == 1:
            verb = "is"
        sweeps = ", ".join(self.sweeps)
        return (
            f"{sweeps}: {members} of {len(self.models)} {kind} {verb} on the "
            f"front{self._others}"
        )

    @property
    def _others(self) -> str:
        """How many trials there are, and why the others are not among the models; empty
        where they all are.
        """
        if len(self.models) == len(self.table):
            return ""
        total = f"; {len(self.table):,} trials in all"
        reasons = [
            f"{count:,} {state}"
            for state, count in count_unfinished(self.table).items()
        ]
        reasons += self._left_out()
        if not reasons:
            return total
        return f"{total} ({', '.join(reasons)})"

    def _left_out(self) -> list[str]:
        """How many complete trials are not among the models, and why; empty if all
        are.
        """
        count = (self.table["state"] == "complete").sum()
        if self.query.confirmed:
            count -= self.table["run_id"].isin(self.confirmed["run_id"]).sum()
            reason = "not confirmed"
        else:
            count -= len(self.models)
            reason = "not asked for"
        if count == 0:
            return []
        return [f"{count:,} {reason}"]

    @property
    def mixture(self) -> str | None:
        """Why the models cannot be compared, in words, if they cannot."""
        if self.is_study:
            return None
        data = sorted(self.models["data"].unique())
        dtypes = sorted({_dtype_of(config) for config in self.models["config"]})
        if len(data) > 1:
            names = ", ".join(data)
            return (
                f"the models are of different data ({names}), so that their F1 are "
                "not comparable"
            )
        if len(dtypes) > 1 and self.weighed.depends_on_dtype:
            names = " and ".join(dtypes)
            return (
                f"{self.unit} are counted in {names}, so that they are not comparable"
            )
        return None

    @cached_property
    def models(self) -> DataFrame:
        """The models to compare that were asked for: complete trials, or a row of
        ``confirmed`` for each model.
        """
        if self.query.confirmed:
            models = select_most_seeds(self.confirmed)
        else:
            models = complete_rows(self.table, self.score.column)
        return self.query.rows(models, self.score.column)

    @cached_property
    def members(self) -> DataFrame:
        """Those on the front, by rising cost."""
        return self.front_of(self.models)

    @cached_property
    def ways(self) -> DataFrame:
        """Every way in which the models that were asked for were trained again."""
        is_asked_for = self.confirmed["run_id"].isin(self.models["run_id"])
        return self.confirmed[is_asked_for]

    @property
    def confirmed_of_these(self) -> DataFrame:
        """Of the models that were asked for and trained again, the way that most seeds
        were given to.
        """
        return select_most_seeds(self.ways)

    @cached_property
    def trials(self) -> DataFrame:
        """The trials that were asked for, and all that are not complete."""
        asked_for = self.query.rows(self.table, self.searched_score.column)
        table = self.table
        is_open = table["state"] != "complete"
        is_asked_for = table["run_id"].isin(asked_for["run_id"])
        return table[is_open | is_asked_for]

    def front_of(self, models: DataFrame) -> DataFrame:
        """Those of ``models`` that are on the front of these alone, by rising cost."""
        return models.iloc[front(self.losses_of(models))]

    def losses_of(self, models: DataFrame, score: Score | None = None) -> Floats:
        """What a front minimises, ``(N, 2)``: the cost and the error of each of the
        ``models``, by another ``score`` if there is one.
        """
        score = score or self.score
        errors = score.errors(models[score.column])
        return np.column_stack([models[self.cost].to_numpy(float), errors])

    def volume_of(self, members: DataFrame) -> float:
        """The area below the front that the ``members`` are, by the scores of the
        search.
        """
        if self.objectives:
            return self.objectives.volume_of(self.losses_of(members))
        f1 = members[VALIDATION_F1.column]
        return front_volume(members[self.cost], f1, self.cap, self.cost_name)

    def near(self, count: int) -> set[str]:
        """Run ids of the ``count`` models nearest to the front, by their error over
        that of the front there; of a score that is no share by how far it is above.
        """
        errors = self.losses_of(self.models)[:, 1]
        front_errors = self._front_errors()
        if self.score.kind is ScoreKind.SHARE:
            distances = errors / np.maximum(front_errors, LEAST_FRONT_ERROR)
        else:
            distances = errors - front_errors
        nearest = np.argsort(distances, kind="stable")[:count]
        return set(self.models["run_id"].iloc[nearest])

    def _front_errors(self) -> Floats:
        """For each of the models the error of the front at its cost."""
        costs = self.models[self.cost]
        member_costs = self.members[self.cost]
        member_errors = self.losses_of(self.members)[:, 1]
        places = member_costs.searchsorted(costs, side="right") - 1
        errors: Floats = member_errors[places]
        return errors

    def point(self, run: str) -> Point:
        """The model whose run id starts with ``run``.

        Of a confirmed model it is as it was trained with most seeds. Raises
        :class:`~paretune.errors.ConfigError` if there is no such model, or more than
        one.
        """
        is_named = self.models["run_id"].str.startswith(run)
        points = points_of(self.models[is_named], self.split)
        if len(points) != 1:
            raise self._wrong_run(run, len(points))
        return points[0]

    def _wrong_run(self, run: str, count: int) -> ConfigError:
        kind = "complete trials"
        option = ""
        if self.query.confirmed:
            kind = "confirmed models"
            option = " --confirmed"
        return ConfigError(
            f"--run `{run}` fits {count} {kind} of {', '.join(self.sweeps)}; expected "
            f"one; see the run column of paretune pareto{option}"
        )

    def confirmation(self, run_id: str) -> dict[str, Any] | None:
        """The row of ``confirmed`` for the way of training a model again that most
        seeds were given to, if it was.
        """
        ways = self.confirmed[self.confirmed["run_id"] == run_id]
        rows = records(select_most_seeds(ways))
        return next(iter(rows), None)


def count_unfinished(table: DataFrame) -> dict[str, int]:
    """How many trials were raced, failed or are running, by these states; a state that
    none is in is left out.
    """
    counts = table["state"].value_counts()
    unfinished: dict[str, int] = {}
    for state in UNFINISHED_STATES:
        if state in counts:
            unfinished[state] = int(counts[state])
    return unfinished


def read_results(store: Store, sweeps: Sequence[str], query: Query) -> SweepResults:
    """The results of sweeps, with the published points of their data set
    (``conf/references``).

    Raises :class:`~paretune.errors.StoreError` if a sweep is not there, or has nothing
    that was asked for.
    """
    table = with_costs(read_trials(store, *sweeps))
    query.check_families(table)
    confirmations = summarize_trainings(
        complete_rows(table), read_confirmations(store, *sweeps)
    )
    models = SweepResults(sweeps, query, table, confirmations).models
    _check_models(models, sweeps, query, table, confirmations)
    results = SweepResults(
        sweeps,
        query,
        table,
        confirmations,
        references=_read_published(models),
        caps=_shared_caps(models["config"]),
        cost=_cost_column(query, table),
    )
    _check_members(results)
    return results


def _check_models(
    models: DataFrame,
    sweeps: Sequence[str],
    query: Query,
    table: DataFrame,
    confirmations: DataFrame,
) -> None:
    names = ", ".join(sweeps)
    if query.confirmed and confirmations.empty:
        raise StoreError(
            f"sweep `{names}` has no confirmed model; run paretune confirm "
            f"{sweeps[0]} first"
        )
    if not models.empty:
        return
    kind = "finished trial"
    remedy = "let the sweep run on"
    if query.confirmed:
        kind = "confirmed model"
        remedy = "confirm more"
    raise StoreError(
        f"sweep `{names}` has no {kind} that was asked for "
        f"({len(complete_rows(table))} finished in all); "
        f"widen --max-params, --min-f1 and --family, or {remedy}"
    )


def _check_members(results: SweepResults) -> None:
    if not results.members.empty:
        return
    names = ", ".join(results.sweeps)
    raise StoreError(
        f"sweep `{names}` has no model whose {results.unit} are known; choose "
        "another --cost"
    )


def _read_published(models: DataFrame) -> list[Reference]:
    """The published points of the models' data set; none if the models are of
    several.
    """
    data = models["data"].unique()
    if len(data) != 1:
        return []
    return read_references(paths.CONF / f"references/{data[0]}.yaml")


def _shared_caps(configs: Collection[Mapping[str, Any]]) -> dict[str, int]:
    """By column the caps that all configs have alike."""
    caps: dict[str, int] = {}
    for cost in COSTS.values():
        bounds = {_cap_of(config).get(cost.bound) for config in configs}
        bound = bounds.pop()
        if bound and not bounds:
            caps[cost.metric] = bound
    return caps


def _cost_column(query: Query, table: DataFrame) -> str:
    if query.cost:
        return COSTS[query.cost].metric
    return column_of(table)


def with_costs(table: DataFrame) -> DataFrame:
    """The table with the costs of complete trials counted by their configs, where their
    runs have not all of them.
    """
    trials = complete_rows(table)
    columns = [cost.metric for cost in COSTS.values()]
    uncounted = trials[trials[columns].isna().any(axis=1)]
    if uncounted.empty:
        return table
    trust = Trust()
    counted = table.copy()
    for row, config in uncounted["config"].items():
        with suppress(ConfigError, KeyError, StoreError):
            trust.check(config, "the run")
            _write_costs(counted, row, config)
    return counted


def _write_costs(table: DataFrame, row: Hashable, config: Mapping[str, Any]) -> None:
    from paretune.models import measure  # imports torch

    costs = measure(config["model"], _dtype_of(config)).costs
    for name, value in costs.items():
        if name != "params":
            table.loc[row, COSTS[name].metric] = value


def _dtype_of(config: Mapping[str, Any]) -> str:
    dtype: str = _cap_of(config).get("dtype", "float32")
    return dtype


def _cap_of(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The caps that a training was under; those of another app may have none."""
    cap: Mapping[str, Any] = config.get("cap", {})
    return cap
