"""How far the model of curves can be trusted: what it says of recorded trainings that
it has not seen.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import nan

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from studies.curves.features import Configured
from studies.curves.model import CurveModel, key_of, list_scores, predict_unseen
from studies.curves.rows import Row
from studies.curves.smoothing import LEAST_SHARE, find_noise, to_f1, to_logits

Floats = NDArray[np.float64]
EARLY = (3, 9)  # epochs, the rungs of the usual race
LAST = 9  # epochs whose noise is compared


@dataclass(frozen=True)
class Fit:
    """Spearman's rank correlation of what was predicted with what was recorded, and the
    root of the mean squared difference.
    """

    rho: float
    rmse: float


@dataclass(frozen=True)
class Honesty:
    """Of log errors at the end and at early epochs, and of the logarithm of an epoch's
    seconds, over trainings left out.

    ``one_seed`` is the same fit of a training by another one of the same configuration:
    no model can do better. ``first_weights`` and ``single_epochs`` are the deviations
    that the model draws, as shares of the recorded ones: 1 if they are calibrated.
    """

    trainings: int
    end: Fit
    early: dict[int, Fit]
    seconds: Fit
    one_seed: Fit
    first_weights: float
    single_epochs: float


def measure_honesty(rows: Sequence[Row]) -> Honesty:
    """That of the model of these rows; all trainings of a configuration are left out
    together.
    """
    known = [row for row in rows if row.epochs]
    predicted = predict_unseen(known)
    scores = np.array([list_scores(row) for row in known])
    curves = np.array([to_f1(one.logits) for one in predicted])
    early = {
        epoch: compare(curves[:, epoch - 1], scores[:, epoch - 1]) for epoch in EARLY
    }
    seconds = np.array(
        [np.median([epoch.seconds for epoch in row.epochs]) for row in known]
    )
    guessed = np.array([one.epoch_s for one in predicted])
    model = CurveModel(known)
    return Honesty(
        trainings=len(known),
        end=compare(curves.max(axis=1), scores.max(axis=1)),
        early=early,
        seconds=fit_of(np.log(guessed), np.log(np.maximum(seconds, 1e-4))),
        one_seed=compare_seeds(known),
        first_weights=calibrate_first_weights(model),
        single_epochs=calibrate_epochs(model, scores),
    )


def compare(predicted: Floats, recorded: Floats) -> Fit:
    """The fit of scores, as log errors."""
    return fit_of(_to_log_errors(predicted), _to_log_errors(recorded))


def fit_of(predicted: Floats, recorded: Floats) -> Fit:
    """That of any numbers."""
    if not len(recorded):
        return Fit(nan, nan)
    rho = nan
    if np.ptp(predicted) > 0 and np.ptp(recorded) > 0:
        rho = float(spearmanr(predicted, recorded)[0])
    rmse = float(np.sqrt(np.mean((predicted - recorded) ** 2)))
    return Fit(round(rho, 3), round(rmse, 3))


def compare_seeds(rows: Sequence[Row]) -> Fit:
    """The fit of each repeat's end by the first training of its configuration."""
    firsts: dict[str, float] = {}
    pairs: list[tuple[float, float]] = []
    for row in rows:
        key = key_of(row)
        if key in firsts:
            pairs.append((firsts[key], row.f1))
        firsts.setdefault(key, row.f1)
    table = np.array(pairs).reshape(-1, 2)
    return compare(table[:, 0], table[:, 1])


def calibrate_first_weights(model: CurveModel) -> float:
    """The deviation that first weights make at the end of drawn trainings of the
    repeated configurations, as a share of the recorded one.
    """
    groups: dict[str, list[Row]] = {}
    for row in model.rows:
        groups.setdefault(key_of(row), []).append(row)
    recorded: list[float] = []
    drawn: list[float] = []
    for same in groups.values():
        if len(same) < 2:
            continue
        recorded.append(_find_variance([row.f1 for row in same]))
        one = Configured(same[0].settings, same[0].costs)
        curves = [model.draw(one, seed) for seed in range(20)]
        drawn.append(_find_variance([curve.measured.max() for curve in curves]))
    if not recorded:
        return nan
    return round(float(np.sqrt(np.mean(drawn) / np.mean(recorded))), 3)


def calibrate_epochs(model: CurveModel, scores: Floats) -> float:
    """The noise of the last epochs of drawn trainings as a share of the recorded
    one.
    """
    drawn = [
        model.draw(Configured(row.settings, row.costs), row.seed).measured
        for row in model.rows
    ]
    sizes = [
        np.median(np.abs(find_noise(to_logits(curves))[:, -LAST:]))
        for curves in (np.array(drawn), scores)
    ]
    return round(float(sizes[0] / sizes[1]), 3)


def _find_variance(scores: Sequence[float]) -> float:
    return float(np.var(_to_log_errors(np.array(scores)), ddof=1))


def _to_log_errors(scores: Floats) -> Floats:
    return np.log(np.maximum(1 - scores, LEAST_SHARE))


def describe(honesty: Honesty) -> str:
    """A table for the terminal."""
    fits = {
        "log error at the end": honesty.end,
        **{f"log error after epoch {n}": fit for n, fit in honesty.early.items()},
        "log seconds of an epoch": honesty.seconds,
        "log error at the end, by another seed": honesty.one_seed,
    }
    lines = [f"{honesty.trainings} trainings, of configurations left out:"]
    for name, fit in fits.items():
        lines.append(
            f"  {name:40} rank correlation {fit.rho:6.3f}  RMSE {fit.rmse:.3f}"
        )
    lines.append("deviations drawn, as shares of those recorded:")
    lines.append(f"  {'first weights':40} {honesty.first_weights:.2f}")
    lines.append(f"  {'single epochs':40} {honesty.single_epochs:.2f}")
    return "\n".join(lines)


def to_plain(honesty: Honesty) -> dict[str, object]:
    """For JSON."""
    return asdict(honesty)
