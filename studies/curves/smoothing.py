"""Scores on the scale on which curves are modelled, and curves without the noise from
one epoch to the next.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from studies.curves import EPOCHS

Floats = NDArray[np.float64]
LEAST_SHARE = 1e-3  # a score or an error of 0 has no logit
WIDTH = 0.18  # of the kernel, in logarithms of the epoch: the first epochs stay apart


def to_logits(f1: ArrayLike) -> Floats:
    """The logits of the errors of scores: log(error / score)."""
    error = np.clip(1 - np.asarray(f1, dtype=float), LEAST_SHARE, 1 - LEAST_SHARE)
    logits: Floats = np.log(error / (1 - error))
    return logits


def to_f1(logits: Floats) -> Floats:
    """The scores whose errors have these logits."""
    scores: Floats = 1 / (1 + np.exp(logits))
    return scores


def _make_smoother() -> Floats:
    """The matrix ``(epochs, epochs)`` that smooths a curve: at each epoch a line is
    fitted to what is near in the logarithm of the epoch (Cleveland 1979,
    https://doi.org/10.1080/01621459.1979.10481038).
    """
    places = np.log(np.arange(1, EPOCHS + 1))
    columns = np.ones((EPOCHS, 2))
    smoother = np.zeros((EPOCHS, EPOCHS))
    for epoch, place in enumerate(places):
        away = places - place
        columns[:, 1] = away
        weights = np.exp(-0.5 * (away / WIDTH) ** 2)
        weighted = columns.T * weights
        smoother[epoch] = np.linalg.solve(weighted @ columns, weighted)[0]
    return smoother


SMOOTHER = _make_smoother()
# How much smaller than the noise the difference from the smoothed curve is.
SHRUNK = np.sqrt(((np.eye(EPOCHS) - SMOOTHER) ** 2).sum(axis=1))


def smooth(curves: Floats) -> Floats:
    """Curves ``(N, epochs)`` without noise."""
    return curves @ SMOOTHER.T


def find_noise(curves: Floats) -> Floats:
    """The noise ``(N, epochs)`` of each epoch of curves, at its full size."""
    return (curves - smooth(curves)) / SHRUNK
