"""``python -m studies predicting``: which surrogate predicts best what a training will
score, from recorded trainings (``studies/curves``).

Of some trainings drawn at random each surrogate learns the final log errors, and
predicts those of the others. That is what a search asks of it, in its whole space.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from paretune.front import LEAST_ERROR
from paretune.search.columns import Columns
from paretune.search.forest import Forest
from paretune.search.surrogate import Surrogate, make_features
from studies.curves import FOLDER
from studies.curves.question import Question
from studies.curves.rows import RowFile

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
KNOWN = (40, 80, 200)  # trainings that are learnt from
SPLITS = 8
FEWEST = 5  # of a family, before it has a surrogate of its own
HEADING = (
    "| surrogate | learnt from | rank correlation | among the better half | RMSE |\n"
    "|---|---:|---:|---:|---:|"
)


@dataclass(frozen=True)
class Recorded:
    """Trainings: their configurations, costs as shares of the range, and final log
    errors ``(N,)``.
    """

    question: Question
    configurations: Sequence[Mapping[str, Any]]
    costs: Floats
    losses: Floats

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
        errors = np.array([max(1 - row.f1, LEAST_ERROR) for row in rows])
        costs = question.feasible.shares_of(configurations)
        # Today's code may refuse what was trained.
        known = np.flatnonzero(np.isfinite(costs))
        kept = [configurations[i] for i in known]
        return cls(question, kept, costs[known], np.log(errors[known]))


Predict = Callable[[Recorded, Ints, Ints], Floats]


def predict_by_family(recorded: Recorded, known: Ints, others: Ints) -> Floats:
    """By a Gaussian process for each family: the first generation."""
    space = recorded.question.space
    usual = float(recorded.losses[known].mean())
    predicted = np.full(len(others), usual)
    branches = np.array([space.branch_of(one) for one in recorded.configurations])
    for branch in set(branches):
        learnt = known[branches[known] == branch]
        is_asked = branches[others] == branch
        if len(learnt) < FEWEST or not is_asked.any():
            continue
        distributions = space.distributions(branch)

        def make_rows(indices: Ints, of: Any = distributions) -> Floats:
            rows = [make_features(recorded.configurations[i], of) for i in indices]
            return np.column_stack([np.array(rows), recorded.costs[indices]])

        surrogate = Surrogate(make_rows(learnt), recorded.losses[learnt])
        predicted[is_asked], _ = surrogate.predict(make_rows(others[is_asked]))
    return predicted


def predict_together(make: Callable[[Floats, Floats], Any]) -> Predict:
    """By one surrogate over all families."""

    def predict(recorded: Recorded, known: Ints, others: Ints) -> Floats:
        columns = Columns(recorded.question.space)
        table = np.array([columns.make_row(one) for one in recorded.configurations])
        rows = np.column_stack([table, recorded.costs])
        surrogate = make(rows[known], recorded.losses[known])
        mean: Floats
        mean, _ = surrogate.predict(rows[others])
        return mean

    return predict


WAYS: dict[str, Predict] = {
    "a Gaussian process for each family": predict_by_family,
    "one Gaussian process": predict_together(Surrogate),
    "one forest": predict_together(Forest),
}


def measure(recorded: Recorded, predict: Predict, n_known: int) -> Floats:
    """Mean over splits of the rank correlation, of that among the better half of what
    is predicted, and of the root of the mean squared error.
    """
    figures: list[tuple[float, float, float]] = []
    for seed in range(SPLITS):
        order = np.random.default_rng(seed).permutation(len(recorded.losses))
        known, others = order[:n_known], order[n_known:]
        predicted = predict(recorded, known, others)
        losses = recorded.losses[others]
        better = np.argsort(losses)[: len(losses) // 2]
        figures.append(
            (
                float(spearmanr(predicted, losses)[0]),
                float(spearmanr(predicted[better], losses[better])[0]),
                float(np.sqrt(np.mean((predicted - losses) ** 2))),
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
    options = parser.parse_args(arguments)
    recorded = Recorded.read(options.data, options.folder)
    print(f"{len(recorded.losses)} trainings on {options.data}\n\n{HEADING}")
    for n_known in KNOWN:
        if n_known > 0.8 * len(recorded.losses):
            continue
        for name, predict in WAYS.items():
            rho, better, rmse = measure(recorded, predict, n_known)
            print(f"| {name} | {n_known} | {rho:.2f} | {better:.2f} | {rmse:.2f} |")
