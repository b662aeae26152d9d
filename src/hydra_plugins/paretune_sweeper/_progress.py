"""What the console shows of a sweep: a line for each trial, and in a terminal a panel that stays below them."""

import logging
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from textwrap import wrap
from typing import TextIO, TypeGuard, cast

import numpy as np
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

from paretune.front import FAR, LEAST_ERROR, UNCAPPED, Costs, costs_of, front, front_volume
from paretune.search.claims import LATEST, worker_of
from paretune.search.costs import Caps
from paretune.search.stopping import hypervolume, losses, reference_point
from paretune.search.storage import noted
from paretune.search.study import finished, reason_of, running
from paretune.search.worker import shown
from paretune.settings import UNITS

log = logging.getLogger(__name__)

MOST_COLUMNS, MOST_ROWS = 120, 24  # of a panel
LEAST_HEIGHT, LABEL, LEAST_COST = 5, 6, 1e-9  # rows of a plot, characters of a score
DOMINATED, IN_HAND, MEMBER = "·", "○", "●"


class Progress:
    """How far a sweep is, on the console: call it often. It logs each newly finished trial once, and the status line.

    Its argument is the number of a trial that this process ran and has logged itself. ``show``, where it is set, is called
    instead of logging the line.
    """

    def __init__(self, study: Study, n_trials: int, caps: Caps) -> None:
        self.study, self.n_trials, self.caps = study, n_trials, caps
        self.logged = {trial.number for trial in finished(study)}
        self.done_before, self.started_s = len(self.logged), time.monotonic()
        self.show: Callable[[], None] | None = None

    def __call__(self, ran: int | None = None) -> None:
        fresh = [trial for trial in finished(self.study) if trial.number not in self.logged]
        self.logged.update(trial.number for trial in fresh)
        for trial in (trial for trial in fresh if trial.number != ran):
            result = shown(trial.values or ()) or reason_of(trial)
            log.info("trial %d: %s %s", trial.number, trial.state.name.lower(), result)
        if self.show:
            self.show()
        elif fresh:
            log.info(self.line())

    def line(self) -> str:
        """Counts of trials, the front, its hypervolume, the best score and its cost, the time to go."""
        done = finished(self.study)
        states = Counter(trial.state for trial in done)
        counts = {
            "failed": states[TrialState.FAIL],
            "raced": states[TrialState.PRUNED],
            "running": len(running(self.study)),
        }
        parts = [f"{len(done)} of {self.n_trials} done", *(f"{n} {state}" for state, n in counts.items() if n)]
        if complete := [trial for trial in done if trial.state is TrialState.COMPLETE]:
            parts += self._scores(complete)
        left, new = self.n_trials - len(done), len(done) - self.done_before
        if left and new > 0:
            parts.append(f"{_duration((time.monotonic() - self.started_s) / new * left)} left")
        return " | ".join(parts)

    def _scores(self, complete: list[FrozenTrial]) -> list[str]:
        points = losses(complete, self.study.directions)
        values = cast("list[float]", complete[int(points[:, -1].argmin())].values)
        best = f"best {_score_at(values)}"
        if len(values) == 1:
            return [best]
        # of equal trials one is on the front, as in reports
        members = front(points) if len(values) == 2 else {tuple(trial.values) for trial in self.study.best_trials}
        costs = self.points()
        if costs is None:
            volume = hypervolume(points, reference_point(points))
        else:  # as the tracking store has it, so that the two agree
            volume = front_volume(costs[:, 0], 1 - costs[:, 1], self.caps.most.get(self.caps.axis), self.caps.axis)
        return [f"front {len(members)}", f"hypervolume {volume:.3f}", best]

    def points(self) -> Costs | None:
        """Costs and errors ``(N, 2)`` of complete trials; ``None`` if there are none, or for other objectives than counts and scores."""
        complete = [trial for trial in finished(self.study) if trial.state is TrialState.COMPLETE]
        if not complete or [direction.name for direction in self.study.directions] != ["MINIMIZE", "MAXIMIZE"]:
            return None
        costs, scores = np.array([trial.values for trial in complete]).T
        farthest = FAR.get(self.caps.axis, UNCAPPED)
        counts = self.caps.axis in self.caps.most or bool(((costs >= 1) & (costs < farthest) & (costs % 1 == 0)).all())
        in_range = bool(((scores >= 0) & (scores <= 1)).all())
        return costs_of(costs, scores) if counts and in_range else None


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


class Panel:
    """For a terminal: the front as it grows, the trials in hand with what they have by now, and the status line."""

    def __init__(self, tell: Progress) -> None:
        self.tell = tell
        self.refresh()

    def refresh(self) -> None:
        """Read the study again."""
        self.points, self.trials, self.line = self.tell.points(), running(self.tell.study), self.tell.line()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """At most as wide and as high as the terminal; in a low one there is no plot."""
        columns, rows = min(options.max_width, MOST_COLUMNS), min(console.height - 3, MOST_ROWS)
        trials = [_in_hand(trial) for trial in self.trials[: max(0, rows)]]
        lines = [*trials, *wrap(self.line, columns)]
        height = rows - len(lines) - 3  # title, axis, its labels
        if self.points is not None and height >= LEAST_HEIGHT:
            costs, members = self.points, front(self.points)
            reports = [noted(trial, LATEST) or [] for trial in self.trials]
            latest = [report[1:] for report in reports if len(report) == 3 and np.isfinite(report).all()]
            in_hand = [(IN_HAND, costs_of(*np.array(latest).T))] if latest else []
            axis = UNITS.get(self.tell.caps.axis, self.tell.caps.axis)
            title = f"{self.tell.study.study_name}: score by {axis}; {MEMBER} front  {DOMINATED} other trials  {IN_HAND} in hand"
            lines = [title, *scatter([(DOMINATED, costs), *in_hand, (MEMBER, costs[members])], columns, height), *lines]
        yield from (Text(line, no_wrap=True, overflow="ellipsis") for line in lines)


def scatter(groups: Sequence[tuple[str, Costs]], columns: int, height: int) -> list[str]:
    """Lines of a plot of (cost, error) points on logarithmic axes: ``height`` rows of ``columns`` characters, the axis, its labels.

    Each group of points ``(N, 2)`` has its mark, a later one over earlier ones. A score, 1 - error, is written left of its row.
    """
    width = columns - LABEL - 2
    logs = [np.log10(np.maximum(costs, [LEAST_COST, LEAST_ERROR])) for _, costs in groups]
    low, high = np.concatenate(logs).min(axis=0), np.concatenate(logs).max(axis=0)
    cells = [[" "] * width for _ in range(height)]
    for (mark, _), points in zip(groups, logs, strict=True):
        for x, y in np.rint((points - low) / np.maximum(high - low, 1e-9) * (width - 1, height - 1)).astype(int):
            cells[y][x] = mark
    levels = np.linspace(low[1], high[1], height)
    scores = {row: f"{1 - 10 ** levels[row]:.4f}" for row in (0, height // 2, height - 1)}
    left, middle, right = (f"{10**x:,.0f}" for x in (low[0], (low[0] + high[0]) / 2, high[0]))
    labels = f"{left}{middle:^{max(0, width - len(left) - len(right))}}{right}"
    lines = [
        f"{scores.get(row, ''):>{LABEL}} {'┤' if row in scores else '│'}{''.join(cells[row])}" for row in range(height)
    ]
    return [*lines, f"{'':{LABEL}} └{'─' * width}", f"{'':{LABEL}}  {labels}"]


def _in_hand(trial: FrozenTrial) -> str:
    """A running trial: its number, what it reported last, for how long it has been running, what was drawn."""
    epoch, *values = noted(trial, LATEST) or [0]
    reported = f"epoch {epoch}: {_score_at(values)}" if values else "starting"
    since_s = worker_of(trial).get("since")
    ran = f"{_duration(time.time() - since_s)}, " if since_s else ""
    drawn = " ".join(f"{name}={value}" for name, value in trial.params.items())
    return f"trial {trial.number}: {ran}{reported} | {drawn}"


def _score_at(values: Sequence[float]) -> str:
    """The last of ``values``, and the costs before it."""
    *costs, score = values
    shown_score = f"{score:.4f}" if 0 <= score <= 1 else shown([score])
    return shown_score + (f" at {shown(costs)}" if costs else "")


def _is_console(handler: logging.Handler) -> TypeGuard["logging.StreamHandler[TextIO]"]:
    return isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler)


@contextmanager
def progress(study: Study, n_trials: int, caps: Caps, is_live: bool) -> Iterator[Progress]:
    """The console of a sweep. If ``is_live``, in a terminal, a panel stays at the bottom."""
    tell = Progress(study, n_trials, caps)
    if not (is_live and sys.stdout.isatty()):
        yield tell
        return
    panel = Panel(tell)
    with Live(panel, console=Console(), refresh_per_second=2):
        handlers = [handler for handler in logging.getLogger().handlers if _is_console(handler)]
        before = [handler.setStream(sys.stdout) for handler in handlers]  # Live prints above itself what goes there
        tell.show = panel.refresh
        try:
            yield tell
        finally:
            for handler, stream in zip(handlers, before, strict=True):
                if stream is not None:
                    handler.setStream(stream)
