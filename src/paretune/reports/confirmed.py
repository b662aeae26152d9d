"""What training a model again with other seeds says of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from pandas import DataFrame

CONFIDENCE = 0.95
WAY = ["confirms", "how"]  # trainings that differ in one of these are not averaged


@dataclass(frozen=True, slots=True)
class Reference:
    """A published model: its trainable parameters, its score in [0, 1] on the test images, and how it was selected."""

    name: str
    params: int
    score: float
    grade: Literal["honest", "last", "picked"]
    source: str
    metric: Literal["accuracy", "f1"] = "accuracy"
    label: bool = False

    def is_beaten_by(self, model: Mapping[str, Any]) -> bool:
        """Whether a row of :func:`confirmed` has no more parameters and the lower end of its interval above the score."""
        return bool(model["n_params"] <= self.params and model[f"test_{self.metric}_low"] > self.score)


def read_references(path: Path) -> list[Reference]:
    """The points of a ``conf/references/<data>.yaml``; none if there is no such file."""
    if not path.is_file():
        return []
    return [Reference(**point) for point in yaml.safe_load(path.read_text())["points"]]


def confirmed(trials: DataFrame, trainings: DataFrame) -> DataFrame:
    """What ``trainings`` say of those of ``trials`` that they trained again, by rising parameter count.

    A row of ``trials`` for each way in which it was trained again (other epochs, other training images: column ``how``),
    with ``seeds`` (their number), ``optimism`` (how far the F1 that the sweep saw on validation was above the mean test F1),
    and for ``test_f1`` and ``test_accuracy`` the mean, the deviation ``_sd`` and the 95 % interval of the mean (Student's t)
    from ``_low`` to ``_high``. One seed has no deviation and no interval: 0 and NaN. ``test_f1_of_seeds`` is the text of the
    single scores, by rising seed, and ``seconds_a_seed`` the mean time of a training with the starts that it was chosen from.
    """
    from scipy.special import stdtrit  # scipy.stats takes half a second to import

    newest = trainings.drop_duplicates([*WAY, "seed"], keep="last").sort_values("seed")
    groups = newest.groupby(WAY, sort=False)
    rows = groups.size().rename("seeds").to_frame()
    rows["test_f1_of_seeds"] = groups["test_f1"].agg(lambda scores: " ".join(map("{:.6f}".format, scores)))
    rows["seconds_a_seed"] = groups["seconds"].mean()
    for score in ("test_f1", "test_accuracy"):
        mean, sd = groups[score].mean(), groups[score].std().fillna(0.0)
        half = stdtrit(rows["seeds"] - 1, (1 + CONFIDENCE) / 2) * sd / rows["seeds"] ** 0.5
        rows[score], rows[f"{score}_sd"] = mean, sd
        rows[f"{score}_low"], rows[f"{score}_high"] = (mean - half).clip(lower=0), (mean + half).clip(upper=1)
    rows = rows.loc[trainings.drop_duplicates(WAY, keep="last").set_index(WAY).index]
    table = rows.reset_index().merge(trials, left_on="confirms", right_on="run_id")
    return table.assign(optimism=table["val_f1"] - table["test_f1"]).sort_values("n_params", kind="stable")


def of_most_seeds(models: DataFrame) -> DataFrame:
    """Of rows of :func:`confirmed` one for each model: the way of training it that most seeds were given to, of equal ones the newest.

    No score chooses it: the best of several ways on the test set would flatter the model.
    """
    return models.sort_values("seeds", kind="stable").drop_duplicates("run_id", keep="last")


def mean_and_sd(model: Mapping[str, Any], score: str) -> str:
    """The mean of a score over the seeds, with its deviation if there are several: ``0.9713 ± 0.0024``."""
    return f"{model[score]:.4f}" + (f" ± {model[f'{score}_sd']:.4f}" if model["seeds"] > 1 else "")
