"""Which models of a front are finished and confirmed, with how many epochs and seeds, so
that it fits into the time that is left.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import Any, Self

from paretune.front import front_volume

# How many models are finished at most. Where hours are short there are fewer models
# before each of them is trained less thoroughly, ...
MOST_MEMBERS = 20
FEWER_MEMBERS = (MOST_MEMBERS, 16, 12, 8, 6)
# ... down to so many, and fewer still where there is hardly any time.
FEWEST_MEMBERS = (6, 4, 3, 2)
FEWEST_WITH_WAYS = 4
MOST_BANDS = 3
# Of the best score on the front: a model below it is of no use to anybody.
LEAST_SHARE = 0.8
# Ways that a model of each size is tried in: six at first, and four then.
WAYS_TRIED = 10
# Of the time of an epoch in the search: augmentation, several starts and teachers take
# longer.
LONGER_EPOCH = 1.4
# Of each training what is not an epoch: Hydra, the store, a look at the test set.
TRAINING_S = 1.0
# Of the sweeps of trainings, until their workers have begun: two that try ways, one
# that confirms.
SWEEP_S = 10.0
TRYING_SWEEPS = 2


@dataclass(frozen=True)
class Member:
    """A model on the front of a search: its run, its ``cost``, its ``score`` and the
    standard error of that, the seconds of an epoch of its training, and the ``folds``
    that it was scored in.
    """

    run_id: str
    cost: float
    score: float
    epoch_s: float
    standard_error: float = 0.0
    folds: int = 1


@dataclass(frozen=True)
class Time:
    """So many ``seconds`` of ``n_workers``."""

    seconds: float
    n_workers: int


@dataclass(frozen=True)
class FinishPlan:
    """The runs whose models are trained to the end, by rising cost, for so many
    ``epochs``; the runs of the models of each size that choose the way
    (``representatives``); and with how many ``seeds`` the models are confirmed.
    """

    run_ids: tuple[str, ...]
    representatives: tuple[str, ...]
    epochs: int
    seeds: int

    @classmethod
    def read(cls, plain: Mapping[str, Any]) -> Self:
        """The plan that was written as plain data."""
        return cls(
            run_ids=tuple(plain["run_ids"]),
            representatives=tuple(plain["representatives"]),
            epochs=int(plain["epochs"]),
            seeds=int(plain["seeds"]),
        )


@dataclass(frozen=True)
class _Level:
    """How thoroughly models are finished: ``longer`` times as many epochs as in the
    search, ways tried for so many ``bands`` of sizes, and so many ``seeds``.
    """

    longer: int
    bands: int
    seeds: int


def plan_finish(
    members: Sequence[Member],
    search_epochs: int,
    seeds: int,
    time: Time,
    cost: str = "params",
) -> FinishPlan:
    """The plan for the ``members`` of a front that takes no longer than the ``time``
    that there is, by what their trainings took in the search.

    Where hours are short models are left out first, as the others stand for their
    sizes, then seeds, then epochs, and at last the trying of ways. One model with one
    seed is the least.
    """
    useful = keep_better(keep_useful(members))
    thinned = _thin_to_each(useful, cost)
    for most, level in _list_extents(seeds):
        chosen = thinned[most]
        plan = _make_plan(chosen, search_epochs, level)
        if guess_s(chosen, plan, time.n_workers) <= time.seconds:
            break
    return plan


def keep_useful(members: Sequence[Member]) -> list[Member]:
    """Those of the members whose scores are not far below the best one, by rising
    cost.
    """
    best = max(member.score for member in members)
    useful = [member for member in members if member.score >= LEAST_SHARE * best]
    return sorted(useful, key=lambda member: member.cost)


def keep_better(members: Sequence[Member]) -> list[Member]:
    """Those of the ``members``, by rising cost, that are better than the last one that
    is kept by more than their standard error: less may be luck. Where many images
    validate all are kept.
    """
    kept = [members[0]]
    for member in members[1:]:
        is_surely_better = member.score > kept[-1].score + member.standard_error
        if is_surely_better or member.folds == 1:
            kept.append(member)
    return kept


def thin(members: Sequence[Member], most: int, cost: str) -> list[Member]:
    """At most so many of the ``members``: one after another goes without which the
    hypervolume is the largest. The best one stays.
    """
    kept = [*members]
    while len(kept) > max(1, most):
        rests = [kept[:place] + kept[place + 1 :] for place in range(len(kept) - 1)]
        kept = max(rests, key=lambda rest: _compute_volume(rest, cost))
    return kept


def _thin_to_each(members: Sequence[Member], cost: str) -> dict[int, list[Member]]:
    """The ``members`` thinned to each number that a plan may have of them."""
    numbers = {*FEWER_MEMBERS, *FEWEST_MEMBERS, 1}
    thinned: dict[int, list[Member]] = {}
    kept: Sequence[Member] = members
    for most in sorted(numbers, reverse=True):
        thinned[most] = thin(kept, most, cost)
        kept = thinned[most]
    return thinned


def _compute_volume(members: Sequence[Member], cost: str) -> float:
    costs = [member.cost for member in members]
    scores = [member.score for member in members]
    return front_volume(costs, scores, cost=cost)


def _list_extents(seeds: int) -> Iterator[tuple[int, _Level]]:
    """At most how many models are finished, and how thoroughly: from the most to the
    least.
    """
    few = min(seeds, 3)
    for level in _list_thorough(seeds):
        for most in FEWER_MEMBERS:
            yield most, level
    yield FEWEST_WITH_WAYS, _Level(1, 1, few)
    for most in FEWEST_MEMBERS:
        yield most, _Level(1, 0, few)
        yield most, _Level(1, 0, min(seeds, 2))
    for seed_count in (few, min(seeds, 2), 1):
        yield 1, _Level(1, 0, seed_count)


def _list_thorough(seeds: int) -> Iterator[_Level]:
    """The levels at which ways are tried, from the most thorough to the least."""
    few = min(seeds, 3)
    for longer in (3, 2, 1):
        yield _Level(longer, MOST_BANDS, seeds)
        yield _Level(longer, MOST_BANDS, few)
    yield _Level(1, 1, few)


def _make_plan(
    members: Sequence[Member], search_epochs: int, level: _Level
) -> FinishPlan:
    return FinishPlan(
        run_ids=tuple(member.run_id for member in members),
        representatives=tuple(choose_representatives(members, level.bands)),
        epochs=level.longer * search_epochs,
        seeds=level.seeds,
    )


def choose_representatives(members: Sequence[Member], bands: int) -> list[str]:
    """The runs of the middle members of at most so many ``bands`` of ``members``, who
    are in the order of their costs.
    """
    bands = min(bands, len(members))
    chosen: list[str] = []
    for band in range(bands):
        middle = int((band + 0.5) * len(members) / bands)
        chosen.append(members[middle].run_id)
    return chosen


def guess_s(members: Sequence[Member], plan: FinishPlan, n_workers: int) -> float:
    """About the seconds that ``n_workers`` take for the plan of the ``members``."""
    trainings_s = 0.0
    for member in members:
        trainings = plan.seeds
        if member.run_id in plan.representatives:
            trainings += WAYS_TRIED * member.folds
        trainings_s += trainings * guess_training_s(member, plan)
    sweeps = 1
    if plan.representatives:
        sweeps += TRYING_SWEEPS
    return sweeps * SWEEP_S + trainings_s / n_workers


def guess_training_s(member: Member, plan: FinishPlan) -> float:
    """About the seconds of a training of the ``member`` to its end."""
    return TRAINING_S + plan.epochs * member.epoch_s * LONGER_EPOCH


def find_nearest(member: Member, others: Sequence[Member]) -> Member:
    """The one of ``others`` whose cost is nearest to that of the ``member``, by their
    ratio.
    """
    return min(others, key=lambda other: abs(log(other.cost / member.cost)))
