r"""Expected hypervolume improvement where one of the two objectives is known: a closed
form.

A candidate's cost :math:`c` is counted; only its score is predicted, as a loss :math:`Y
\sim N(\mu, \sigma^2)`. Both are minimised. The front is a staircase: at cost :math:`x`
the best loss known is
:math:`b(x) = \min\{y_i : x_i \le x\}`, or the reference loss :math:`r_y` where nothing
is that cheap. A point :math:`(c, y)` adds the area that it dominates and the front does
not, below the reference :math:`(r_x, r_y)`:

.. math:: I(c, y) = \int_c^{r_x} \max(b(x) - y, 0)\, dx = \sum_j w_j(c) \max(b_j - y,
0),

a sum over the steps :math:`j` of the staircase, where :math:`w_j(c)` is the width of
the part of step :math:`j` to the right of :math:`c`. The expectation goes through the
sum, and each term is the expected improvement of one objective:

.. math:: E[I] = \sum_j w_j(c) \left[(b_j - \mu)\Phi(u_j) + \sigma\phi(u_j)\right],
\quad u_j = (b_j - \mu) / \sigma.

This costs O(steps) a candidate and needs neither sampling nor box decomposition
(compare Emmerich, Deutz and Klinkenberg 2011, https://doi.org/10.1109/CEC.2011.5949880,
for two unknown objectives).
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from paretune.front import front

Floats = NDArray[np.float64]


def expected_improvement(
    costs: Floats,
    mean: Floats,
    deviation: Floats,
    known: Floats,
    reference: tuple[float, float],
) -> Floats:
    """Expected hypervolume improvement ``(M,)`` of candidates over the ``known`` points
    ``(N, 2)`` of (cost, loss).

    ``costs``, ``mean`` and ``deviation`` (above 0) are ``(M,)``. Candidates at or
    beyond the reference cost add nothing.
    """
    edges, best = _build_stairs(known, reference)
    starts = np.maximum(edges[:-1], costs[:, None])
    ends = edges[1:]
    widths = np.clip(ends - starts, 0.0, None)  # (M, steps)

    sigma = deviation[:, None]
    gap = best - mean[:, None]
    u = gap / sigma
    density = np.exp(-0.5 * u**2) / np.sqrt(2 * np.pi)
    improvement = gap * ndtr(u) + sigma * density

    volumes = widths * improvement
    return np.asarray(volumes.sum(axis=1))


def _build_stairs(
    known: Floats, reference: tuple[float, float]
) -> tuple[Floats, Floats]:
    """The ends ``(steps + 1,)`` of the staircase's steps, left to right, and the best
    loss ``(steps,)`` on each.
    """
    farthest, worst = reference
    stairs = known[front(known)].reshape(-1, 2)
    is_cheaper = stairs[:, 0] < farthest
    is_better = stairs[:, 1] < worst
    stairs = stairs[is_cheaper & is_better]

    costs = stairs[:, 0]
    losses = stairs[:, 1]
    edges = np.concatenate([[-np.inf], costs, [farthest]])
    best = np.concatenate([[worst], losses])
    return edges, best
