"""Confirmed models: the mean score of a model over trainings with other seeds, and its
interval.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from pandas import DataFrame, Series
from pandas.core.groupby import DataFrameGroupBy

CONFIDENCE = 0.95
INTERVAL = f"{100 * CONFIDENCE:.0f} %"  # in tables, pictures and cards
WAY = ["confirms", "how"]  # trainings that differ in one of these are not averaged
TEST_SCORES = ("test_f1", "test_accuracy")


@dataclass(frozen=True, slots=True)
class Reference:
    """A published model: its trainable parameters, its score in [0, 1] on the test
    images, and how it was selected.
    """

    name: str
    params: int
    score: float
    grade: Literal["honest", "last", "picked"]
    source: str
    metric: Literal["accuracy", "f1"] = "accuracy"
    label: bool = False

    def is_beaten_by(self, model: Mapping[str, Any]) -> bool:
        """Whether a confirmed model has no more parameters, and the lower end of its
        interval above the score.

        ``model`` is a row of :func:`summarize_trainings`.
        """
        is_small = model["n_params"] <= self.params
        is_better = model[f"test_{self.metric}_low"] > self.score
        return bool(is_small and is_better)


def read_references(path: Path) -> list[Reference]:
    """The points of a ``conf/references/<data>.yaml``; none if there is no such
    file.
    """
    if not path.is_file():
        return []
    content = yaml.safe_load(path.read_text())
    return [Reference(**point) for point in content["points"]]


def summarize_trainings(trials: DataFrame, trainings: DataFrame) -> DataFrame:
    """The scores of those of ``trials`` that ``trainings`` trained again, by rising
    parameter count.

    A row of ``trials`` for each way in which it was trained again (other epochs, other
    training images: column ``how``), with ``seeds`` (their number), ``optimism`` (how
    far the F1 that the sweep saw on validation was above the mean test F1), and for
    ``test_f1`` and ``test_accuracy`` the mean, the deviation ``_sd`` and the 95 %
    interval of the mean (Student's t) from ``_low`` to ``_high``. One seed has no
    deviation and no interval: 0 and NaN. ``test_f1_of_seeds`` is the text of the single
    scores, by rising seed, and ``seconds_a_seed`` the mean time of a training with the
    starts that it was chosen from.
    """
    newest = trainings.drop_duplicates([*WAY, "seed"], keep="last")
    groups = newest.sort_values("seed").groupby(WAY, sort=False)
    ways = groups.size().rename("seeds").to_frame()
    ways["test_f1_of_seeds"] = groups["test_f1"].agg(_join_scores)
    ways["seconds_a_seed"] = groups["seconds"].mean()
    for score in TEST_SCORES:
        _add_interval(ways, groups, score)
    ways = ways.loc[_order_of_ways(trainings)]
    # Without rows pandas takes it for numbers.
    rows = ways.reset_index().astype({"confirms": trials["run_id"].dtype})
    table: DataFrame = rows.merge(trials, left_on="confirms", right_on="run_id")
    table["optimism"] = table["val_f1"] - table["test_f1"]
    return table.sort_values("n_params", kind="stable")


def _join_scores(scores: Iterable[float]) -> str:
    return " ".join(map("{:.6f}".format, scores))


def _order_of_ways(trainings: DataFrame) -> Any:
    """The index of the ways of training, that of the newest training last."""
    newest = trainings.drop_duplicates(WAY, keep="last")
    return newest.set_index(WAY).index


def _add_interval(
    ways: DataFrame, groups: "DataFrameGroupBy[Any, Any]", score: str
) -> None:
    """Add the mean of a score to ``ways``, its deviation and the two ends of the
    interval, inside [0, 1].
    """
    mean = groups[score].mean()
    sd = groups[score].std().fillna(0.0)
    half = _half_interval(sd, ways["seeds"])
    ways[score] = mean
    ways[f"{score}_sd"] = sd
    ways[f"{score}_low"] = (mean - half).clip(lower=0)
    ways[f"{score}_high"] = (mean + half).clip(upper=1)


def _half_interval(sd: "Series[float]", seeds: "Series[int]") -> "Series[float]":
    """Half the interval of the mean of ``seeds`` values with the deviation ``sd``, by
    Student's t.
    """
    from scipy.special import stdtrit  # scipy.stats takes half a second to import

    quantile = stdtrit(seeds - 1, (1 + CONFIDENCE) / 2)
    half: Series[float] = quantile * sd / seeds**0.5
    return half


def select_most_seeds(models: DataFrame) -> DataFrame:
    """A row for each model: the way of training it that most seeds were given to, of
    equal ones the newest.

    ``models`` are rows of :func:`summarize_trainings`. No score chooses: the best of
    several ways on the test set would flatter the model.
    """
    by_seeds = models.sort_values("seeds", kind="stable")
    return by_seeds.drop_duplicates("run_id", keep="last")


def format_mean_and_sd(model: Mapping[str, Any], score: str) -> str:
    """The mean of a score over the seeds, with its deviation if there are several:
    ``0.9713 ± 0.0024``.
    """
    mean = f"{model[score]:.4f}"
    if model["seeds"] == 1:
        return mean
    sd = model[f"{score}_sd"]
    return f"{mean} ± {sd:.4f}"
