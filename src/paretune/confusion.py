"""Which classes a model takes for which others."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ClassScore:
    """How well a model knows a class: the ``count`` of its images, ``f1`` in [0, 1],
    and the class that most of its mistakes are ``taken_for``, with their number.
    """

    name: str
    count: int
    f1: float
    taken_for: str = ""
    mistakes: int = 0


@dataclass(frozen=True)
class Mixup:
    """So many images of the class ``label`` that were taken for the class ``answer``."""

    label: str
    answer: str
    count: int


@dataclass(frozen=True, eq=False)
class Confusion:
    """The ``counts`` ``(classes, classes)`` of images, by their class in the rows and
    by the model's answer in the columns.
    """

    class_names: tuple[str, ...]
    counts: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        labels: NDArray[np.integer[Any]],
        answers: NDArray[np.integer[Any]],
        class_names: Sequence[str],
    ) -> Self:
        """That of images ``(N,)`` by the numbers of their classes."""
        n_classes = len(class_names)
        pairs = labels.astype(np.int64) * n_classes + answers
        counts = np.bincount(pairs, minlength=n_classes**2)
        return cls(tuple(class_names), counts.reshape(n_classes, n_classes))

    def __add__(self, other: Self) -> "Confusion":
        """That of both trainings together. Raises ``ValueError`` if their classes are
        not the same.
        """
        if other.class_names != self.class_names:
            raise ValueError(f"classes {other.class_names} are not {self.class_names}")
        return Confusion(self.class_names, self.counts + other.counts)

    @property
    def count(self) -> int:
        """The number of images."""
        return int(self.counts.sum())

    @property
    def accuracy(self) -> float:
        """The share of the images that are right, in [0, 1]."""
        return float(self.counts.trace()) / self.count

    @property
    def f1(self) -> float:
        """The mean F1, in [0, 1], of the classes that have images."""
        return float(np.mean([part.f1 for part in self.classes]))

    @property
    def classes(self) -> list[ClassScore]:
        """The scores of the classes that have images."""
        counts = self.counts.sum(axis=1)
        return [self._score(int(number)) for number in np.flatnonzero(counts)]

    def list_mixups(self, most: int) -> list[Mixup]:
        """At most so many pairs of classes: those with the most mistakes first."""
        wrong = self.counts.copy()
        np.fill_diagonal(wrong, 0)
        pairs = np.argsort(-wrong, axis=None, kind="stable")[:most]
        mixups: list[Mixup] = []
        for label, answer in zip(*np.unravel_index(pairs, wrong.shape), strict=True):
            if count := int(wrong[label, answer]):
                names = (self.class_names[label], self.class_names[answer])
                mixups.append(Mixup(*names, count))
        return mixups

    def _score(self, number: int) -> ClassScore:
        right = self.counts[number, number]
        count = self.counts[number].sum()
        f1 = 2 * right / (count + self.counts[:, number].sum())
        wrong = self.counts[number].copy()
        wrong[number] = 0
        taken_for = int(wrong.argmax())
        mistakes = int(wrong[taken_for])
        return ClassScore(
            name=self.class_names[number],
            count=int(count),
            f1=float(f1),
            taken_for=self.class_names[taken_for] if mistakes else "",
            mistakes=mistakes,
        )
