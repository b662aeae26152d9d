"""What stands for training when samplers are compared: a formula, and a model of real
trainings on MNIST.

Both answer a configuration of five convolutions (widths 2 to 64, a learning rate; cap
5,000) with a validation F1 at once.
"""

import csv
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.model_selection import cross_val_predict

from paretune.search.space_parser import parse_space

Configuration = dict[str, float]
Score = Callable[[Configuration, np.random.Generator], float]

CAP = 5000
SPACE = parse_space(
    [
        *(f"w{i}=tag(log,int(interval(2,64)))" for i in range(5)),
        "lr=tag(log,interval(0.0005,0.05))",
    ],
    is_group=lambda _: False,
    own_space=lambda _: {},
)
TRIALS = Path(__file__).parent / "mnist_trials.csv"


def count(params: Configuration) -> int:
    """Five 3x3 convolutions without bias, their batch norms, and ten maps at the
    end.
    """
    channels = [1, *(params[f"w{i}"] for i in range(5)), 10]
    return sum(9 * a * b for a, b in pairwise(channels)) + 2 * sum(channels[1:-1])


def formula(params: Configuration, rng: np.random.Generator) -> float:
    """F1 between 0.1 and 0.996.

    The error falls with every layer's log width, most where the layers are balanced;
    the learning rate has a best value that depends on the size; the noise is that of a
    seed.
    """
    depth = np.log([params[f"w{i}"] for i in range(5)])
    capacity = (depth * (0.8, 1.0, 1.2, 1.0, 1.1)).sum() - 0.35 * depth.std() * 5
    best_lr = np.log(0.02) - 0.12 * capacity
    log_error = (
        -0.36 * capacity
        - 0.4
        + 0.18 * (np.log(params["lr"]) - best_lr) ** 2
        + rng.normal(0, 0.05)
    )
    return 1 - float(np.clip(np.exp(log_error), 0.004, 0.9))


def mnist(params: Configuration, rng: np.random.Generator) -> float:
    """F1 as 400 randomised trees predict it from the trainings in ``mnist_trials.csv``,
    with the noise of a seed.

    Geurts, Ernst and Wehenkel 2006 (https://doi.org/10.1007/s10994-006-6226-1). Not a
    Gaussian process: that is what the ``front`` sampler models with.
    """
    log_error = float(_forest().predict([_features(params)])[0])
    return 1 - float(np.clip(np.exp(log_error + rng.normal(0, 0.05)), 0.004, 0.95))


def fit_of_mnist() -> dict[str, float]:
    """How well the trees predict trainings that they have not seen (10 folds), in log
    error.
    """
    rows, log_errors = _trials()
    predicted = cross_val_predict(
        ExtraTreesRegressor(400, random_state=0), rows, log_errors, cv=10
    )
    residual = log_errors - predicted
    return {
        "trainings": len(rows),
        "r2": round(1 - float(residual.var() / log_errors.var()), 3),
        "residual_sd": round(float(residual.std()), 3),
    }


@cache
def _forest() -> ExtraTreesRegressor:
    return ExtraTreesRegressor(400, random_state=0).fit(*_trials())


def _trials() -> tuple[np.ndarray, np.ndarray]:
    with TRIALS.open() as file:
        lines = list(csv.DictReader(file))
    rows = [
        _features({name: float(line[name]) for name in SPACE.all_distributions()})
        for line in lines
    ]
    return np.array(rows), np.log(1 - np.array([float(line["f1"]) for line in lines]))


def _features(params: Configuration) -> list[float]:
    """Logarithms of the widths and the learning rate, and of what explains most: the
    size and the narrowest layer.
    """
    widths = [params[f"w{i}"] for i in range(5)]
    return [
        *np.log(widths),
        np.log(params["lr"]),
        np.log(count(params)),
        np.log(min(widths)),
    ]
