"""Curves of any configuration, learnt from recorded ones: what a training would score
after each epoch, and how long each would take.

A linear trend, and randomised trees for the rest, predict the smooth curve on the logit
of the error; trees also how noisy its epochs are, and the seconds. Around it lies the
difference that first weights make, with the shapes that repeats of recorded
configurations show, and a part of what the model cannot explain. As in surrogate
benchmarks of architecture search (Siems et al. 2020, https://arxiv.org/abs/2008.09777).
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import exp, inf, log
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from studies.curves import EPOCHS
from studies.curves.duration import START_EPOCHS, guess_epoch_s
from studies.curves.features import Configured, Features
from studies.curves.rows import Row
from studies.curves.smoothing import find_noise, smooth, to_f1, to_logits

Floats = NDArray[np.float64]
TREES = 100
CLOCK_TREES = 40
PENALTIES = np.logspace(0, 4, 9)  # of the trend, of which the best is taken
FOLDS = 5
LEAF = 2  # recorded trainings that a leaf holds at least
PHASES = 3  # of a training, which have a noise each
LEAST_NOISE = 0.01
# Where nothing was repeated: the deviation of logits that first weights make.
USUAL_DEVIATION = 0.15
LEAST_DEVIATION = 1e-3
LEAST_REPEATED = 8  # differences from which the deviation is learnt
# How much of what the model cannot explain a configuration has for itself, from 0 to 1.
ROUGHNESS = 0.5
# Of a logit that a drawn curve may end below the frontier of those recorded.
BEYOND = 0.1
ALIKE = 20  # recorded trainings whose unexplained parts a configuration may have
TIME_NOISE = 0.03  # of the logarithm of an epoch's seconds


@dataclass(frozen=True)
class Curve:
    """A training: the validation F1 after each epoch as ``measured`` and as it would be
    without the noise of single epochs (``true``), and the seconds of each.

    ``begin_s`` are those before its first epoch: its starts.
    """

    measured: Floats
    true: Floats
    seconds: Floats
    begin_s: float = 0.0


@dataclass(frozen=True)
class Prediction:
    """What is expected of a configuration: the smooth curve as logits, the deviation of
    single epochs ``(epochs,)`` from it, and the seconds of an epoch.
    """

    logits: Floats
    noise: Floats
    epoch_s: float


class Curves:
    """Smooth curves of configurations, and the noise of their epochs, learnt from
    ``rows``.
    """

    def __init__(self, rows: Sequence[Row], seed: int = 0) -> None:
        configured = [Configured(row.settings, row.costs) for row in rows]
        self.features = Features.of(configured)
        table = self.features.make_rows(configured)
        logits = to_logits([list_scores(row) for row in rows])
        self.smoothed = smooth(logits)
        self.trend = _fit_trend(table, self.smoothed)
        rest = self.smoothed - self.trend.predict(table)
        noises = _find_deviations(find_noise(logits))
        targets = np.column_stack([rest, np.log(noises)])
        self.forest = _grow(table, targets, seed, TREES)
        slowness = np.array([_find_slowness(row) for row in rows])
        self.clock = _grow(table, slowness, seed, CLOCK_TREES)
        # Nothing is better, or worse, than all that was recorded.
        self.best = self.smoothed.min(axis=0)
        self.worst = self.smoothed.max(axis=0)
        self.frontier = Frontier.of(rows, self.smoothed[:, -1])

    def predict(self, configured: Sequence[Configured]) -> list[Prediction]:
        """What is expected of each configuration."""
        table = self.features.make_rows(configured)
        found = self.forest.predict(table)
        curves = found[:, :EPOCHS] + self.trend.predict(table)
        curves = np.clip(curves, self.best, self.worst)
        noises = np.repeat(np.exp(found[:, EPOCHS:]), EPOCHS // PHASES, axis=1)
        slowness = self.clock.predict(table)
        predictions: list[Prediction] = []
        for index, one in enumerate(configured):
            guessed_s = guess_epoch_s(one.settings, one.costs)
            epoch_s = guessed_s * exp(slowness[index])
            predictions.append(Prediction(curves[index], noises[index], epoch_s))
        return predictions


@dataclass(frozen=True)
class Frontier:
    """The lowest logit ``(N,)`` that was recorded at the end of trainings with no more
    parameters than these, whose logarithms ``(N,)`` rise.
    """

    sizes: Floats
    lowest: Floats

    @classmethod
    def of(cls, rows: Sequence[Row], ends: Floats) -> "Frontier":
        """That of ``rows`` with these last logits ``(N,)``."""
        sizes = np.log([row.costs["params"] for row in rows])
        order = np.argsort(sizes)
        return cls(sizes[order], np.minimum.accumulate(ends[order]))

    def keep_behind(self, curve: Floats, params: int) -> Floats:
        """A curve of logits ``(epochs,)`` that ends little beyond the frontier: luck
        makes no network much better than the best that is known of its size.
        """
        allowed = np.interp(np.log(params), self.sizes, self.lowest) - BEYOND
        return curve + max(allowed - curve[-1], 0.0)


class CurveModel:
    """Draws trainings, learnt from ``rows``; those without a single epoch are left out.

    Two configurations that are alike differ more in truth than a model says that has
    seen neither. With ``roughness`` 1 each has a difference of its own as large as what
    the model does not explain of recorded ones, with 0 none.
    """

    def __init__(
        self, rows: Sequence[Row], seed: int = 0, roughness: float = ROUGHNESS
    ) -> None:
        self.rows = [row for row in rows if row.epochs]
        if not self.rows:
            raise ValueError("there is no recorded training to learn from")
        self.roughness = roughness
        self.curves = Curves(self.rows, seed)
        self.first_weights = FirstWeights(self.rows, self.curves.smoothed)

    @cached_property
    def unexplained(self) -> tuple[Floats, Floats]:
        """Of each row the last logit that a model of others expects, and the difference
        ``(epochs,)`` of its curve from what is expected, without the share of first
        weights.
        """
        predicted = predict_unseen(self.rows)
        expected = np.array([one.logits for one in predicted])
        ends = expected[:, -1]
        differences = self.curves.smoothed - expected
        whole = np.mean(differences[:, -1] ** 2)
        deviations = [self.first_weights.find_deviation(end) for end in ends]
        of_first_weights = np.mean(np.square(deviations))
        share = max(1 - of_first_weights / whole, 0.0)
        return ends, differences * np.sqrt(share)

    def draw(self, configured: Configured, seed: int, world: int = 0) -> Curve:
        """A training of this configuration with this seed; the same in one ``world``
        whenever it is asked for.
        """
        [expected] = self.curves.predict([configured])
        text = json.dumps(configured.settings, sort_keys=True)
        key = crc32(text.encode())
        logits = expected.logits
        if self.roughness:
            of_all_seeds = np.random.default_rng([world, key])
            logits = logits + self._draw_difference(logits, of_all_seeds)
        rng = np.random.default_rng([world, seed, key])
        true = logits + self.first_weights.draw(logits, rng)
        params = configured.costs["params"]
        true = self.curves.frontier.keep_behind(true, params)
        true = np.clip(true, self.curves.best, self.curves.worst)
        measured = true + expected.noise * rng.normal(size=EPOCHS)
        seconds = expected.epoch_s * np.exp(rng.normal(0, TIME_NOISE, EPOCHS))
        begin_s = count_start_epochs(configured) * expected.epoch_s
        return Curve(to_f1(measured), to_f1(true), seconds, begin_s)

    def _draw_difference(self, logits: Floats, rng: np.random.Generator) -> Floats:
        """One that the model did not explain of a training that was expected to end
        near.
        """
        levels, differences = self.unexplained
        nearest = np.argsort(np.abs(levels - logits[-1]))[:ALIKE]
        difference: Floats = differences[int(rng.choice(nearest))]
        return self.roughness * difference


def predict_unseen(rows: Sequence[Row]) -> list[Prediction]:
    """What is expected of each row by a model of others; all trainings of a
    configuration are left out together.
    """
    groups = [key_of(row) for row in rows]
    n_groups = len(set(groups))
    if n_groups < 2:
        raise ValueError("there is one recorded configuration; record more")
    predictions: dict[int, Prediction] = {}
    folds = GroupKFold(min(FOLDS, n_groups))
    for seen, left in folds.split(rows, groups=groups):
        curves = Curves([rows[index] for index in seen])
        configured = [
            Configured(rows[index].settings, rows[index].costs) for index in left
        ]
        predictions.update(zip(left.tolist(), curves.predict(configured), strict=True))
    return [predictions[index] for index in range(len(rows))]


class FirstWeights:
    """The difference that first weights make to a curve, learnt from repeats.

    Its deviation at the end depends on how far the curve comes: log(deviation) is a
    line over the last logit. Its shape is that of a recorded difference.
    """

    def __init__(self, rows: Sequence[Row], smoothed: Floats) -> None:
        levels, differences = _find_differences(rows, smoothed)
        self.intercept = log(USUAL_DEVIATION)
        self.slope = 0.0
        self.low, self.high = -inf, inf
        self.shapes = np.ones((1, EPOCHS))
        if len(differences) >= LEAST_REPEATED:
            self._fit(levels, differences)

    def _fit(self, levels: Floats, differences: Floats) -> None:
        sizes = np.sqrt(np.mean(differences**2, axis=1))
        logs = np.log(sizes + LEAST_DEVIATION)
        self.slope, self.intercept = np.polyfit(levels, logs, 1)
        self.low, self.high = np.percentile(levels, (5, 95))
        deviations = np.array([self.find_deviation(level) for level in levels])
        self.shapes = differences / deviations[:, None]

    def find_deviation(self, level: float) -> float:
        """The deviation of a curve that ends at this logit."""
        level = min(max(level, self.low), self.high)
        return float(np.exp(self.intercept + self.slope * level))

    def draw(self, logits: Floats, rng: np.random.Generator) -> Floats:
        """A difference ``(epochs,)``, of either sign."""
        shape = self.shapes[int(rng.integers(len(self.shapes)))]
        sign = 1 if rng.random() < 0.5 else -1
        return sign * self.find_deviation(float(logits[-1])) * shape


def _find_differences(rows: Sequence[Row], smoothed: Floats) -> tuple[Floats, Floats]:
    """Of each repeated training the last logit that its configuration has on average,
    and its difference ``(epochs,)`` from that average, at its full size.
    """
    groups: dict[str, list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        groups[key_of(row)].append(index)
    levels: list[float] = []
    differences: list[Floats] = []
    for indices in groups.values():
        n = len(indices)
        if n < 2:
            continue
        mean = smoothed[indices].mean(axis=0)
        for index in indices:
            levels.append(float(mean[-1]))
            differences.append((smoothed[index] - mean) * np.sqrt(n / (n - 1)))
    return np.array(levels), np.array(differences).reshape(-1, EPOCHS)


def key_of(row: Row) -> str:
    """The same text for all trainings of a configuration."""
    return json.dumps(row.settings, sort_keys=True)


def list_scores(row: Row) -> list[float]:
    """The F1 of every epoch; after the last one of a training that broke off, its."""
    scores = [epoch.f1 for epoch in row.epochs][:EPOCHS]
    return scores + [scores[-1]] * (EPOCHS - len(scores))


def count_start_epochs(configured: Configured) -> int:
    """The epochs of its starts, before the training itself."""
    starts = configured.settings.get("trainer.restarts.starts", 1)
    if starts == 1:
        return 0
    epochs = configured.settings.get("trainer.restarts.epochs", START_EPOCHS)
    return int(starts * epochs)


def _find_slowness(row: Row) -> float:
    """How much longer its epochs took than guessed, as a logarithm."""
    seconds = float(np.median([epoch.seconds for epoch in row.epochs]))
    return log(max(seconds, 1e-4) / guess_epoch_s(row.settings, row.costs))


def _find_deviations(noises: Floats) -> Floats:
    """The deviation ``(N, phases)`` in each phase of a training."""
    phases = noises.reshape(len(noises), PHASES, -1)
    # Of a normal distribution; single outliers count less than in a mean of squares.
    deviations = np.abs(phases).mean(axis=2) * np.sqrt(np.pi / 2)
    return np.maximum(deviations, LEAST_NOISE)


def _fit_trend(table: Floats, targets: Floats) -> Pipeline:
    return make_pipeline(StandardScaler(), RidgeCV(PENALTIES)).fit(table, targets)


def _grow(table: Floats, targets: Floats, seed: int, trees: int) -> ExtraTreesRegressor:
    forest = ExtraTreesRegressor(
        trees, min_samples_leaf=LEAF, max_features=0.5, random_state=seed
    )
    return forest.fit(table, targets)
