r"""Expected hypervolume improvement where one of the two objectives is known: a closed form.

A candidate's cost :math:`c` is counted; only its score is predicted, as a loss :math:`Y \sim N(\mu, \sigma^2)`. Both are
minimised. The front is a staircase: at cost :math:`x` the best loss known is
:math:`b(x) = \min\{y_i : x_i \le x\}`, or the reference loss :math:`r_y` where nothing is that cheap. A point
:math:`(c, y)` adds the area that it dominates and the front does not, below the reference :math:`(r_x, r_y)`:

.. math:: I(c, y) = \int_c^{r_x} \max(b(x) - y, 0)\, dx = \sum_j w_j(c) \max(b_j - y, 0),

a sum over the steps :math:`j` of the staircase, where :math:`w_j(c)` is the width of the part of step :math:`j` to the right
of :math:`c`. The expectation goes through the sum, and each term is the expected improvement of one objective:

.. math:: E[I] = \sum_j w_j(c) \left[(b_j - \mu)\Phi(u_j) + \sigma\phi(u_j)\right], \quad u_j = (b_j - \mu) / \sigma.

This costs O(steps) a candidate and needs neither sampling nor box decomposition (compare Emmerich, Deutz and Klinkenberg
2011, https://doi.org/10.1109/CEC.2011.5949880, for two unknown objectives).
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
from scipy.special import ndtr

from paretune.front import front

Floats = NDArray[np.float64]


def expected_improvement(
    costs: Floats, mean: Floats, deviation: Floats, known: Floats, reference: tuple[float, float]
) -> Floats:
    """Expected hypervolume improvement ``(M,)`` of candidates over the ``known`` points ``(N, 2)`` of (cost, loss).

    ``costs``, ``mean`` and ``deviation`` (above 0) are ``(M,)``. Candidates at or beyond the reference cost add nothing.
    """
    stairs = known[front(known)].reshape(-1, 2)
    stairs = stairs[(stairs[:, 0] < reference[0]) & (stairs[:, 1] < reference[1])]
    edges = np.concatenate([[-np.inf], stairs[:, 0], [reference[0]]])
    best = np.concatenate([[reference[1]], stairs[:, 1]])  # the best loss on each step, left to right
    starts, ends = np.maximum(edges[:-1], costs[:, None]), edges[1:]
    widths = np.clip(ends - starts, 0.0, None)  # (M, steps)
    gap = best - mean[:, None]
    u = gap / deviation[:, None]
    density = np.exp(-0.5 * u**2) / np.sqrt(2 * np.pi)
    return np.asarray((widths * (gap * ndtr(u) + deviation[:, None] * density)).sum(axis=1))


FITTED_ON = 120  # points that the kernel's scales are fitted on; the prediction uses all of them
MAX_ITERATIONS = 15
AT_MOST = 1000  # points of a surrogate: its time goes with their cube


def features(params: Mapping[str, Any], branch: Mapping[str, BaseDistribution]) -> list[float]:
    """A configuration as numbers in [0, 1]: positions in (log) ranges, a column for each value of a choice.

    What a condition leaves out is in the middle of its range.
    """
    row: list[float] = []
    for name, dist in branch.items():
        if name not in params:
            row += [0.5] * (len(dist.choices) if isinstance(dist, CategoricalDistribution) else 1)
        elif isinstance(dist, CategoricalDistribution):
            row += [float(params[name] == other) for other in dist.choices]
        else:
            low, high = dist.low, dist.high  # type: ignore[attr-defined]
            scale = log if dist.log else float  # type: ignore[attr-defined]
            value = min(max(params[name], low), high)  # in a plain study a task may have asked for another range
            row.append((scale(value) - scale(low)) / (scale(high) - scale(low)) if high > low else 0.0)
    return row


def select_training_points(costs: Floats, losses: Floats) -> NDArray[np.intp]:
    """Indices of the points ``(N,)`` to learn from: all of up to a thousand. Of more, the five hundred nearest above the
    front, and as many spread over the sweep, which show where nothing is to be gained.
    """
    if len(losses) <= AT_MOST:
        return np.arange(len(losses))
    order = np.lexsort((losses, costs))
    above = np.empty(len(losses))
    above[order] = losses[order] - np.minimum.accumulate(losses[order])
    spread = np.linspace(0, len(losses) - 1, AT_MOST // 2).astype(np.intp)
    return np.union1d(np.argsort(above, kind="stable")[: AT_MOST // 2], spread)


class Surrogate:
    """Mean and deviation of a loss anywhere, after it was seen at ``rows`` ``(N, D)`` with values ``losses`` ``(N,)``.

    A Gaussian process with a Matern-5/2 kernel of a length for each column, plus noise; losses are standardised. The scales
    are fitted by marginal likelihood on at most 120 points: the last ones and the best ones (Rasmussen and Williams 2006,
    chapters 2 and 5, https://gaussianprocess.org/gpml).
    """

    def __init__(self, rows: Floats, losses: Floats) -> None:
        self.centre, self.spread = float(losses.mean()), float(losses.std()) or 1.0
        values = (losses - self.centre) / self.spread
        half = FITTED_ON // 2
        chosen = np.union1d(np.arange(len(rows))[-half:], np.argsort(values)[:half])
        start = np.log([1.0, *np.full(rows.shape[1], 0.7), 0.05])
        bounds = np.log([(0.05, 20.0), *[(0.05, 20.0)] * rows.shape[1], (1e-3, 1.0)])
        fitted = minimize(
            _unlikelihood,
            start,
            (rows[chosen], values[chosen]),
            jac=True,
            bounds=bounds,
            method="L-BFGS-B",
            options={"maxiter": MAX_ITERATIONS},
        )
        self.scales = np.exp(fitted.x)
        self._learn(rows, values)

    def predict(self, rows: Floats) -> tuple[Floats, Floats]:
        """Mean and deviation ``(M,)`` of the loss without its noise, at ``rows`` ``(M, D)``."""
        shared = _matern(rows, self.rows, self.scales)[0]
        explained = solve_triangular(self.factor, shared.T, lower=True, check_finite=False)
        deviation = np.sqrt(np.clip(self.scales[0] - (explained**2).sum(axis=0), 1e-8, None))
        return shared @ self.weights * self.spread + self.centre, deviation * self.spread

    def add_fantasies(self, rows: Floats) -> Floats:
        """Take the predicted mean at ``rows`` ``(M, D)`` as if it were measured, so that no other candidate is proposed there; returns it."""
        mean, _ = self.predict(rows)
        values = (mean - self.centre) / self.spread
        self._learn(np.concatenate([self.rows, rows]), np.concatenate([self.values, values]))
        return mean

    def _learn(self, rows: Floats, values: Floats) -> None:
        self.rows, self.values = rows, values
        covariance = _matern(rows, rows, self.scales)[0]
        covariance[np.diag_indices(len(rows))] += self.scales[-1]
        self.factor = cholesky(covariance, lower=True, check_finite=False)
        self.weights = cho_solve((self.factor, True), values, check_finite=False)


def _matern(rows: Floats, others: Floats, scales: Floats) -> tuple[Floats, Floats]:
    """The covariances ``(N, M)`` of two sets of rows, and their slope by the squared distance, times -2."""
    distances = sqrt(5) * cdist(rows / scales[1:-1], others / scales[1:-1])
    decay = scales[0] * np.exp(-distances)
    return decay * (1 + distances + distances**2 / 3), decay * (1 + distances) * (5 / 3)


def _unlikelihood(logs: Floats, rows: Floats, values: Floats) -> tuple[float, Floats]:
    """The negative log marginal likelihood of the logarithms of scale, lengths and noise, and its gradient.

    A length's part of it is the sum over pairs of slope times squared distance along its column, as a product of matrices.
    """
    scales = np.exp(logs)
    covariance, slope = _matern(rows, rows, scales)
    noisy = covariance + scales[-1] * np.eye(len(rows))
    factor = cho_factor(noisy, lower=True, check_finite=False)
    inverse = cho_solve(factor, np.eye(len(rows)), check_finite=False)
    weights = inverse @ values
    pull = np.outer(weights, weights) - inverse
    scaled, pairs = rows / scales[1:-1], pull * slope
    lengths = (pairs.sum(axis=1) @ scaled**2) - (scaled * (pairs @ scaled)).sum(axis=0)
    gradient = [0.5 * (pull * covariance).sum(), *lengths, 0.5 * scales[-1] * np.trace(pull)]
    unlikelihood = 0.5 * values @ weights + np.log(np.diag(factor[0])).sum()
    return float(unlikelihood), -np.array(gradient)
