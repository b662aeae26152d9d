"""The loop of a worker: ask, run, tell, until the sweep has its total."""

import logging
import shlex
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from math import inf, isfinite
from typing import Any, NoReturn

from optuna.exceptions import UpdateFinishedTrialError
from optuna.study import Study
from optuna.trial import Trial, TrialState

from paretune.errors import ConfigError, Paused, Raced
from paretune.retry import FaultError, patience
from paretune.search import TrialHandle, make_current
from paretune.search.asks import note_ask
from paretune.search.claims import (
    LATEST,
    ask,
    cut_off,
    explain_timeout,
    fail,
    is_still_owned,
    pause,
    reclaim,
    requeue,
)
from paretune.search.interrupts import Watch, begin_anew, is_interrupt, is_termination
from paretune.search.partial_curves import STANDARD_ERROR
from paretune.search.pausing import read_pause
from paretune.search.racing import Answer, Race, decide_pause, judge, read_rung_scores
from paretune.search.space import Space
from paretune.search.stopping import Limits
from paretune.search.storage import (
    beating,
    note,
    read_study_notes,
    read_trial,
    refuse_broken,
    suggest,
    written_together,
)
from paretune.search.study import ENDED, PARENT_RUN, is_stopping, share_value
from paretune.secrets import masked

log = logging.getLogger(__name__)

WORKER_WAIT_S = 1.0
# The attribute of a trial that those who look at the study can type.
OVERRIDES = "overrides"
NOTED_EVERY_S = 5.0
USUAL_TOTAL = 100  # trials of a sweep without a total

AfterTrial = Callable[[int | None], None]
Objective = Callable[[TrialHandle, list[str]], Sequence[float]]


class Interrupted(BaseException):
    """Somebody asked the sweep to stop; the trial in flight is back in the queue."""


@dataclass(frozen=True)
class Sweep:
    """A sweep as its workers know it.

    ``suggest`` may have a trial suggest more parameters than the space holds, given the
    overrides so far. ``after_trial`` is called with the number of each trial of this
    process, and now and then with ``None`` while it waits for those of others.
    ``n_jobs`` workers share the trials.
    """

    name: str
    space: Space
    limits: Limits
    race: Race | None = None
    suggest: Callable[[Trial, list[str]], None] | None = None
    after_trial: AfterTrial = lambda number: None
    n_jobs: int = 1

    def count_alike(self) -> float:
        """How many trials of the same choice of config groups a worker runs, about."""
        n_choices = len(list(self.space.combinations()))
        total = self.limits.n_trials or USUAL_TOTAL
        return max(1.0, total / self.n_jobs / max(1, n_choices))


def work(
    study: Study,
    sweep: Sweep,
    objective: Objective,
    at_most: int | None = None,
    *,
    to_the_end: bool = False,
) -> int:
    """Run trials until the sweep's limits are reached, or ``at_most``; returns how many
    this worker ran.

    Once all are in somebody's hands it leaves, or, ``to_the_end``, waits for what comes
    back from workers that die. A trial that raises or returns anything but finite
    numbers is a failed one. Raises
    :class:`~paretune.errors.SweepError` once too many have failed, :class:`Interrupted`
    after Ctrl-C or SIGTERM.
    """
    ran = 0
    begin_anew()
    while not is_stopping(study) and ran != at_most:
        # SIGTERM came where Python swallows what it raises.
        if patience.is_ended():
            raise Interrupted("the worker was asked to end")
        reclaim(study, sweep.limits.retry)
        if sweep.limits.reached(study):
            break
        began_s = time.perf_counter()
        asked = ask(study, partial(sweep.limits.leaves_room, study), sweep.race)
        if not asked and not to_the_end:
            break
        if not asked:
            sweep.after_trial(None)
            time.sleep(WORKER_WAIT_S)
            continue
        trial, attempt = asked
        asked_s = time.perf_counter() - began_s
        _Attempt(study, sweep, trial, attempt, asked_s).run(objective)
        sweep.after_trial(trial.number)
        ran += 1
    sweep.after_trial(None)
    return ran


@dataclass(frozen=True)
class _Attempt:
    """One start of a trial, by this worker, which asked for it for ``asked_s``."""

    study: Study
    sweep: Sweep
    trial: Trial
    attempt: int
    asked_s: float = 0.0

    def run(self, objective: Objective) -> None:
        started_s = time.perf_counter()
        timeout_s = self.sweep.limits.trial_timeout_s
        watch = Watch(self._is_to_stop, timeout_s, self._break_off)
        try:
            values = self._compute(objective, watch)
        except (KeyboardInterrupt, SystemExit) as error:
            if watch.fault:
                raise watch.fault from error
            self._leave(error, watch.late)
        except FaultError:
            # Of a store, which is no fault of the trial: another process takes it up
            # again.
            raise
        except Paused as paused:
            self._wait(paused)
        except Raced as raced:
            log.info("trial %d stops: %s", self.trial.number, raced)
            if self._counts():
                self._tell(state=TrialState.PRUNED)
        except Exception as error:
            self._handle(error, watch)
        else:
            if self._counts():
                self._tell(values)
            log.info(
                "trial %d: %s in %.1f s",
                self.trial.number,
                format_values(values),
                time.perf_counter() - started_s,
            )

    def _compute(self, objective: Objective, watch: Watch) -> Sequence[float]:
        """The values of the trial's configuration, under the watch."""
        began_s = time.perf_counter()
        overrides = self._draw_overrides()
        drawn_s = time.perf_counter() - began_s
        note_ask(self.study, self.trial, self.asked_s + drawn_s)
        lines = [masked(line) for line in (*self.sweep.space.fixed, *overrides)]
        self.trial.set_user_attr(OVERRIDES, shlex.join(lines))
        log.info("trial %d: %s", self.trial.number, " ".join(overrides))
        handle = TrialHandle(
            sweep=self.sweep.name,
            number=self.trial.number,
            attempt=self.attempt,
            searched=dict(line.split("=", 1) for line in overrides),
            may_stay=self._note_reports(judge(self.study, self.trial, self.sweep.race)),
            pauses=self._decide_pause(),
            waited_at=self._find_waited(),
            share=partial(share_value, self.study),
            n_alike=self.sweep.count_alike(),
            timeout_s=self.sweep.limits.timeout_s,
            note_error=partial(self.trial.set_user_attr, STANDARD_ERROR),
            objectives=len(self.study.directions),
            recorded_in=read_study_notes(self.study).get(PARENT_RUN, ""),
        )
        with watch, beating(self.study, self.trial), make_current(handle):
            returned = objective(handle, overrides)
            return _read_values(returned, len(self.study.directions))

    def _tell(
        self, values: Sequence[float] | None = None, state: TrialState | None = None
    ) -> None:
        with suppress(UpdateFinishedTrialError):
            note(self.study, self.trial, ENDED, time.time())
        self.study.tell(self.trial, values, state, skip_if_finished=True)

    def _wait(self, paused: Paused) -> None:
        """The task was left at a rung, to be taken up again."""
        where = paused.where
        if not self._was_to_wait(where.epoch):
            self._fail(
                f"the task raised Paused after epoch {where.epoch}, where "
                "current_trial().report_or_wait had not returned True"
            )
            return
        log.info("trial %d: %s", self.trial.number, paused)
        if self._counts():
            pause(self.study, self.trial, where)

    def _was_to_wait(self, epoch: int) -> bool:
        """Whether trials wait at all, and this one was at a rung at this epoch."""
        race = self.sweep.race
        if race is None or not race.pause:
            return False
        trial = read_trial(self.study, self.trial)
        return epoch in read_rung_scores(trial.user_attrs)

    def _is_to_stop(self) -> bool:
        """Whether somebody asked the sweep to stop. Raises
        :class:`~paretune.retry.FaultError` for a study that is gone.
        """
        refuse_broken(self.study)
        return is_stopping(self.study)

    def _handle(self, error: Exception, watch: Watch) -> None:
        """The task raised an error: one of its own, or what a library made of an
        interrupt.
        """
        # submitit's: the time of a Slurm job is up.
        if type(error).__name__ == "UncompletedJobError":
            self._interrupt(error, of_this_worker_alone=True)
        if watch.fault:
            raise watch.fault from error
        if is_interrupt(error):
            self._leave(error, watch.late)
        else:
            self._fail(f"{type(error).__name__}: {error}")

    def _leave(self, error: BaseException, late: bool) -> None:
        """The task was left with an interrupt or ``sys.exit``: by the watch, by
        somebody who stops the sweep, or by itself.
        """
        if late:
            self._break_off(late=True)
            return
        if is_interrupt(error):
            patience.end()
        stops = self._is_asked_to_stop()
        if stops or is_interrupt(error):
            self._interrupt(
                error, of_this_worker_alone=is_termination(error) and not stops
            )
        self._fail(f"the task left with {type(error).__name__}({error})")

    def _is_asked_to_stop(self) -> bool:
        try:
            return is_stopping(self.study)
        except FaultError:
            # It cannot be told; a death that is none would cost the trial a retry.
            return True

    def _draw_overrides(self) -> list[str]:
        """The trial's configuration, and what the app's own function suggests."""
        space = self.sweep.space
        trial = self.trial
        drawn = suggest_all(space, trial)
        overrides = space.overrides(drawn)
        if self.sweep.suggest:
            self.sweep.suggest(trial, overrides)
            for name, value in trial.params.items():
                if name not in drawn:
                    overrides.append(f"{name}={value}")
        return overrides

    def _decide_pause(self) -> Answer | None:
        """Whether the trial waits after an epoch, if those of the sweep do."""
        race = self.sweep.race
        if race is None or not race.pause:
            return None
        began_s = time.perf_counter()
        pauses = decide_pause(
            self.study,
            self.trial,
            race,
            self._find_waited(),
            took_s=lambda: time.perf_counter() - began_s,
        )
        return self._note_reports(pauses)

    def _find_waited(self) -> int:
        """The epoch after which the trial has waited last; 0 if it never did."""
        where = read_pause(self.trial)
        return where.epoch if where else 0

    def _note_reports(self, answer: Answer) -> Answer:
        """``answer``, which also notes in the study what the trial has by now, for those
        who look on.
        """
        noted_s = -inf

        def note_and_answer(epoch: int, values: Sequence[float]) -> bool:
            nonlocal noted_s
            if time.monotonic() - noted_s >= NOTED_EVERY_S:
                note(self.study, self.trial, LATEST, [epoch, *map(float, values)])
                noted_s = time.monotonic()
            return answer(epoch, values)

        return note_and_answer

    def _break_off(self, late: bool) -> None:
        if late:
            self._fail(explain_timeout(self.sweep.limits.trial_timeout_s))
        else:
            requeue(self.study, self.trial)

    def _interrupt(self, error: BaseException, of_this_worker_alone: bool) -> NoReturn:
        """Put the trial back and end the work. What ends a worker alone would end it
        every time, so it counts as a death.
        """
        try:
            if of_this_worker_alone and self._counts():
                cut_off(self.study, self.trial, self.sweep.limits.retry)
            else:
                requeue(self.study, self.trial)
            has_failed = read_trial(self.study, self.trial).state is TrialState.FAIL
            state = "counts as failed" if has_failed else "is in the queue again"
        except FaultError as fault:
            state = f"comes back to the queue when the same command goes on ({fault})"
        raise Interrupted(
            f"trial {self.trial.number} was interrupted, and {state}"
        ) from error

    def _fail(self, reason: str) -> None:
        """Close the trial as failed; its traceback is in its own log, the console gets
        a line.
        """
        text = " ".join(reason.split())
        log.error("trial %d failed: %s", self.trial.number, text[:300])
        if self._counts():
            fail(self.study, self.trial, reason)

    def _counts(self) -> bool:
        """Whether the result counts; not if this worker was cut off from the database
        for too long.
        """
        if is_still_owned(self.study, self.trial, self.attempt):
            return True
        log.warning(
            "trial %d is over or in other hands by now; the result of this attempt is "
            "dropped",
            self.trial.number,
        )
        return False


def suggest_all(space: Space, trial: Trial) -> dict[str, Any]:
    """The whole configuration of a trial, which the sampler draws when the first value
    is suggested; Optuna hands it over name by name.
    """
    drawn: dict[str, Any] = {}
    with written_together(trial):
        for name, choice in space.choices.items():
            drawn[name] = suggest(trial, name, choice)
        for name, dist in space.distributions(space.branch_of(drawn)).items():
            if space.is_active(name, drawn):
                drawn[name] = suggest(trial, name, dist)
    return drawn


def _read_values(returned: Any, objectives: int) -> Sequence[float]:
    """The finite numbers that a task returned, one for each objective."""
    values = [returned]
    if isinstance(returned, (list, tuple)):
        values = list(returned)
    try:
        numbers = [float(value) for value in values]
    except (TypeError, ValueError):
        numbers = []
    if len(numbers) != objectives or not all(map(isfinite, numbers)):
        word = "numbers" if objectives > 1 else "number"
        raise ConfigError(
            f"task function returned `{returned}`; expected {objectives} finite "
            f"{word}, one for each direction; set hydra.sweeper.direction"
        )
    return numbers


def format_values(values: Sequence[float]) -> str:
    """Numbers for a person: whole ones whole, others with six digits."""
    return ", ".join(map(_format_value, values))


def _format_value(value: float) -> str:
    if float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:,.6g}"
