"""Published points to compare with."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml

__all__ = ["Reference", "read_references"]


@dataclass(frozen=True, slots=True)
class Reference:
    """A published model: its trainable parameters, its score in [0, 1] on the test images, and how it was selected."""

    name: str
    params: int
    score: float
    grade: Literal["honest", "last", "picked"]
    source: str
    metric: str = "accuracy"
    label: bool = False


def read_references(path: Path) -> list[Reference]:
    """The points of a ``conf/references/<data>.yaml``; none if there is no such file."""
    if not path.is_file():
        return []
    return [Reference(**point) for point in yaml.safe_load(path.read_text())["points"]]
