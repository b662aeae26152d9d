"""When a sweep is over."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from paretune.errors import ConfigError, SweepError
from paretune.search.progress import is_flat
from paretune.search.study import finished

__all__ = ["Limits"]

# Kept in the study, so that every worker knows them.
DEADLINE = "deadline"  # seconds since 1970
FAILED_BEFORE = "failed before"  # trials, before the command that runs now: their cause may be mended


@dataclass(frozen=True)
class Limits:
    """What a sweep may use up; ``n_trials`` is the total, over all workers and restarts.

    After ``timeout_s`` seconds of one command no further trial starts. With ``flat_trials`` the sweep ends when that many
    trials in a row added no more than the share ``tolerance`` to the hypervolume. A trial that runs for longer than
    ``trial_timeout_s`` fails. One whose worker dies is started again up to ``retry`` times. More failures than
    ``max_failure_rate`` of ``n_trials`` end the sweep.
    """

    n_trials: int
    max_failure_rate: float = 0.3
    retry: int = 3
    timeout_s: float | None = None
    trial_timeout_s: float | None = None
    flat_trials: int | None = None
    tolerance: float = 0.001

    def __post_init__(self) -> None:
        at_least = {"n_trials": 1, "retry": 0, "timeout_s": 0, "trial_timeout_s": 0, "flat_trials": 1, "tolerance": 0}
        for name, low in at_least.items():
            value = getattr(self, name)
            if value is not None and value < low:
                message = f"{name} `{value}` is too small; expected at least {low}; set hydra.sweeper.{name}"
                raise ConfigError(message)

    def begin(self, study: Study) -> None:
        """Start the clock of ``timeout_s``, and count failures from here; the parent calls it before any worker starts."""
        study.set_user_attr(FAILED_BEFORE, _failed(finished(study)))
        study.set_user_attr(DEADLINE, time.time() + self.timeout_s if self.timeout_s is not None else None)

    def reached(self, study: Study) -> str | None:
        """Why no further trial is to start; ``None`` if one may.

        Raises :class:`~paretune.errors.SweepError` once too many trials have failed since the command began.
        """
        done = finished(study)
        failed = _failed(done) - study.user_attrs.get(FAILED_BEFORE, 0)
        if failed > self.max_failure_rate * self.n_trials:
            message = (
                f"sweep `{study.study_name}` stops: {failed} trials of {self.n_trials} failed, more than the share "
                f"{self.max_failure_rate:g} it allows; their errors are in the log; mend the cause and run the same "
                f"command, or raise hydra.sweeper.max_failure_rate"
            )
            raise SweepError(message)
        deadline = study.user_attrs.get(DEADLINE)
        if len(done) >= self.n_trials:
            return "its total is reached"
        if deadline is not None and time.time() > deadline:
            return "its time is over"
        if self.flat_trials and is_flat(study, self.flat_trials, self.tolerance):
            return f"the last {self.flat_trials} trials added nothing to its hypervolume"
        return None


def _failed(trials: Sequence[FrozenTrial]) -> int:
    return sum(trial.state is TrialState.FAIL for trial in trials)
