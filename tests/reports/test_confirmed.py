"""What k seeds say, and when a model may be said to beat a published one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandas import DataFrame
from scipy.stats import ttest_1samp

from paretune.reports.confirmed import (
    Reference,
    format_mean_and_sd,
    summarize_trainings,
)
from paretune.reports.terminal import format_beaten_references
from paretune.tracking.trial_table import records
from reports.tables import TRAININGS, confirmed_of, table_of, training, trial

MODEL = trial(0, 900, 0.96)


@given(st.lists(st.integers(5000, 9000), min_size=2, max_size=8, unique=True))
def test_the_interval_is_students(correct):
    """Of scores on 10,000 images."""
    scores = [number / 10_000 for number in correct]
    (row,) = records(
        confirmed_of(
            [MODEL], *(training(seed, score) for seed, score in enumerate(scores))
        )
    )
    expected = ttest_1samp(scores, 0.0).confidence_interval(0.95)

    assert row["test_f1_low"] == pytest.approx(max(0, expected.low))
    assert row["test_f1_high"] == pytest.approx(min(1, expected.high))
    assert row["test_f1_low"] <= row["test_f1"] <= row["test_f1_high"]


def test_one_seed_has_no_deviation_and_no_interval():
    models = confirmed_of([MODEL], training(1, 0.9))

    assert models[["test_f1_low", "test_f1_high"]].isna().all(axis=None)
    assert format_mean_and_sd(records(models)[0], "test_f1") == "0.9000"


def test_ways_of_training_again_are_not_averaged_and_the_newest_of_a_seed_counts():
    trainings = [
        training(1, 0.2),
        training(1, 0.9),
        training(2, 0.8),
        training(1, 0.7, "9 epochs"),
    ]
    models = confirmed_of([MODEL], *trainings, training(1, 0.1, run="gone"))

    assert list(models["how"]) == ["3 epochs", "9 epochs"]
    assert list(models["seeds"]) == [2, 1]
    assert list(models["test_f1"]) == pytest.approx([0.85, 0.7])
    assert models["optimism"].iloc[0] == pytest.approx(0.96 - 0.85)


@pytest.mark.parametrize(
    ("params", "score", "metric", "beats"),
    [
        (1000, 0.90, "f1", True),
        (899, 0.90, "f1", False),
        (900, 0.9499, "f1", False),
        (900, 0.955, "accuracy", True),
    ],
)
def test_it_beats_a_published_point_only_with_the_lower_end_of_its_interval(
    params, score, metric, beats
):
    """Mean 0.95 with a half-width of 0.0025: below 0.9499 in the worst case; accuracies
    are 0.01 higher.
    """
    models = confirmed_of(
        [MODEL], training(1, 0.949), training(2, 0.95), training(3, 0.951)
    )
    reference = Reference("known", params, score, "honest", "x", metric)

    assert reference.is_beaten_by(records(models)[0]) is beats
    assert bool(format_beaten_references(models, [reference])) is beats


def test_one_seed_beats_nothing():
    (row,) = records(confirmed_of([MODEL], training(1, 0.99)))

    assert not Reference("known", 10_000, 0.1, "honest", "x").is_beaten_by(row)


def test_where_nothing_is_finished_nothing_is_confirmed():
    """As of a sweep that is stopped in its first trial."""
    trials = table_of([MODEL]).astype({"run_id": "str"}).iloc[:0]

    assert summarize_trainings(
        trials, DataFrame({name: [] for name in TRAININGS})
    ).empty
