"""What confirmed models get wrong: which classes they take for which others, and the
images of their surest mistakes.
"""

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pandas import DataFrame

from paretune.answers import AnswersOnTest, Mistake, join_answers
from paretune.confusion import Confusion
from paretune.layers.windows import is_signal
from paretune.reports.findings import SweepResults
from paretune.tracking import Store, read_answers, read_confirmations, select_way
from paretune.tracking.schema import N_PARAMS
from paretune.tracking.trial_table import records

# With more classes a table of all pairs cannot be read.
MOST_CLASSES = 20
MIXUPS_SHOWN = 10
SIGNAL_HEIGHT = 48  # of the picture of a signal
SIGNAL_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")


@dataclass(frozen=True)
class Cell:
    """The number of the images of a class that got an answer, their ``share`` of the
    class, in [0, 1], and whether it ``is_right``.
    """

    count: int
    share: float
    is_right: bool


@dataclass(frozen=True)
class WrongAnswers:
    """What one model gets wrong, over ``seeds`` of its ``of_seeds`` trainings: of the
    others it is not known, or they were asked about other classes. ``params`` are its
    parameters.
    """

    params: int
    family: str
    seeds: int
    of_seeds: int
    answers: AnswersOnTest

    @property
    def confusion(self) -> Confusion:
        """Which classes are taken for which others."""
        return self.answers.confusion

    @property
    def has_table(self) -> bool:
        """Whether a table of all pairs of classes can be read."""
        return len(self.confusion.class_names) <= MOST_CLASSES

    @property
    def rows(self) -> Iterator[tuple[str, list[Cell]]]:
        """For each class with images its name, and a cell for each answer."""
        for row, name in enumerate(self.confusion.class_names):
            counts = self.confusion.counts[row]
            if total := counts.sum():
                yield (
                    name,
                    [
                        Cell(int(count), float(count / total), is_right=row == column)
                        for column, count in enumerate(counts)
                    ],
                )


def read_wrong_answers(results: SweepResults, store: Store) -> list[WrongAnswers]:
    """Those of each confirmed model, by rising parameters, in the way that most seeds
    were given to; of a confirmation by an earlier version nothing is known.
    """
    confirmed = records(results.confirmed_of_these)
    if not confirmed:
        return []
    runs = read_confirmations(store, *results.sweeps)
    each = [read_answers_of(model, runs, store) for model in confirmed]
    return [one for one in each if one is not None]


def read_answers_of(
    model: Mapping[str, Any], runs: DataFrame, store: Store
) -> WrongAnswers | None:
    """What a ``model`` (a row of
    :func:`~paretune.reports.confirmed.summarize_trainings`) gets wrong, by its
    trainings among the ``runs``; ``None`` if it is not known.
    """
    of_way = select_way(runs, model["run_id"], model["how"])
    of_way = of_way.drop_duplicates("seed", keep="last")  # as the scores do
    answers = [read_answers(store, run_id) for run_id in of_way["run_id"]]
    known = [one for one in answers if one is not None]
    if not known:
        return None
    names = known[-1].confusion.class_names
    alike = [one for one in known if one.confusion.class_names == names]
    return WrongAnswers(
        params=int(model[N_PARAMS]),
        family=model["family"],
        seeds=len(alike),
        of_seeds=int(model["seeds"]),
        answers=join_answers(alike),
    )


def format_mixups(wrong: WrongAnswers, most: int = 3) -> str:
    """The pairs of classes with the most mistakes, in a line, each with the share of
    its class; nothing if there are no mistakes.
    """
    counts = {part.name: part.count for part in wrong.confusion.classes}
    pairs = [
        f"{mixup.label} taken for {mixup.answer} "
        f"({mixup.count / counts[mixup.label]:.1%})"
        for mixup in wrong.confusion.list_mixups(most)
    ]
    return f"Most mistakes: {', '.join(pairs)}" if pairs else ""


def describe_wrong_answers(wrong: Sequence[WrongAnswers]) -> list[dict[str, Any]]:
    """The same, as the page shows them."""
    return [
        {
            "title": f"{one.params:,} parameters, {one.family}",
            "seeds": one.seeds,
            "of_seeds": one.of_seeds,
            "classes": one.confusion.classes,
            "names": one.confusion.class_names if one.has_table else (),
            "rows": list(one.rows) if one.has_table else [],
            "mixups": one.confusion.list_mixups(MIXUPS_SHOWN),
            "mistakes": list(map(_describe_mistake, one.answers.mistakes)),
        }
        for one in wrong
    ]


def _describe_mistake(mistake: Mistake) -> Mapping[str, Any]:
    return {
        "source": write_data_uri(mistake.pixels),
        "is_signal": is_signal(mistake.pixels.shape),
        "label": mistake.label,
        "answer": mistake.answer,
        "probability": mistake.probability,
        "number": mistake.number,
    }


def write_data_uri(pixels: NDArray[np.uint8]) -> str:
    """Pixels ``(C, H, W)`` as a picture inside a page; a signal as lines."""
    from PIL import Image  # of those who train, who alone have images to show

    if is_signal(pixels.shape):
        text = _draw_signal(pixels[:, 0])
        return f"data:image/svg+xml;base64,{b64encode(text.encode()).decode()}"
    file = BytesIO()
    Image.fromarray(to_picture(pixels)).save(file, "PNG")
    return f"data:image/png;base64,{b64encode(file.getvalue()).decode()}"


def to_picture(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pixels ``(H, W)`` or, of three channels, ``(H, W, 3)``, of ``(C, H, W)``. Of two
    channels, or more than three, the first is shown.
    """
    if len(pixels) == 3:
        return np.ascontiguousarray(pixels.transpose(1, 2, 0))
    return np.ascontiguousarray(pixels[0])


def _draw_signal(values: NDArray[np.uint8]) -> str:
    """An SVG of a line for each channel of ``(C, T)``."""
    length = values.shape[1]
    lines: list[str] = []
    for number, channel in enumerate(values):
        heights = SIGNAL_HEIGHT * (1 - channel / 255)
        points = " ".join(
            f"{place},{height:.1f}" for place, height in enumerate(heights)
        )
        colour = SIGNAL_COLOURS[number % len(SIGNAL_COLOURS)]
        lines.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" '
            'vector-effect="non-scaling-stroke"/>'
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {length - 1} '
        f'{SIGNAL_HEIGHT}" preserveAspectRatio="none">{"".join(lines)}</svg>'
    )
