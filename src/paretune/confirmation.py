"""The way in which ``paretune confirm`` trained a model again: as a record, and as the
words that the store keeps of it.
"""

import hashlib
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from paretune.errors import ConfigError, StoreError
from paretune.settings import join_overrides

TRAIN = "train"
TRAIN_AND_VAL = "train+val"
# Stores hold these words: under others, what earlier versions confirmed would not be
# averaged with what is confirmed now.
STORED_WORDS = re.compile(
    r"(?P<epochs>[\d,]+) epochs? on (?P<train_on>train(?:\+val)?), "
    r"(?P<rule>the last|best on validation)"
    r"(?:, taught by (?P<teacher>[0-9a-f]{8}))?"
    r"(?P<int8>, in int8)?"
    r"(?:, with (?P<settings>.+))?",
    re.DOTALL,
)
LAST_EPOCH = "the last"
BEST_EPOCH = "best on validation"
DIGEST_LETTERS = 8


@dataclass(frozen=True)
class Confirmation:
    """A way to train a model again. Trainings that differ here are not averaged.

    ``teacher`` tells the file that was learnt from apart from others; ``settings`` are
    override lines of what was set otherwise than in the sweep, each setting once.
    """

    epochs: int
    train_on: str = TRAIN
    keeps_last: bool = False
    teacher: str | None = None
    int8: bool = False
    settings: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        config: Mapping[str, Any],
        train_on: str,
        int8: bool = False,
        lines: Iterable[str] = (),
    ) -> Self:
        """The way of a training by this ``config``; of a setting that stands twice in
        ``lines`` the last one counts.

        Raises :class:`~paretune.errors.ConfigError` if the teacher's file is not there.
        """
        trainer = config["trainer"]
        teacher = trainer.get("distillation", {}).get("teacher")
        is_last = config["selection"]["epoch"] == "last"
        last_of_each = {line.partition("=")[0]: line for line in lines}
        return cls(
            epochs=trainer["max_epochs"],
            train_on=train_on,
            keeps_last=is_last or train_on != TRAIN,
            teacher=digest(Path(teacher)) if teacher else None,
            int8=int8,
            settings=tuple(sorted(last_of_each.values())),
        )

    @classmethod
    def read(cls, words: str) -> Self:
        """The confirmation that ``words`` of the store say. Raises
        :class:`~paretune.errors.StoreError` for others.
        """
        found = STORED_WORDS.fullmatch(words)
        if not found:
            raise StoreError(
                f"confirmation `{words}` cannot be read; another version of Paretune "
                "wrote it; confirm again"
            )
        return cls(
            epochs=int(found["epochs"].replace(",", "")),
            train_on=found["train_on"],
            keeps_last=found["rule"] == LAST_EPOCH,
            teacher=found["teacher"],
            int8=found["int8"] is not None,
            settings=tuple(shlex.split(found["settings"] or "")),
        )

    @property
    def sees_validation(self) -> bool:
        """Whether the validation images were trained on, so that their scores tell
        nothing.
        """
        return self.train_on == TRAIN_AND_VAL

    def __str__(self) -> str:
        unit = "epoch" if self.epochs == 1 else "epochs"
        rule = LAST_EPOCH if self.keeps_last else BEST_EPOCH
        parts = [f"{self.epochs:,} {unit} on {self.train_on}", rule]
        if self.teacher:
            parts.append(f"taught by {self.teacher}")
        if self.int8:
            parts.append("in int8")
        if self.settings:
            parts.append(f"with {join_overrides(self.settings)}")
        return ", ".join(parts)


def digest(path: Path) -> str:
    """Eight letters that tell the file's content apart from others'. Raises
    :class:`~paretune.errors.ConfigError` if it is not there.
    """
    if not path.is_file():
        raise ConfigError(
            f"teacher `{path}` is not there; give the weights.pt of a Paretune run "
            "with --teacher"
        )
    return hashlib.sha256(path.read_bytes()).hexdigest()[:DIGEST_LETTERS]
