"""Which training has which number: spread draws of the space, mutations of what is near
the front so far, and repeats with other first weights.

A draw follows from its number, the data's name and the rows up to a boundary, so that a
recording that was interrupted, or that several processes share, is the same as any
other.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any
from zlib import crc32

import numpy as np

from paretune.search.costs import Configuration
from paretune.search.mutation import mutate
from studies.curves.question import Question
from studies.curves.rows import Row

SEED = 0
GENERATION = 50  # trainings that know the same rows
# Those right before a generation that it does not know: the last of them may still be
# in training.
UNKNOWN = 10
DRAW, MUTATION, REPEAT = "draw", "mutation", "repeat"
KINDS = (DRAW, MUTATION, REPEAT)
SHARES = (0.45, 0.40, 0.15)
FRONTS = ("params", "params", "macs")  # one of them at random
MARGIN = 0.2  # of the lowest error so far that counts as near the front
REPEATED_NEAR = 0.7  # of repeats are of trainings near the front
# Proposals for a number; one is taken by chance, the sooner the faster it trains, else
# the fastest.
PROPOSALS = 40
SURELY_TAKEN_S = 10.0
IMPATIENCE = 3.0  # power of the share of that time by which slower ones are taken
SMALLER = 1.6  # power of a uniform share of the way over all sizes


@dataclass(frozen=True)
class Draw:
    """What is to be trained as training ``number``."""

    number: int
    kind: str
    params: Configuration
    parent: int | None = None

    @property
    def seed(self) -> int:
        """That of the first weights and of everything random: no two have the same."""
        return self.number


Propose = Callable[[], Draw]


def count_known(number: int) -> int:
    """How many of the first rows have to be there before ``number`` is drawn."""
    return max(number // GENERATION * GENERATION - UNKNOWN, 0)


def draw(number: int, question: Question, rows: Mapping[int, Row]) -> Draw:
    """The draw of this number. ``rows`` hold at least those that it has to know."""
    known = [rows[index] for index in range(count_known(number))]
    rng = np.random.default_rng([SEED, number, crc32(question.data.encode())])
    parents = [row for row in known if _may_be_parent(row, question)]
    kind = str(rng.choice(KINDS, p=SHARES)) if parents else DRAW
    propose = PROPOSE[kind](number, question, parents, rng)
    tried = {_key(row.settings) for row in known}
    quickest, least_s = propose(), inf
    for _ in range(PROPOSALS):
        proposed = propose()
        if not _is_wanted(proposed, question, tried):
            continue
        taken_s = _guess_s(proposed, question)
        if rng.random() < (SURELY_TAKEN_S / taken_s) ** IMPATIENCE:
            return proposed
        if taken_s < least_s:
            quickest, least_s = proposed, taken_s
    return quickest


def _may_be_parent(row: Row, question: Question) -> bool:
    return row.is_whole and question.holds(row.settings)


def find_near_front(rows: Sequence[Row], cost: str) -> list[Row]:
    """The rows whose error is not far above the lowest that costs no more."""
    ordered = sorted(rows, key=lambda row: (row.costs[cost], -row.f1))
    lowest = 1.0
    near: list[Row] = []
    for row in ordered:
        error = 1 - row.f1
        lowest = min(lowest, error)
        if error <= lowest * (1 + MARGIN):
            near.append(row)
    return near


def _propose_any(
    number: int, question: Question, rows: Sequence[Row], rng: np.random.Generator
) -> Propose:
    """Proposals of one size: thinned by their time, small ones alone were left."""
    share = float(rng.random()) ** SMALLER
    feasible = question.make_untouched()

    def propose() -> Draw:
        [params] = feasible.draw_at_shares(rng, [share])
        return Draw(number, DRAW, question.round(params))

    return propose


def _propose_mutations(
    number: int, question: Question, rows: Sequence[Row], rng: np.random.Generator
) -> Propose:
    near = find_near_front(rows, str(rng.choice(FRONTS)))

    def propose() -> Draw:
        parent = near[int(rng.integers(len(near)))]
        params = question.read_settings(parent.settings)
        mutated = mutate(params, question.feasible, rng)
        return Draw(number, MUTATION, question.round(mutated), parent.number)

    return propose


def _propose_repeats(
    number: int, question: Question, rows: Sequence[Row], rng: np.random.Generator
) -> Propose:
    chosen_from = rows
    if rng.random() < REPEATED_NEAR:
        chosen_from = find_near_front(rows, str(rng.choice(FRONTS)))

    def propose() -> Draw:
        row = chosen_from[int(rng.integers(len(chosen_from)))]
        first = row.number
        if row.kind == REPEAT and row.parent is not None:
            first = row.parent
        params = question.read_settings(row.settings)
        return Draw(number, REPEAT, params, first)

    return propose


PROPOSE = {
    DRAW: _propose_any,
    MUTATION: _propose_mutations,
    REPEAT: _propose_repeats,
}


def _is_wanted(proposed: Draw, question: Question, tried: set[str]) -> bool:
    """Whether it can be built under the cap, and is new unless it is a repeat."""
    if proposed.kind == REPEAT:
        return True
    if _key(question.write_settings(proposed.params)) in tried:
        return False
    return question.feasible.verify_fits(proposed.params)


def _guess_s(proposed: Draw, question: Question) -> float:
    guessed_s = question.guess_training_s(proposed.params)
    # What cannot be built is a row that says so.
    return guessed_s if isfinite(guessed_s) else SURELY_TAKEN_S


def _key(settings: Mapping[str, Any]) -> str:
    return str(sorted(settings.items()))
