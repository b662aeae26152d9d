"""Kinds of files that a folder of classes may hold: pictures or signals."""

from dataclasses import dataclass
from pathlib import Path

from paretune.data.pictures import FORMAT_NAMES, SUFFIXES


@dataclass(frozen=True)
class FileKind:
    """Files by the ``suffixes`` of their names; ``word`` for one of them, and the
    ``formats`` for people.
    """

    word: str
    formats: str
    suffixes: frozenset[str]

    @property
    def plural(self) -> str:
        """The word for several."""
        return f"{self.word}s"

    def has(self, path: Path) -> bool:
        """Whether a file is of this kind, by its name."""
        return path.suffix.lower() in self.suffixes


PICTURES = FileKind("picture", FORMAT_NAMES, frozenset(SUFFIXES))
SIGNALS = FileKind("signal", ".npy, .csv or .wav", frozenset((".npy", ".csv", ".wav")))
