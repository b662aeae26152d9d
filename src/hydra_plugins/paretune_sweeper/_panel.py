"""The panel that stays at the bottom of a terminal while a sweep runs."""

import logging
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from textwrap import wrap
from typing import TextIO, TypeGuard

import numpy as np
from optuna.study import Study
from optuna.trial import FrozenTrial
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

from hydra_plugins.paretune_sweeper._progress import (
    Progress,
    format_score,
)
from hydra_plugins.paretune_sweeper._scatter import Marks, plot_scatter
from paretune.costs import units
from paretune.front import Floats, costs_of, front
from paretune.search.caps import Caps
from paretune.search.claims import LATEST, read_worker
from paretune.search.storage import read_note
from paretune.search.study import list_running
from paretune.time_words import format_duration

MAX_COLUMNS = 120
MAX_ROWS = 24
LEAST_HEIGHT = 5  # rows of a plot
FRAME_ROWS = 3  # of a plot: its title, its axis, the axis' labels
FREE_ROWS = 3  # of the terminal, which the panel leaves
DOMINATED = "·"
IN_HAND = "○"
MEMBER = "●"


class Panel:
    """For a terminal: the front as it grows, the trials in hand with what they have by
    now, and the status line.
    """

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.refresh()

    def refresh(self) -> None:
        """Read the study again."""
        self.points = self.progress.points()
        self.trials = list_running(self.progress.study)
        self.line = self.progress.line()

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> RenderResult:
        """At most as wide and as high as the terminal; in a low one there is no
        plot.
        """
        columns = min(options.max_width, MAX_COLUMNS)
        rows = min(console.height - FREE_ROWS, MAX_ROWS)
        lines = self._list_trials(rows)
        lines += wrap(self.line, columns)

        height = rows - len(lines) - FRAME_ROWS
        if self.points is not None and height >= LEAST_HEIGHT:
            plot = self._plot(self.points, columns, height)
            lines = [self._title(), *plot, *lines]

        for line in lines:
            yield Text(line, no_wrap=True, overflow="ellipsis")

    def _list_trials(self, rows: int) -> list[str]:
        lines: list[str] = []
        for trial in self.trials[: max(0, rows)]:
            lines.append(_describe_trial(trial))
        return lines

    def _title(self) -> str:
        name = self.progress.study.study_name
        cost = self.progress.caps.axis
        unit = units().get(cost, cost)
        legend = f"{MEMBER} front  {DOMINATED} other trials  {IN_HAND} in hand"
        return f"{name}: score by {unit}; {legend}"

    def _plot(self, points: Floats, columns: int, height: int) -> list[str]:
        groups = [Marks(DOMINATED, points)]
        reported = _list_reported(self.trials)
        if reported:
            costs, scores = np.array(reported).T
            groups.append(Marks(IN_HAND, costs_of(costs, scores)))
        members = points[front(points)]
        groups.append(Marks(MEMBER, members))
        return plot_scatter(groups, columns, height)


def _list_reported(trials: Sequence[FrozenTrial]) -> list[list[float]]:
    """The cost and the score that running trials reported last, where they have a place
    in the plot.
    """
    reported: list[list[float]] = []
    for trial in trials:
        report = read_note(trial, LATEST) or []
        if len(report) == 3 and np.isfinite(report).all():
            reported.append(report[1:])
    return reported


def _describe_trial(trial: FrozenTrial) -> str:
    """A running trial: its number, what it reported last, for how long it has been
    running, what was drawn.
    """
    epoch, *values = read_note(trial, LATEST) or [0]
    report = "starting"
    if values:
        report = f"epoch {epoch}: {format_score(values)}"
    since_s = read_worker(trial).get("since")
    if since_s:
        duration = format_duration(time.time() - since_s)
        report = f"{duration}, {report}"
    drawn = [f"{name}={value}" for name, value in trial.params.items()]
    return f"trial {trial.number}: {report} | {' '.join(drawn)}"


@contextmanager
def show_progress(
    study: Study, n_trials: int | None, caps: Caps, is_live: bool
) -> Iterator[Progress]:
    """The console of a sweep. If ``is_live``, in a terminal, a panel stays at the
    bottom.
    """
    progress = Progress(study, n_trials, caps)
    if not (is_live and sys.stdout.isatty()):
        yield progress
        return
    panel = Panel(progress)
    with Live(panel, console=Console(), refresh_per_second=2), _log_above():
        progress.show = panel.refresh
        yield progress


@contextmanager
def _log_above() -> Iterator[None]:
    """Have the console's log go to standard output, which a live panel prints above
    itself.
    """
    before: list[tuple[logging.StreamHandler[TextIO], TextIO | None]] = []
    for handler in logging.getLogger().handlers:
        if _is_console(handler):
            stream = handler.setStream(sys.stdout)
            before.append((handler, stream))
    try:
        yield
    finally:
        for handler, stream in before:
            if stream is not None:
                handler.setStream(stream)


def _is_console(handler: logging.Handler) -> TypeGuard["logging.StreamHandler[TextIO]"]:
    return isinstance(handler, logging.StreamHandler) and not isinstance(
        handler, logging.FileHandler
    )
