"""Whether a trial goes on after what it reported: by a race over the study, or by one of Optuna's pruners."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from optuna.study import Study
from optuna.trial import Trial, TrialState

from paretune.errors import ConfigError
from paretune.search.handle import always
from paretune.search.race import Race, stays

__all__ = ["check_race", "judge", "rung_scores"]

RUNG = "rung:"
STATES = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
Judge = Callable[[int, Sequence[float]], bool]


def judge(study: Study, trial: Trial, race: Race | None) -> Judge:
    """A function from (epoch, values) to whether ``trial`` may go on.

    Raises :class:`~paretune.errors.ConfigError` for a race of anything but a cost and a score.
    """
    if race:
        check_race(race, [direction.name.lower() for direction in study.directions])
        return _checked(2, _racing(study, trial, race))
    if len(study.directions) == 1:
        return _checked(1, _pruning(trial))
    return always


def check_race(race: Race, directions: Sequence[str]) -> None:
    """Raises :class:`~paretune.errors.ConfigError` unless trials have a cost to minimise and a score to maximise."""
    if list(directions) != ["minimize", "maximize"]:
        message = (
            f"race `eta={race.eta}` ranks trials by a cost and a score, and this sweep has directions {list(directions)}; "
            f"expected [minimize, maximize]; set hydra.sweeper.direction, or hydra.sweeper.pruner for one objective"
        )
        raise ConfigError(message)


def _checked(objectives: int, decide: Judge) -> Judge:
    def may_stay(epoch: int, values: Sequence[float]) -> bool:
        if len(values) != objectives:
            message = (
                f"report `{list(values)}` has {len(values)} values; expected {objectives}, one for each direction; call "
                f"current_trial().report(epoch, {'cost, score' if objectives == 2 else 'value'})"
            )
            raise ConfigError(message)
        return decide(epoch, values)

    return may_stay


def _pruning(trial: Trial) -> Judge:
    def may_stay(epoch: int, values: Sequence[float]) -> bool:
        trial.report(values[0], epoch)
        return not trial.should_prune()

    return may_stay


def _racing(study: Study, trial: Trial, race: Race) -> Judge:
    def may_stay(epoch: int, values: Sequence[float]) -> bool:
        if epoch not in race.epochs():
            return True
        trial.set_user_attr(_rung(epoch), [float(value) for value in values])
        rows = {
            other.number: other.user_attrs[_rung(epoch)]
            for other in study.get_trials(deepcopy=False, states=STATES)
            if _rung(epoch) in other.user_attrs
        } | {trial.number: list(values)}
        costs = np.array(list(rows.values())) * (1, -1) + (0, 1)  # the error, of a score in [0, 1]
        return stays(costs, list(rows).index(trial.number), race)

    return may_stay


def rung_scores(user_attrs: Mapping[str, Any]) -> dict[int, float]:
    """Scores of a trial by the epochs of the rungs that it reached."""
    rungs = {name.removeprefix(RUNG): value for name, value in user_attrs.items() if name.startswith(RUNG)}
    return {int(epoch): float(score) for epoch, (_, score) in rungs.items()}


def _rung(epoch: int) -> str:
    return f"{RUNG}{epoch}"
