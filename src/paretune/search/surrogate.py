"""A Gaussian process that predicts the loss of configurations from those that were
measured.
"""

from collections.abc import Mapping
from math import log, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution
from scipy.linalg import cho_factor, cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize
from scipy.spatial.distance import cdist

from paretune.search.distributions import NumberDistribution, as_number

Floats = NDArray[np.float64]
# Points that the kernel's scales are fitted on; the prediction uses all of them.
MAX_FITTED = 120
MAX_ITERATIONS = 15
MAX_POINTS = 1000  # of a surrogate: its time goes with their cube
MIDDLE = 0.5  # the feature of what a condition leaves out
LEAST_VARIANCE = 1e-8
# where the fit starts, and between which ends: of the process's variance, of a length,
# of the noise's variance
FIRST_VARIANCE = 1.0
FIRST_LENGTH = 0.7
FIRST_NOISE = 0.05
VARIANCES = (0.05, 20.0)
LENGTHS = (0.05, 20.0)
NOISES = (1e-3, 1.0)


def make_features(
    params: Mapping[str, Any], branch: Mapping[str, BaseDistribution]
) -> list[float]:
    """A configuration as numbers in [0, 1]: positions in (log) ranges, a column for
    each value of a choice.

    What a condition leaves out is in the middle of its range.
    """
    row: list[float] = []
    for name, dist in branch.items():
        if isinstance(dist, CategoricalDistribution):
            row.extend(_encode_choice(params, name, dist))
        elif name in params:
            row.append(_find_position(params[name], as_number(dist)))
        else:
            row.append(MIDDLE)
    return row


def _encode_choice(
    params: Mapping[str, Any], name: str, dist: CategoricalDistribution
) -> list[float]:
    if name not in params:
        return [MIDDLE] * len(dist.choices)
    value = params[name]
    return [float(value == other) for other in dist.choices]


def _find_position(value: float, dist: NumberDistribution) -> float:
    low = dist.low
    high = dist.high
    if high <= low:
        return 0.0
    # In a plain study a task may have asked for another range.
    value = min(max(value, low), high)
    if dist.log:
        return (log(value) - log(low)) / (log(high) - log(low))
    return (float(value) - float(low)) / (float(high) - float(low))


def select_training_points(costs: Floats, losses: Floats) -> NDArray[np.intp]:
    """Indices of the points ``(N,)`` to learn from: all of up to a thousand.

    Of more, the five hundred nearest above the front, and as many spread over the
    sweep, which show where nothing is to be gained.
    """
    if len(losses) <= MAX_POINTS:
        return np.arange(len(losses))
    half = MAX_POINTS // 2
    order = np.lexsort((losses, costs))
    ordered = losses[order]
    best_so_far = np.minimum.accumulate(ordered)
    above = np.empty(len(losses))
    above[order] = ordered - best_so_far
    nearest = np.argsort(above, kind="stable")[:half]

    spread = np.linspace(0, len(losses) - 1, half).astype(np.intp)
    return np.union1d(nearest, spread)


class Surrogate:
    """Mean and deviation of a loss anywhere, after it was seen at ``rows`` ``(N, D)``
    with values ``losses`` ``(N,)``.

    A Gaussian process with a Matern-5/2 kernel of a length for each column, plus noise;
    losses are standardised. The scales are fitted by marginal likelihood on at most 120
    points: the last ones and the best ones (Rasmussen and Williams 2006, chapters 2 and
    5, https://gaussianprocess.org/gpml).
    """

    def __init__(self, rows: Floats, losses: Floats) -> None:
        self.centre = float(losses.mean())
        self.spread = float(losses.std()) or 1.0
        values = (losses - self.centre) / self.spread

        half = MAX_FITTED // 2
        last = np.arange(len(rows))[-half:]
        best = np.argsort(values)[:half]
        chosen = np.union1d(last, best)
        self.scales = _fit_scales(rows[chosen], values[chosen])
        self._learn(rows, values)

    def predict(self, rows: Floats) -> tuple[Floats, Floats]:
        """Mean and deviation ``(M,)`` of the loss without its noise, at ``rows`` ``(M,
        D)``.
        """
        covariance, _ = _matern(rows, self.rows, self.scales)
        mean = covariance @ self.weights
        projected = solve_triangular(
            self.factor, covariance.T, lower=True, check_finite=False
        )
        explained = (projected**2).sum(axis=0)
        left = self.scales[0] - explained
        variance = np.clip(left, LEAST_VARIANCE, None)
        deviation = np.sqrt(variance)

        mean_loss = mean * self.spread + self.centre
        return mean_loss, deviation * self.spread

    def add_fantasies(self, rows: Floats) -> Floats:
        """Take the predicted mean at ``rows`` ``(M, D)`` as if it were measured;
        returns it.

        So no other candidate is proposed there.
        """
        mean, _ = self.predict(rows)
        values = (mean - self.centre) / self.spread
        all_rows = np.concatenate([self.rows, rows])
        all_values = np.concatenate([self.values, values])
        self._learn(all_rows, all_values)
        return mean

    def _learn(self, rows: Floats, values: Floats) -> None:
        self.rows = rows
        self.values = values
        covariance, _ = _matern(rows, rows, self.scales)
        diagonal = np.diag_indices(len(rows))
        covariance[diagonal] += self.scales[-1]
        self.factor = cholesky(covariance, lower=True, check_finite=False)
        self.weights = cho_solve((self.factor, True), values, check_finite=False)


def _fit_scales(rows: Floats, values: Floats) -> Floats:
    """The scales of greatest marginal likelihood: the process's variance, a length for
    each column, the noise's.
    """
    columns = rows.shape[1]
    lengths = [FIRST_LENGTH] * columns
    start = np.log([FIRST_VARIANCE, *lengths, FIRST_NOISE])
    bounds = np.log([VARIANCES, *[LENGTHS] * columns, NOISES])
    fitted = minimize(
        _negative_log_likelihood,
        start,
        (rows, values),
        jac=True,
        bounds=bounds,
        method="L-BFGS-B",
        options={"maxiter": MAX_ITERATIONS},
    )
    return np.asarray(np.exp(fitted.x))


def _matern(rows: Floats, others: Floats, scales: Floats) -> tuple[Floats, Floats]:
    """The covariances ``(N, M)`` of two sets of rows, and their slope by the squared
    distance, times -2.
    """
    lengths = scales[1:-1]
    scaled = rows / lengths
    scaled_others = others / lengths
    distances = sqrt(5) * cdist(scaled, scaled_others)
    decay = scales[0] * np.exp(-distances)
    covariance = decay * (1 + distances + distances**2 / 3)
    slope = decay * (1 + distances) * (5 / 3)
    return covariance, slope


def _negative_log_likelihood(
    logs: Floats, rows: Floats, values: Floats
) -> tuple[float, Floats]:
    """The negative log marginal likelihood of the logarithms of the scales, and its
    gradient.

    A length's part of it is the sum over pairs of slope times squared distance along
    its column, as a product of matrices.
    """
    scales = np.exp(logs)
    lengths = scales[1:-1]
    noise = scales[-1]

    covariance, slope = _matern(rows, rows, scales)
    identity = np.eye(len(rows))
    noisy = covariance + noise * identity
    factor = cho_factor(noisy, lower=True, check_finite=False)
    inverse = cho_solve(factor, identity, check_finite=False)
    weights = inverse @ values

    pull = np.outer(weights, weights) - inverse
    by_variance = 0.5 * (pull * covariance).sum()
    by_lengths = _differentiate_by_lengths(rows / lengths, pull * slope)
    by_noise = 0.5 * noise * np.trace(pull)
    gradient = np.array([by_variance, *by_lengths, by_noise])

    log_determinant = np.log(np.diag(factor[0])).sum()
    negative = 0.5 * values @ weights + log_determinant
    return float(negative), -gradient


def _differentiate_by_lengths(scaled: Floats, pairs: Floats) -> Floats:
    """The log likelihood's derivatives by the logarithm of each length, of rows in
    units of their lengths.
    """
    alone = pairs.sum(axis=1) @ scaled**2
    together = (scaled * (pairs @ scaled)).sum(axis=0)
    derivatives: Floats = alone - together
    return derivatives
