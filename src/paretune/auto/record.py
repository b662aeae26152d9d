"""The decisions of one ``paretune auto`` and how long it has worked, in a file, so that
the same command goes on with it.
"""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from paretune.atomic import atomically
from paretune.auto.finish_plan import FinishPlan
from paretune.auto.lengths import SearchLength
from paretune.errors import StoreError, first_line

WRITTEN_EVERY_S = 5.0  # a command that is killed forgets no more of its time


@dataclass(frozen=True)
class PlanQuestion:
    """All that a plan depends on, beside the trials themselves: how many there are, and
    what a person has asked for.
    """

    n_trials: int
    seeds: int
    hours: float
    cost: str


@dataclass
class Record:
    """The decisions: the ``length`` of the search's trainings, and the ``plan`` of what
    comes then, which answers a ``question``. And the ``seconds`` of each stage, over all
    commands.
    """

    file: Path
    length: SearchLength | None = None
    question: PlanQuestion | None = None
    plan: FinishPlan | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    @classmethod
    def read(cls, file: Path) -> Self:
        """The record in the ``file``; a new one if it is not there. Raises
        :class:`~paretune.errors.StoreError` if it cannot be read.
        """
        if not file.exists():
            return cls(file)
        try:
            plain = json.loads(file.read_text(encoding="utf-8"))
            return cls(
                file,
                _read_length(plain["length"]),
                _read_question(plain["question"]),
                _read_plan(plain["plan"]),
                {name: float(value) for name, value in plain["seconds"].items()},
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoreError(
                f"file `{file}` cannot be read ({first_line(error)}); delete it: the "
                "trainings are in the store, and only the time that they took is "
                "forgotten"
            ) from error

    def write(self) -> None:
        """Write the file."""
        plain: dict[str, Any] = {
            "length": asdict(self.length) if self.length else None,
            "question": asdict(self.question) if self.question else None,
            "plan": asdict(self.plan) if self.plan else None,
            "seconds": self.seconds,
        }
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with atomically(self.file) as path:
            path.write_text(json.dumps(plain, indent=2) + "\n", encoding="utf-8")

    def forget(self) -> None:
        """Begin anew."""
        self.length = None
        self.question = None
        self.plan = None
        self.seconds = {}

    @property
    def total_s(self) -> float:
        """The seconds of all stages so far."""
        return sum(self.seconds.values())

    @contextmanager
    def timing(self, stage: str) -> Iterator[None]:
        """Count the seconds of the block as those of the ``stage``. The file has them
        after some seconds, whatever ends this process.
        """
        before_s = self.seconds.get(stage, 0.0)
        began_s = time.monotonic()
        over = threading.Event()

        def note() -> None:
            self.seconds[stage] = before_s + time.monotonic() - began_s
            self.write()

        def note_often() -> None:
            while not over.wait(WRITTEN_EVERY_S):
                with suppress(OSError):  # the last note tells, if it stays so
                    note()

        note()
        writer = threading.Thread(target=note_often, daemon=True)
        writer.start()
        try:
            yield
        finally:
            over.set()
            writer.join()
            note()


def _read_length(plain: Mapping[str, Any] | None) -> SearchLength | None:
    if plain is None:
        return None
    return SearchLength(**{name: int(value) for name, value in plain.items()})


def _read_question(plain: Mapping[str, Any] | None) -> PlanQuestion | None:
    return None if plain is None else PlanQuestion(**plain)


def _read_plan(plain: Mapping[str, Any] | None) -> FinishPlan | None:
    if plain is None:
        return None
    return FinishPlan.read(plain)
