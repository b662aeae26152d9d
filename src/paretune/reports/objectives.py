"""The two objectives of a study of anybody's, and the scales that show them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from paretune.costs import Cost
from paretune.errors import ConfigError
from paretune.front import LEAST_ERROR, Floats, hypervolume
from paretune.scores import Score, ScoreKind
from paretune.settings import advise

# The columns of both in the table of trials.
COST_COLUMN = "cost_value"
SCORE_COLUMN = "score_value"
WIDE_RANGE = 10.0  # largest over smallest, from which on an axis is logarithmic
# Of the range of each objective: the volume reaches so far beyond the worst trial, so
# that the ends of the front count, too.
BEYOND_WORST = 0.1
MINIMIZE = "minimize"
N_OBJECTIVES = 2


@dataclass(frozen=True)
class Roles:
    """The places of cost and score among a study's values, and the names of both."""

    cost: int
    score: int
    names: Sequence[str]

    @property
    def cost_name(self) -> str:
        """The name of the objective that is the cost."""
        return self.names[self.cost]

    @property
    def score_name(self) -> str:
        """The name of the other one."""
        return self.names[self.score]


@dataclass(frozen=True, slots=True)
class Scales:
    """Which of the axes of cost and error are logarithmic; an error counts as
    ``least_error`` at least.
    """

    log_cost: bool
    log_error: bool
    least_error: float

    def apply(self, losses: Floats) -> Floats:
        """The places of ``losses`` ``(N, 2)`` on the axes."""
        scaled = np.array(losses, float)
        if self.log_cost:
            scaled[:, 0] = np.log10(scaled[:, 0])
        if self.log_error:
            scaled[:, 1] = np.log10(np.maximum(scaled[:, 1], self.least_error))
        return scaled


@dataclass(frozen=True)
class Objectives:
    """A cost and a score as a report shows them.

    ``lowest`` and ``highest`` are the ends of both among all complete trials, as
    ``(cost, error)`` on the axes.
    """

    cost: Cost
    score: Score
    scales: Scales
    lowest: Floats
    highest: Floats

    def volume_of(self, losses: Floats) -> float:
        """The share, 0 to 1, of the rectangle of all trials that points with these
        ``losses`` ``(N, 2)`` dominate, on the axes' scales.
        """
        ranges = self.highest - self.lowest
        places = self.scales.apply(losses) - self.lowest
        end = 1 + BEYOND_WORST
        return (
            hypervolume(places / np.where(ranges > 0, ranges, 1), (end, end)) / end**2
        )


def choose_roles(
    study: str, directions: Sequence[str], names: Sequence[str], cost: str | None
) -> Roles:
    """Which of a study's two objectives is the cost: what is minimised; of two that are
    minimised the first, or the one that is called ``cost``.

    Objectives without ``names`` are called cost and score; a score that is minimised
    loss. Raises :class:`~paretune.errors.ConfigError` for a study of other than two
    objectives, of two that are maximised, and for a ``cost`` that is none of its.
    """
    _check_objectives(study, directions)
    place = _place_of_cost(directions)
    shown = list(names)
    if not shown:
        other = "loss" if directions[1 - place] == MINIMIZE else "score"
        shown = ["cost", other] if place == 0 else [other, "cost"]
    if cost is not None:
        place = _place_of_named(study, directions, shown, cost)
    return Roles(place, 1 - place, shown)


def _check_objectives(study: str, directions: Sequence[str]) -> None:
    if len(directions) != N_OBJECTIVES:
        count = f"{len(directions)} objectives"
        if len(directions) == 1:
            count = "one objective"
        raise ConfigError(
            f"study `{study}` has {count}; a front of costs and scores needs two; "
            "choose another study by --name"
        )
    if MINIMIZE not in directions:
        raise ConfigError(
            f"study `{study}` maximises both of its objectives, so that none is a cost; "
            "expected one that is minimised"
        )


def _place_of_cost(directions: Sequence[str]) -> int:
    return list(directions).index(MINIMIZE)


def _place_of_named(
    study: str, directions: Sequence[str], names: Sequence[str], cost: str
) -> int:
    choices = [
        name
        for name, direction in zip(names, directions, strict=True)
        if direction == MINIMIZE
    ]
    if cost not in choices:
        hint = advise(cost, choices, "choose one of these, or leave it out")
        raise ConfigError(
            f"--cost `{cost}` is nothing that study `{study}` minimises; it minimises "
            f"{', '.join(choices)}; {hint}"
        )
    return list(names).index(cost)


def build_objectives(
    roles: Roles, costs: ArrayLike, scores: ArrayLike, direction: str
) -> Objectives:
    """The objectives of complete trials with these ``costs`` and ``scores`` ``(N,)``;
    ``direction`` is that of the score.
    """
    kind = _kind_of_score(scores, direction)
    score = _make_score(roles.score_name, kind)
    losses = np.column_stack([np.asarray(costs, float), score.errors(scores)])
    scales = _choose_scales(losses, kind)
    places = scales.apply(losses)
    return Objectives(
        _make_cost(roles.cost_name),
        score,
        scales,
        lowest=places.min(axis=0),
        highest=places.max(axis=0),
    )


def _choose_scales(losses: Floats, kind: ScoreKind) -> Scales:
    log_cost = _is_wide(losses[:, 0])
    if kind is ScoreKind.SHARE:
        return Scales(log_cost, True, LEAST_ERROR)
    log_error = kind is ScoreKind.LOSS and _is_wide(losses[:, 1])
    return Scales(log_cost, log_error, 0.0)


def _make_cost(name: str) -> Cost:
    return Cost("cost", name, heading=name, column=name, help=name, metric=COST_COLUMN)


def _make_score(name: str, kind: ScoreKind) -> Score:
    return Score(SCORE_COLUMN, heading=name, words=name, axis=name, kind=kind)


def _kind_of_score(values: ArrayLike, direction: str) -> ScoreKind:
    """What the numbers of a score are: a share, if it is maximised and all of them are
    between 0 and 1.
    """
    if direction == MINIMIZE:
        return ScoreKind.LOSS
    numbers = np.asarray(values, float)
    if ((numbers >= 0) & (numbers <= 1)).all():
        return ScoreKind.SHARE
    return ScoreKind.GAIN


def _is_wide(values: Floats) -> bool:
    """Whether values are shown on a logarithmic axis: all above zero, and over a wide
    range.
    """
    smallest = float(values.min())
    return smallest > 0 and float(values.max()) >= WIDE_RANGE * smallest
