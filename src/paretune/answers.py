"""What a model said of the images of a test set: kept with the training that read it,
for reports.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from paretune.confusion import Confusion

MISTAKES_KEPT = 12
# Pixels of a side that are kept: they are shown that small.
MOST_PIXELS = 64
MOST_VALUES = 400  # of a signal


@dataclass(frozen=True, eq=False)
class Mistake:
    """An image that was taken for another class: its ``number`` in the test set, its
    ``pixels`` uint8 ``(C, H, W)``, thinned if it is large, the names of its class and of
    the model's answer, and how ``probability`` in [0, 1] the model found that.
    """

    number: int
    pixels: NDArray[np.uint8]
    label: str
    answer: str
    probability: float

    @classmethod
    def read(cls, plain: Mapping[str, Any]) -> Self:
        """The mistake that was written as plain data."""
        pixels = np.frombuffer(b64decode(plain["pixels"]), np.uint8)
        return cls(
            number=plain["number"],
            pixels=pixels.reshape(plain["shape"]),
            label=plain["label"],
            answer=plain["answer"],
            probability=plain["probability"],
        )

    def to_plain(self) -> dict[str, Any]:
        """The same as plain data."""
        return {
            "number": self.number,
            "pixels": b64encode(self.pixels.tobytes()).decode(),
            "shape": list(self.pixels.shape),
            "label": self.label,
            "answer": self.answer,
            "probability": round(self.probability, 6),
        }


@dataclass(frozen=True, eq=False)
class AnswersOnTest:
    """Which classes were taken for which others, and the ``mistakes`` of which the
    model was most sure, at most twelve.
    """

    confusion: Confusion
    mistakes: tuple[Mistake, ...]

    @classmethod
    def of(
        cls,
        pixels: NDArray[np.uint8],
        labels: NDArray[np.int64],
        probabilities: NDArray[np.float32],
        class_names: Sequence[str],
    ) -> Self:
        """Those on images ``(N, C, H, W)`` of classes ``(N,)``, by the model's
        ``probabilities`` ``(N, classes)``. Without names the classes are numbers.
        """
        names = class_names or list(map(str, range(probabilities.shape[1])))
        answers = probabilities.argmax(axis=1)
        wrong = np.flatnonzero(answers != labels)
        sure = probabilities[wrong, answers[wrong]]
        surest = wrong[np.argsort(-sure, kind="stable")[:MISTAKES_KEPT]]
        mistakes = [
            Mistake(
                number=int(number),
                pixels=thin(pixels[number]),
                label=names[labels[number]],
                answer=names[answers[number]],
                probability=float(probabilities[number, answers[number]]),
            )
            for number in surest
        ]
        return cls(Confusion.of(labels, answers, names), tuple(mistakes))

    @classmethod
    def read(cls, path: Path) -> Self:
        """The answers of a file that :meth:`write` wrote."""
        plain = json.loads(path.read_text(encoding="utf-8"))
        counts = np.array(plain["counts"], np.int64)
        confusion = Confusion(tuple(plain["class_names"]), counts)
        return cls(confusion, tuple(map(Mistake.read, plain["mistakes"])))

    def write(self, path: Path) -> None:
        """Write them as JSON."""
        plain = {
            "class_names": list(self.confusion.class_names),
            "counts": self.confusion.counts.tolist(),
            "mistakes": [mistake.to_plain() for mistake in self.mistakes],
        }
        path.write_text(json.dumps(plain), encoding="utf-8")


def thin(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Every so many of the pixels ``(C, H, W)``, so that few enough are kept."""
    height, width = pixels.shape[1:]
    most = MOST_VALUES if height == 1 else MOST_PIXELS
    row_step = ceil(height / most)
    column_step = ceil(width / most)
    return pixels[:, ::row_step, ::column_step]


def join_answers(answers: Iterable[AnswersOnTest]) -> AnswersOnTest:
    """Those of several trainings of a model together, of one at least: all counts, and
    the surest mistakes, each image once. Raises ``ValueError`` if their classes are not
    the same.
    """
    first, *others = answers
    confusion = first.confusion
    for other in others:
        confusion = confusion + other.confusion
    mistakes = [mistake for each in (first, *others) for mistake in each.mistakes]
    mistakes.sort(key=lambda mistake: -mistake.probability)
    of_images: dict[int, Mistake] = {}
    for mistake in mistakes:
        of_images.setdefault(mistake.number, mistake)
    return AnswersOnTest(confusion, tuple(of_images.values())[:MISTAKES_KEPT])
