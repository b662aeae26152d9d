"""Findings about a data set. Torch is not needed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from paretune.data.arrays import Arrays
from paretune.data.signals import ValueRange, describe_few_steps
from paretune.data.splitting import Mask


@dataclass(frozen=True)
class Rows:
    """Stands for images: the number of the class, the name and a hash of the pixels of
    each.
    """

    labels: NDArray[np.int64]
    names: NDArray[np.object_]
    hashes: NDArray[np.object_]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Mask) -> "Rows":
        """Those that the mask marks."""
        return Rows(self.labels[rows], self.names[rows], self.hashes[rows])

    def join(self, others: "Rows") -> "Rows":
        """These and then the others."""
        return Rows(
            np.concatenate([self.labels, others.labels]),
            np.concatenate([self.names, others.names]),
            np.concatenate([self.hashes, others.hashes]),
        )


@dataclass(frozen=True)
class Fact:
    """Lines on a data set under a heading."""

    heading: str
    lines: tuple[str, ...]


@dataclass
class Found:
    """The images of each split that the data set itself has, facts about them, and
    mistakes that stop a training.
    """

    name: str
    class_names: tuple[str, ...]
    parts: dict[str, Rows]
    facts: list[Fact] = field(default_factory=list)
    mistakes: list[str] = field(default_factory=list)

    def say(self, heading: str, *lines: str) -> None:
        """Add a fact, unless there is nothing to say."""
        told = tuple(line for line in lines if line)
        if told:
            self.facts.append(Fact(heading, told))


def say_values(found: Found, values: ValueRange, signals: Arrays) -> None:
    """Add what is to be said of the values of training signals."""
    found.say("values", f"{values}, as the bytes 0 to 255")
    found.say("few steps", *describe_few_steps(signals.pixels))


def make_rows(
    labels: Sequence[int], names: Sequence[str], hashes: Sequence[bytes]
) -> Rows:
    """Rows of lists."""
    return Rows(
        labels=np.array(labels, np.int64),
        names=np.array(names, object),
        hashes=np.array(hashes, object),
    )


def make_rows_of_arrays(split: str, arrays: Arrays) -> Rows:
    """Rows of images that have no names of their own: ``train[0]``, ``train[1]``,
    ...
    """
    names = np.array([f"{split}[{number}]" for number in range(len(arrays))], object)
    hashes = np.empty(len(arrays), object)
    for number, pixels in enumerate(arrays.pixels):
        hashes[number] = hash_pixels(pixels)
    return Rows(arrays.labels, names, hashes)


def hash_pixels(pixels: NDArray[np.uint8]) -> bytes:
    """The same for the same shape and pixels, and for no others."""
    content = repr(pixels.shape).encode() + pixels.tobytes()
    return blake2b(content, digest_size=16).digest()
