"""Racing: whether a curve that is at a rung may still reach the front.

Asynchronous successive halving (Li et al. 2020, https://arxiv.org/abs/1810.05934) with two objectives, as in Schmucker et
al. 2021, "Multi-objective asynchronous successive halving" (https://arxiv.org/abs/2106.12639): at a rung, trials are
ranked by non-dominated sorting of what they cost and what they scored there, and no trial waits for another.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from optuna.study import Study
from optuna.trial import Trial, TrialState

from paretune.errors import ConfigError, check_least
from paretune.front import ranks
from paretune.search import always
from paretune.search.storage import ENQUEUED, stored

RUNG = "rung:"
STATES = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
Judge = Callable[[int, Sequence[float]], bool]


@dataclass(frozen=True)
class Race:
    """When trials are compared, and how many may stay.

    Rungs are at ``min_epochs``, ``min_epochs * eta``, ... (``rungs`` of them); at each, trials of the best 1/``eta`` stay,
    and those whose error is at most the share ``margin`` above the lowest one that costs no more.
    """

    eta: int
    rungs: int
    min_epochs: int
    margin: float

    def __post_init__(self) -> None:
        for name, least in {"eta": 2, "rungs": 1, "min_epochs": 1}.items():
            check_least(f"hydra.sweeper.race.{name}", getattr(self, name), least)
        check_least("hydra.sweeper.race.margin", self.margin, 0, whole=False)

    def epochs(self) -> Sequence[int]:
        """The epochs of the rungs."""
        return [self.min_epochs * self.eta**rung for rung in range(self.rungs)]


def stays(costs: ArrayLike, mine: int, race: Race) -> bool:
    """Whether the trial in row ``mine`` of (cost, error) ``costs`` ``(N, 2)`` at a rung goes on.

    It does if fewer than N / ``eta`` trials have a lower non-domination rank. So every trial on the front of the rung goes
    on, and so do most of the first ones to arrive. The ``margin`` is for trials that are close to the front where the front
    is crowded: their rank is poor, and an epoch later they may be on it.
    """
    rows = np.asarray(costs, dtype=float)
    rank = ranks(rows)
    if int((rank < rank[mine]).sum()) < len(rank) / race.eta:
        return True
    no_larger = rows[:, 0] <= rows[mine, 0]
    return bool(rows[mine, 1] <= rows[no_larger, 1].min() * (1 + race.margin))


def judge(study: Study, trial: Trial, race: Race | None) -> Judge:
    """A function from (epoch, values) to whether ``trial`` may go on.

    Raises :class:`~paretune.errors.ConfigError` for a race of anything but a cost and a score.
    """
    if race:
        check_race(race, [direction.name.lower() for direction in study.directions])
    elif len(study.directions) > 1:
        return always

    def may_stay(epoch: int, values: Sequence[float]) -> bool:
        if len(values) != len(study.directions):
            raise ConfigError(
                f"report `{list(values)}` has {len(values)} values; expected {len(study.directions)}, one for each direction; "
                f"call current_trial().report(epoch, {'cost, score' if race else 'value'})"
            )
        if race:
            is_finite = all(map(isfinite, values))  # a network that diverged stays at no rung
            return epoch not in race.epochs() or (is_finite and _stays_at(study, trial, race, epoch, values))
        trial.report(values[0], epoch)
        return not trial.should_prune()

    return may_stay


def check_race(race: Race, directions: Sequence[str]) -> None:
    """Raises :class:`~paretune.errors.ConfigError` unless trials have a cost to minimise and a score to maximise."""
    if list(directions) != ["minimize", "maximize"]:
        raise ConfigError(
            f"race `eta={race.eta}` ranks trials by a cost and a score, and this sweep has directions {list(directions)}; "
            f"expected [minimize, maximize]; set hydra.sweeper.direction, or hydra.sweeper.pruner for one objective"
        )


def _stays_at(study: Study, trial: Trial, race: Race, epoch: int, values: Sequence[float]) -> bool:
    """Note what the trial has at this rung, and compare it with all others that were there; an enqueued one goes on anyway."""
    trial.set_user_attr(f"{RUNG}{epoch}", [float(value) for value in values])
    if ENQUEUED in stored(study, trial).system_attrs:  # a person asked for it: what the sweep is compared with
        return True
    others = study.get_trials(deepcopy=False, states=STATES)
    reached = {other.number: other.user_attrs.get(f"{RUNG}{epoch}") for other in others} | {trial.number: list(values)}
    rows = {number: row for number, row in reached.items() if row}
    costs = np.array(list(rows.values())) * (1, -1) + (0, 1)  # the error, of a score in [0, 1]
    return stays(costs, list(rows).index(trial.number), race)


def rung_scores(user_attrs: Mapping[str, Any]) -> dict[int, float]:
    """Scores of a trial by the epochs of the rungs that it reached."""
    rungs = {name.removeprefix(RUNG): value for name, value in user_attrs.items() if name.startswith(RUNG)}
    return {int(epoch): float(score) for epoch, (_, score) in rungs.items()}
