"""The picture of what a model gets wrong: which classes it takes for which others, and
its surest mistakes.
"""

from math import ceil
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from paretune.answers import AnswersOnTest, Mistake
from paretune.confusion import Confusion
from paretune.layers.windows import is_signal
from paretune.reports.drawing import escape_formulas, save_figure
from paretune.reports.wrong import MOST_CLASSES, SIGNAL_COLOURS, to_picture

SIZE_INCHES = (12, 5.2)
DPI = 100
COLUMNS = 4
DARK = 0.5  # a cell of a larger share has white figures
LONGEST_NAME = 19  # letters
ENDS_SHOWN = 9  # of each end of a longer one
LONGEST_LINE = 22


def draw_answers(answers: AnswersOnTest, path: Path) -> None:
    """Write the picture, in the format of the path's suffix."""
    save_figure(make_figure(answers), path, DPI)


def make_figure(answers: AnswersOnTest) -> Figure:
    """The confusions, and beside them the mistakes, if there are any."""
    figure = Figure(figsize=SIZE_INCHES, layout="constrained")
    if not answers.mistakes:
        figure.set_figwidth(SIZE_INCHES[0] / 2)
        _draw_confusion(figure.subplots(), answers.confusion)
        return figure
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=(1, 1.1))[0]
    _draw_confusion(left.subplots(), answers.confusion)
    _draw_mistakes(right, answers)
    return figure


def _draw_confusion(axes: Axes, confusion: Confusion) -> None:
    """The shares of each class by answer, in shades, and the numbers of images where
    they can be read.
    """
    totals = confusion.counts.sum(axis=1, keepdims=True)
    shares = confusion.counts / np.maximum(totals, 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_title(f"answers on {confusion.count:,} test images")
    axes.set_xlabel("answer")
    axes.set_ylabel("class")
    if len(confusion.class_names) > MOST_CLASSES:
        axes.set_xlabel("answer: classes in the order of the card")
        axes.set_xticks([])
        axes.set_yticks([])
        return
    names = [_shorten(name) for name in confusion.class_names]
    places = range(len(names))
    is_long = max(map(len, names)) > 2
    axes.set_xticks(places, names, rotation=90 if is_long else 0)
    axes.set_yticks(places, names)
    for (row, column), count in np.ndenumerate(confusion.counts):
        if count:
            colour = "white" if shares[row, column] > DARK else "black"
            text = f"{count:,}"
            axes.text(column, row, text, ha="center", va="center", color=colour, size=7)


def _draw_mistakes(figure: SubFigure, answers: AnswersOnTest) -> None:
    mistakes = answers.mistakes
    figure.suptitle("the surest mistakes")
    rows = ceil(len(mistakes) / COLUMNS)
    places = figure.subplots(rows, COLUMNS, squeeze=False).flat
    for axes, mistake in zip(places, mistakes, strict=False):
        _draw_mistake(axes, mistake)
    for axes in figure.axes[len(mistakes) :]:
        axes.set_visible(False)


def _draw_mistake(axes: Axes, mistake: Mistake) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(_describe(mistake), size=8)
    if not is_signal(mistake.pixels.shape):
        picture = to_picture(mistake.pixels)
        axes.imshow(picture, cmap="gray", vmin=0, vmax=255)
        return
    for number, channel in enumerate(mistake.pixels[:, 0]):
        axes.plot(channel, color=SIGNAL_COLOURS[number % len(SIGNAL_COLOURS)])


def _describe(mistake: Mistake) -> str:
    label, answer = _shorten(mistake.label), _shorten(mistake.answer)
    words = f"{label} taken for {answer}"
    if len(words) > LONGEST_LINE:
        words = f"{label}\ntaken for {answer}"
    return f"{words}\n{mistake.probability:.0%} sure"


def _shorten(name: str) -> str:
    """The beginning and the end of a long name: names of classes often differ in one
    of them alone.
    """
    if len(name) > LONGEST_NAME:
        name = f"{name[:ENDS_SHOWN]}…{name[-ENDS_SHOWN:]}"
    return escape_formulas(name)
