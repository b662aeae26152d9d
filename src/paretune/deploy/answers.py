"""What a model says of many files, and how much of it is right where their classes are
known.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from paretune.confusion import Confusion

MISTAKES_SHOWN = 12


@dataclass(frozen=True)
class Answer:
    """The ``best`` class of a picture or signal with its ``probability`` in [0, 1], and
    the class that it is of, if that is known.
    """

    name: str
    best: str
    probability: float
    label: str | None = None

    @property
    def is_mistake(self) -> bool:
        """Whether it is known to be of another class."""
        return self.label is not None and self.label != self.best


def count_answers(
    answers: Sequence[Answer], class_names: Sequence[str]
) -> Confusion | None:
    """Which classes were taken for which others, of the files whose class is known;
    ``None`` if there are none.
    """
    known = [answer for answer in answers if answer.label is not None]
    if not known:
        return None
    numbers = {name: number for number, name in enumerate(class_names)}
    labels = np.array([numbers[str(answer.label)] for answer in known])
    best = np.array([numbers[answer.best] for answer in known])
    return Confusion.of(labels, best, class_names)


def list_mistakes(answers: Sequence[Answer]) -> list[Answer]:
    """The mistakes of which the model is most sure, at most twelve."""
    mistakes = [answer for answer in answers if answer.is_mistake]
    mistakes.sort(key=lambda answer: -answer.probability)
    return mistakes[:MISTAKES_SHOWN]


def write_answers(answers: Sequence[Answer], path: Path) -> None:
    """A row for each: ``file``, ``class``, ``probability``, and ``label``, the class
    that it is of, if that is known.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("file", "class", "probability", "label"))
        for answer in answers:
            label = answer.label or ""
            row = (answer.name, answer.best, f"{answer.probability:.6f}", label)
            writer.writerow(row)
