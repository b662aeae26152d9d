"""What a model says of many files, and how much of it is right where their classes are
known.
"""

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

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


@dataclass(frozen=True)
class ClassScore:
    """How well the model knows a class: the ``count`` of its files, ``f1`` in [0, 1],
    and the class that most of its mistakes are taken for, with their number.
    """

    name: str
    count: int
    f1: float
    taken_for: str = ""
    mistakes: int = 0


@dataclass(frozen=True)
class Score:
    """Macro F1 and accuracy in [0, 1] over ``count`` labelled files, and each class."""

    count: int
    f1: float
    accuracy: float
    classes: Sequence[ClassScore]


def score_answers(
    answers: Sequence[Answer], class_names: Sequence[str]
) -> Score | None:
    """The score over those whose class is known; ``None`` if there are none.

    The F1 is the mean of those of the classes that have files.
    """
    # It takes a second to import.
    from sklearn.metrics import f1_score

    known = [answer for answer in answers if answer.label is not None]
    if not known:
        return None
    labels = [answer.label for answer in known]
    best = [answer.best for answer in known]
    counts = Counter(labels)
    present = [name for name in class_names if counts[name]]
    f1s = f1_score(labels, best, labels=present, average=None, zero_division=0.0)
    classes = [
        _score_class(name, counts[name], float(f1), known)
        for name, f1 in zip(present, f1s, strict=True)
    ]
    right = sum(not answer.is_mistake for answer in known)
    return Score(
        count=len(known),
        f1=sum(part.f1 for part in classes) / len(classes),
        accuracy=right / len(known),
        classes=classes,
    )


def _score_class(
    name: str, count: int, f1: float, answers: Sequence[Answer]
) -> ClassScore:
    wrong = [answer.best for answer in answers if answer.label == name]
    others = Counter(best for best in wrong if best != name)
    if not others:
        return ClassScore(name, count, f1)
    ((taken_for, mistakes),) = others.most_common(1)
    return ClassScore(name, count, f1, taken_for, mistakes)


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
