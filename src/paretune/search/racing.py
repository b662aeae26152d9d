"""Racing: whether a curve that is at a rung may still reach the front.

Asynchronous successive halving (Li et al. 2020, https://arxiv.org/abs/1810.05934) with
two objectives, as in Schmucker et al. 2021, "Multi-objective asynchronous successive
halving" (https://arxiv.org/abs/2106.12639): at a rung, trials are ranked by
non-dominated sorting of what they cost and what they scored there, and no trial waits
for another.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from optuna.study import Study
from optuna.trial import Trial, TrialState

from paretune.errors import ConfigError, Raced, check_least
from paretune.front import ranks
from paretune.search import always
from paretune.search.storage import ENQUEUED, read_trial

# Before the epoch, in the name of the attribute with what a trial had there.
RUNG = "rung:"
RANKED_STATES = (
    TrialState.COMPLETE,
    TrialState.PRUNED,
    TrialState.RUNNING,
    TrialState.WAITING,
)
# To a report of (epoch, values): whether the trial may go on, or whether it is to wait.
Answer = Callable[[int, Sequence[float]], bool]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Race:
    """When trials are compared, and how many may stay.

    Rungs are at ``min_epochs``, ``min_epochs * eta``, ... (``rungs`` of them); at each,
    trials of the best 1/``eta`` stay, and those whose error is at most the share
    ``margin`` above the lowest one that costs no more.

    With ``pause`` a trial waits at each rung and may go on later
    (:mod:`paretune.search.pausing`), if its task can be left and taken up again. An
    attempt of fewer than ``pause_from_s`` seconds goes on if it may stay: to take it up
    again would take longer than the attempt did.
    """

    eta: int
    rungs: int
    min_epochs: int
    margin: float
    pause: bool = False
    pause_from_s: float = 2.0

    def __post_init__(self) -> None:
        check_least("hydra.sweeper.race.eta", self.eta, 2)
        check_least("hydra.sweeper.race.rungs", self.rungs, 1)
        check_least("hydra.sweeper.race.min_epochs", self.min_epochs, 1)
        check_least("hydra.sweeper.race.margin", self.margin, 0, whole=False)
        check_least(
            "hydra.sweeper.race.pause_from_s", self.pause_from_s, 0, whole=False
        )

    def epochs(self) -> Sequence[int]:
        """The epochs of the rungs."""
        epochs: list[int] = []
        epoch = self.min_epochs
        for _ in range(self.rungs):
            epochs.append(epoch)
            epoch *= self.eta
        return epochs

    def guess_last_epoch(self) -> int:
        """About where a trial ends: where a further rung would be."""
        return int(self.min_epochs * self.eta**self.rungs)


def stays(costs: ArrayLike, mine: int, race: Race) -> bool:
    """Whether the trial in row ``mine`` of (cost, error) ``costs`` ``(N, 2)`` at a rung
    goes on.

    It does if fewer than N / ``eta`` trials have a lower non-domination rank. So every
    trial on the front of the rung goes on, and so do most of the first ones to arrive.
    The ``margin`` is for trials that are close to the front where the front is crowded:
    their rank is poor, and an epoch later they may be on it.
    """
    rows = np.asarray(costs, dtype=float)
    return _stays(rows, ranks(rows), mine, race)


def _stays(rows: Floats, rank: NDArray[np.intp], mine: int, race: Race) -> bool:
    n_better = int((rank < rank[mine]).sum())
    if n_better < len(rank) / race.eta:
        return True

    cost, error = rows[mine]
    no_larger = rows[:, 0] <= cost
    lowest = rows[no_larger, 1].min()
    return bool(error <= lowest * (1 + race.margin))


def find_staying(study: Study, epoch: int, race: Race) -> set[int]:
    """The numbers of the trials that were at the rung of this epoch and would not be
    stopped there now.
    """
    reached = _find_reached(study, epoch)
    rows = _make_costs(reached)
    rank = ranks(rows)
    staying: set[int] = set()
    for mine, number in enumerate(reached):
        if _stays(rows, rank, mine, race):
            staying.add(number)
    return staying


def judge(study: Study, trial: Trial, race: Race | None) -> Answer:
    """A function from (epoch, values) to whether ``trial`` may go on.

    Raises :class:`~paretune.errors.ConfigError` for a race of anything but a cost and a
    score.
    """
    if race:
        directions = [direction.name.lower() for direction in study.directions]
        check_race(race, directions)
    elif len(study.directions) > 1:
        return always

    def may_stay(epoch: int, values: Sequence[float]) -> bool:
        _check_report(study, race, values)
        if race:
            return _may_stay_in_race(study, trial, race, epoch, values)
        trial.report(values[0], epoch)
        return not trial.should_prune()

    return may_stay


def _check_report(study: Study, race: Race | None, values: Sequence[float]) -> None:
    expected = len(study.directions)
    if len(values) == expected:
        return
    wanted = "cost, score" if race else "value"
    raise ConfigError(
        f"report `{list(values)}` does not have a value for each of the {expected} "
        f"directions; call current_trial().report(epoch, {wanted})"
    )


def check_race(race: Race, directions: Sequence[str]) -> None:
    """Raise :class:`~paretune.errors.ConfigError` unless trials have a cost to minimise
    and a score to maximise.
    """
    if list(directions) != ["minimize", "maximize"]:
        raise ConfigError(
            f"race `eta={race.eta}` ranks trials by a cost and a score, "
            f"and this sweep has directions {list(directions)}; expected [minimize, "
            "maximize]; set hydra.sweeper.direction, or hydra.sweeper.pruner for one "
            "objective"
        )


def _may_stay_in_race(
    study: Study, trial: Trial, race: Race, epoch: int, values: Sequence[float]
) -> bool:
    if epoch not in race.epochs():
        return True
    if not all(map(isfinite, values)):  # a network that diverged stays at no rung
        return False
    _keep_score(trial, epoch, values)
    return _is_asked_for(study, trial) or _stays_at(study, trial, race, epoch, values)


def _stays_at(
    study: Study, trial: Trial, race: Race, epoch: int, values: Sequence[float]
) -> bool:
    reached = _find_reached(study, epoch)
    reached[trial.number] = values
    mine = list(reached).index(trial.number)
    return stays(_make_costs(reached), mine, race)


def decide_pause(
    study: Study,
    trial: Trial,
    race: Race,
    waited_at: int,
    took_s: Callable[[], float],
) -> Answer:
    """A function from (epoch, values) to whether ``trial`` is to wait there: at each
    rung beyond the epoch ``waited_at``, where it has waited before. This attempt
    ``took_s()`` seconds by then.

    It raises :class:`~paretune.errors.Raced` for a network that diverged, which is not
    worth its state.
    """

    def pauses(epoch: int, values: Sequence[float]) -> bool:
        _check_report(study, race, values)
        if epoch not in race.epochs() or epoch <= waited_at:
            return False
        if not all(map(isfinite, values)):
            raise Raced(f"{list(values)} after epoch {epoch} is not finite")
        _keep_score(trial, epoch, values)
        if _is_asked_for(study, trial):
            return False
        is_worth_it = took_s() >= race.pause_from_s
        return is_worth_it or not _stays_at(study, trial, race, epoch, values)

    return pauses


def _keep_score(trial: Trial, epoch: int, values: Sequence[float]) -> None:
    trial.set_user_attr(f"{RUNG}{epoch}", [float(value) for value in values])


def _is_asked_for(study: Study, trial: Trial) -> bool:
    """Whether a person asked for it: what the sweep is compared with is trained to its
    end.
    """
    return ENQUEUED in read_trial(study, trial).system_attrs


def _make_costs(reached: Mapping[int, Sequence[float]]) -> Floats:
    """Costs and errors ``(N, 2)``, of scores in [0, 1]."""
    rows = np.array(list(reached.values()), dtype=float).reshape(-1, 2)
    return np.asarray(rows * (1, -1) + (0, 1))


def _find_reached(study: Study, epoch: int) -> dict[int, Sequence[float]]:
    """The values of all trials that were at the rung of this epoch, by their
    numbers.
    """
    reached: dict[int, Sequence[float]] = {}
    for trial in study.get_trials(deepcopy=False, states=RANKED_STATES):
        values = trial.user_attrs.get(f"{RUNG}{epoch}")
        if values:
            reached[trial.number] = values
    return reached


def read_rung_scores(user_attrs: Mapping[str, Any]) -> dict[int, float]:
    """Scores of a trial by the epochs of the rungs that it reached."""
    scores: dict[int, float] = {}
    for name, values in user_attrs.items():
        if name.startswith(RUNG):
            epoch = int(name.removeprefix(RUNG))
            _, score = values
            scores[epoch] = float(score)
    return scores
