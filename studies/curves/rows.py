"""The file of recorded trainings: a line each, added when the training is over."""

import csv
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

from filelock import FileLock

COLUMNS = (
    "id",
    "kind",
    "parent",
    "seed",
    "config",
    "params",
    "macs",
    "ram_bytes",
    "flash_bytes",
    "f1",
    "epoch_ms",
    "starts_f1",
    "starts_ms",
    "cpu_ms",
    "wall_ms",
    "failed",
)
COSTS = ("params", "macs", "ram_bytes", "flash_bytes")
F1_STEPS = 10_000  # a score is a whole number of ten-thousandths
MS = 1_000


@dataclass(frozen=True)
class Epoch:
    """The validation F1 after an epoch, and its CPU seconds."""

    f1: float
    seconds: float


@dataclass(frozen=True)
class Row:
    """A training.

    ``kind`` is ``draw``, ``mutation`` (of the training ``parent``) or ``repeat`` (of
    it, with another seed). ``settings`` are the searched values. ``epochs`` are those
    of the training, ``starts`` the first ones of each of its restarts, if it has any.
    ``cpu_s`` and ``wall_s`` are the whole training's. ``failed`` says why it did not
    reach its end.
    """

    number: int
    kind: str
    parent: int | None
    seed: int
    settings: Mapping[str, Any]
    costs: Mapping[str, int]
    epochs: Sequence[Epoch] = ()
    starts: Sequence[Sequence[Epoch]] = field(default_factory=list)
    cpu_s: float = 0.0
    wall_s: float = 0.0
    failed: str = ""

    @property
    def f1(self) -> float:
        """The best epoch's, which a sweep is told; 0 without any."""
        return max((epoch.f1 for epoch in self.epochs), default=0.0)

    @property
    def is_whole(self) -> bool:
        """Whether the training reached its end."""
        return not self.failed


class RowFile:
    """A file of rows, which several processes may add to.

    A line is written in one piece. What a process that was killed has left of one is
    taken away before the next.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = path.with_name(f".{path.name}.lock")

    def read(self) -> dict[int, Row]:
        """The rows by their numbers, in this order."""
        if not self.path.is_file():
            return {}
        whole = self.path.read_text().rpartition("\n")[0]
        lines = csv.DictReader(StringIO(whole))
        rows = {int(line["id"]): _read_row(line) for line in lines}
        return dict(sorted(rows.items()))

    def append(self, row: Row) -> None:
        """Add a row, on the disk when this returns."""
        with self._open_whole() as descriptor:
            text = _format_line(_write_row(row))
            os.write(descriptor, text.encode())
            os.fsync(descriptor)

    @contextmanager
    def _open_whole(self) -> Iterator[int]:
        """The file to append to, with a header and without a broken last line."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
        with FileLock(self.lock):
            descriptor = os.open(self.path, flags, 0o644)
            try:
                content = self.path.read_bytes()
                os.truncate(descriptor, content.rfind(b"\n") + 1)
                if b"\n" not in content:
                    os.write(descriptor, _format_line(COLUMNS).encode())
                yield descriptor
            finally:
                os.close(descriptor)


def _format_line(values: Sequence[Any]) -> str:
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()


def _write_row(row: Row) -> list[Any]:
    settings = json.dumps(row.settings, separators=(",", ":"))
    costs = [row.costs.get(name, "") for name in COSTS]
    parent = "" if row.parent is None else row.parent
    return [
        row.number,
        row.kind,
        parent,
        row.seed,
        settings,
        *costs,
        _write_scores(row.epochs),
        _write_times(row.epochs),
        "/".join(map(_write_scores, row.starts)),
        "/".join(map(_write_times, row.starts)),
        round(row.cpu_s * MS),
        round(row.wall_s * MS),
        row.failed,
    ]


def _write_scores(epochs: Sequence[Epoch]) -> str:
    return " ".join(str(round(epoch.f1 * F1_STEPS)) for epoch in epochs)


def _write_times(epochs: Sequence[Epoch]) -> str:
    return " ".join(str(round(epoch.seconds * MS)) for epoch in epochs)


def _read_row(line: Mapping[str, str]) -> Row:
    starts: list[Sequence[Epoch]] = []
    if line["starts_f1"]:
        scores = line["starts_f1"].split("/")
        times = line["starts_ms"].split("/")
        starts = list(map(_read_epochs, scores, times))
    return Row(
        number=int(line["id"]),
        kind=line["kind"],
        parent=int(line["parent"]) if line["parent"] else None,
        seed=int(line["seed"]),
        settings=json.loads(line["config"]),
        costs={name: int(line[name]) for name in COSTS if line[name]},
        epochs=_read_epochs(line["f1"], line["epoch_ms"]),
        starts=starts,
        cpu_s=int(line["cpu_ms"]) / MS,
        wall_s=int(line["wall_ms"]) / MS,
        failed=line["failed"],
    )


def _read_epochs(scores: str, times: str) -> list[Epoch]:
    epochs: list[Epoch] = []
    for score, time in zip(scores.split(), times.split(), strict=True):
        epochs.append(Epoch(int(score) / F1_STEPS, int(time) / MS))
    return epochs
