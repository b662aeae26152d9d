"""``python -m studies predicting``: which surrogate predicts best what a training will
score, from recorded trainings (``studies/curves``).

Of some trainings drawn at random each surrogate learns the final log errors, and
predicts those of the others. That is what a search asks of it, in its whole space. With
``--raced`` it learns as much as a race shows: of all trainings the third epoch, of the
better ones the ninth, and of the better ones of these the end.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.ensemble import RandomForestRegressor

from paretune.search.columns import Columns
from paretune.search.forest import Forest
from paretune.search.front_model import LOG_COST
from paretune.search.partial_curves import compute_log_error
from paretune.search.surrogate import Surrogate, make_features
from studies.curves import FOLDER
from studies.curves.question import Question
from studies.curves.rows import RowFile

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
KNOWN = (60, 120)  # trainings that are learnt from
SPLITS = 10
FEWEST = 5  # of a family, before it has a surrogate of its own
# Epochs at which a race compares, and which share of the trainings goes on there.
RUNGS = {3: 0.4, 9: 0.5}
FEWEST_STAYING = 3
HEADING = (
    "| surrogate | learnt from | rank correlation | at its size | among the better "
    "half there | RMSE | bias |\n|---|---:|---:|---:|---:|---:|---:|"
)


@dataclass(frozen=True)
class Recorded:
    """Trainings: their configurations, costs as shares of the range, final log errors
    ``(N,)``, and those at each rung by its epoch.
    """

    question: Question
    configurations: Sequence[Mapping[str, Any]]
    costs: Floats
    losses: Floats
    rungs: Mapping[int, Floats]

    @classmethod
    def read(cls, data: str, folder: Path) -> "Recorded":
        """Those of a data set that reached their end."""
        question = Question(data)
        rows = [
            row
            for row in RowFile(folder / f"{data}.csv").read().values()
            if row.is_whole
        ]
        rows = [row for row in rows if question.holds(row.settings)]
        configurations = [question.read_settings(row.settings) for row in rows]
        costs = question.feasible.shares_of(configurations)
        # Today's code may refuse what was trained.
        known = np.flatnonzero(np.isfinite(costs))
        configurations = [configurations[i] for i in known]
        rows = [rows[i] for i in known]
        ends = _compute_log_errors([row.f1 for row in rows])
        rungs = {
            epoch: _compute_log_errors([row.epochs[epoch - 1].f1 for row in rows])
            for epoch in RUNGS
        }
        return cls(question, configurations, costs[known], ends, rungs)

    def find_distances(
        self, trainings: Ints, losses: Floats, of_line: Floats
    ) -> Floats:
        """How far the ``losses`` of ``trainings`` are above a line over their sizes
        through other losses of theirs, ``of_line``.
        """
        sizes = self.costs[trainings]
        line = np.polyfit(sizes, of_line, 1)
        distances: Floats = losses - np.polyval(line, sizes)
        return distances


def _compute_log_errors(scores: Sequence[float]) -> Floats:
    return np.array([compute_log_error(score) for score in scores])


@dataclass(frozen=True)
class Lessons:
    """What a surrogate learns from: of which trainings ``(N,)``, how early in them (0
    at the end, else 1 by the epochs), and the log errors.
    """

    trainings: Ints
    earliness: Floats
    losses: Floats


Teach = Callable[[Recorded, Ints], Lessons]
Predict = Callable[[Recorded, Lessons, Ints], Floats]


def teach_ends(recorded: Recorded, known: Ints) -> Lessons:
    """The end of each of these trainings."""
    return Lessons(known, np.zeros(len(known)), recorded.losses[known])


def teach_as_raced(recorded: Recorded, known: Ints) -> Lessons:
    """Each of these trainings as far as a race lets it go."""
    trainings: list[Ints] = []
    earliness: list[Floats] = []
    losses: list[Floats] = []
    left = known
    for epoch, share in RUNGS.items():
        at_rung = recorded.rungs[epoch][left]
        trainings.append(left)
        earliness.append(np.full(len(left), 1 / epoch))
        losses.append(at_rung)
        above = recorded.find_distances(left, at_rung, at_rung)
        n_staying = max(FEWEST_STAYING, round(share * len(left)))
        left = left[np.argsort(above)[:n_staying]]
    trainings.append(left)
    earliness.append(np.zeros(len(left)))
    losses.append(recorded.losses[left])
    return Lessons(
        np.concatenate(trainings), np.concatenate(earliness), np.concatenate(losses)
    )


def predict_by_family(recorded: Recorded, lessons: Lessons, others: Ints) -> Floats:
    """By a Gaussian process for each family: the first generation."""
    space = recorded.question.space
    usual = float(lessons.losses.mean())
    predicted = np.full(len(others), usual)
    branches = np.array([space.branch_of(one) for one in recorded.configurations])
    for branch in set(branches):
        is_learnt = branches[lessons.trainings] == branch
        is_asked = branches[others] == branch
        if is_learnt.sum() < FEWEST or not is_asked.any():
            continue
        distributions = space.distributions(branch)

        def make_rows(
            indices: Ints, earliness: Floats, of: Any = distributions
        ) -> Floats:
            rows = [make_features(recorded.configurations[i], of) for i in indices]
            return np.column_stack([np.array(rows), recorded.costs[indices], earliness])

        learnt = make_rows(lessons.trainings[is_learnt], lessons.earliness[is_learnt])
        asked = make_rows(others[is_asked], np.zeros(is_asked.sum()))
        surrogate = Surrogate(learnt, lessons.losses[is_learnt])
        predicted[is_asked], _ = surrogate.predict(asked)
    return predicted


def predict_together(make: Callable[[Floats, Floats], Any]) -> Predict:
    """By one surrogate over all families."""

    def predict(recorded: Recorded, lessons: Lessons, others: Ints) -> Floats:
        columns = Columns(recorded.question.space)
        table = columns.make_rows(recorded.configurations)
        rows = np.column_stack([table, recorded.costs])
        learnt = np.column_stack([rows[lessons.trainings], lessons.earliness])
        surrogate = make(learnt, lessons.losses)
        mean: Floats
        mean, _ = surrogate.predict(
            np.column_stack([rows[others], np.zeros(len(others))])
        )
        return mean

    return predict


class ForestAlone:
    """Trees as they were until a line over the size came under them."""

    def __init__(self, rows: Floats, losses: Floats) -> None:
        self.forest = RandomForestRegressor(
            n_estimators=40, min_samples_leaf=3, max_features=0.6, random_state=0
        )
        self.forest.fit(rows, losses)

    def predict(self, rows: Floats) -> tuple[Floats, None]:
        """The mean ``(M,)`` at ``rows`` ``(M, D)``; no deviation."""
        return self.forest.predict(rows), None


WAYS: dict[str, Predict] = {
    "a Gaussian process for each family": predict_by_family,
    "one Gaussian process": predict_together(Surrogate),
    "one forest": predict_together(ForestAlone),
    "a line over the size, and one forest": predict_together(
        partial(Forest, size_column=LOG_COST)
    ),
}


def measure(recorded: Recorded, teach: Teach, predict: Predict, n_known: int) -> Floats:
    """Means over splits: of the rank correlation, of that of the distances from a line
    over the size, of this among the better half, of the root of the mean squared error,
    and of the error.
    """
    figures: list[tuple[float, ...]] = []
    for seed in range(SPLITS):
        order = np.random.default_rng(seed).permutation(len(recorded.losses))
        known, others = order[:n_known], order[n_known:]
        predicted = predict(recorded, teach(recorded, known), others)
        losses = recorded.losses[others]
        guessed = recorded.find_distances(others, predicted, losses)
        distances = recorded.find_distances(others, losses, losses)
        better = np.argsort(distances)[: len(others) // 2]
        figures.append(
            (
                float(spearmanr(predicted, losses)[0]),
                float(spearmanr(guessed, distances)[0]),
                float(spearmanr(guessed[better], distances[better])[0]),
                float(np.sqrt(np.mean((predicted - losses) ** 2))),
                float(np.mean(predicted - losses)),
            )
        )
    return np.array(figures).mean(axis=0)


def main(arguments: Sequence[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        "python -m studies predicting", description=__doc__
    )
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="of <data>.csv")
    parser.add_argument("--raced", action="store_true", help="learn as a race shows")
    options = parser.parse_args(arguments)
    recorded = Recorded.read(options.data, options.folder)
    teach = teach_as_raced if options.raced else teach_ends
    print(f"{len(recorded.losses)} trainings on {options.data}\n\n{HEADING}")
    for n_known in KNOWN:
        if n_known > 0.8 * len(recorded.losses):
            continue
        for name, predict in WAYS.items():
            figures = measure(recorded, teach, predict, n_known)
            print(f"| {name} | {n_known} | {' | '.join(f'{x:.2f}' for x in figures)} |")
