"""The ways in which a model that a search found may be trained to its end, and which of
them helps models of its size.

Nobody chooses them by hand: a model of each size is trained in every way, and the
validation images decide. The ways are those that helped on MNIST at one size or another
(docs/journal/2026-11-28-small-networks.md).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

STARTS = 8
STARTS_SHARE = 20  # a start is looked at after the epochs over this
# Small moves, turns and bends of the training images.
AUGMENTED = (
    "augment=affine",
    "augment.rotation_deg=7.0",
    "augment.shift=0.05",
    "augment.scale=0.07",
    "augment.elastic=0.03",
)

Config = Mapping[str, Any]  # of a run, as plain data


@dataclass(frozen=True)
class Way:
    """A way of training a model again: other ``settings`` than the search had, and
    whether it learns from a teacher, too. ``name`` is for people.
    """

    name: str
    settings: tuple[str, ...] = ()
    has_teacher: bool = False


LONGER = Way("longer")


def list_first_ways(config: Config, epochs: int) -> list[Way]:
    """The ways that a model is tried in one by one, :data:`LONGER` first: those that
    change something of its ``config``, in trainings of so many ``epochs``.
    """
    trainer = config["trainer"]
    ways = [LONGER]
    if trainer.get("restarts", {}).get("starts", 1) < STARTS:
        ways.append(Way("starts", _describe_starts(epochs)))
    if trainer["averaging"]["kind"] is None:
        ways.append(Way("averaging", ("trainer.averaging.kind=ema",)))
    ways.append(Way("augmentation", AUGMENTED))
    if config["optimizer"].get("weight_decay"):
        ways.append(Way("no decay", ("optimizer.weight_decay=0.0",)))
    if trainer.get("label_smoothing"):
        ways.append(Way("no smoothing", ("trainer.label_smoothing=0.0",)))
    return ways


def _describe_starts(epochs: int) -> tuple[str, ...]:
    looked_at = max(1, epochs // STARTS_SHARE)
    return (
        f"trainer.restarts.starts={STARTS}",
        f"trainer.restarts.epochs={looked_at}",
    )


def list_second_ways(scores: Mapping[Way, float], *, has_teacher: bool) -> list[Way]:
    """The ways to try after the first ones, by their validation ``scores``: all that
    helped together, the two that helped most, and each of these, or the best one alone,
    with a teacher, if there is one.
    """
    helpful = list_helpful(scores)
    combined: list[Way] = []
    if len(helpful) > 2:
        combined.append(join_ways(helpful))
    if len(helpful) > 1:
        combined.append(join_ways(helpful[:2]))
    if not has_teacher:
        return combined
    taught = [add_teacher(way) for way in combined or helpful[:1] or [LONGER]]
    return [*combined, *taught]


def list_helpful(scores: Mapping[Way, float]) -> list[Way]:
    """The ways whose validation scores are above that of a longer training alone, the
    best first.
    """
    least = scores.get(LONGER, 0.0)
    better = [way for way, score in scores.items() if score > least]
    return sorted(better, key=lambda way: -scores[way])


def join_ways(ways: Sequence[Way]) -> Way:
    """All of the ``ways`` at once."""
    settings: list[str] = []
    for way in ways:
        settings += way.settings
    return Way(" + ".join(way.name for way in ways), tuple(settings))


def add_teacher(way: Way) -> Way:
    """The same way, with a teacher."""
    return Way(f"{way.name} + teacher", way.settings, has_teacher=True)


def choose_way(scores: Mapping[Way, float]) -> Way:
    """The way with the best validation score, of equal ones the first; without any
    score a longer training alone.
    """
    return max(scores, key=scores.__getitem__, default=LONGER)
