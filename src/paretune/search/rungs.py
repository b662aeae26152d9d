"""A race over the study: what each trial had at each rung, kept with the trial."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from optuna.study import Study
from optuna.trial import Trial, TrialState

from paretune.search.handle import always
from paretune.search.race import Race, stays

__all__ = ["racer", "rung_scores"]

RUNG = "rung:"
STATES = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)


def racer(study: Study, trial: Trial, race: Race | None) -> Callable[[int, float, float], bool]:
    """A function from (epoch, cost, score) to whether ``trial`` may go on; always, without a race."""
    if race is None:
        return always

    def may_stay(epoch: int, cost: float, score: float) -> bool:
        if epoch not in race.epochs():
            return True
        trial.set_user_attr(_rung(epoch), [cost, score])
        rows = {
            other.number: other.user_attrs[_rung(epoch)]
            for other in study.get_trials(deepcopy=False, states=STATES)
            if _rung(epoch) in other.user_attrs
        } | {trial.number: [cost, score]}
        costs = np.array(list(rows.values())) * (1, -1)  # the score is maximised
        return stays(costs, list(rows).index(trial.number), race.eta)

    return may_stay


def rung_scores(user_attrs: Mapping[str, Any]) -> dict[int, float]:
    """Scores of a trial by the epochs of the rungs that it reached."""
    rungs = {name.removeprefix(RUNG): value for name, value in user_attrs.items() if name.startswith(RUNG)}
    return {int(epoch): float(score) for epoch, (_, score) in rungs.items()}


def _rung(epoch: int) -> str:
    return f"{RUNG}{epoch}"
