"""What k seeds say, and when a model may be said to beat a published one."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_1samp

from paretune.front import Point
from paretune.reports.confirmed import Reference, confirmed, spread_of
from paretune.reports.findings import Query
from paretune.reports.terminal import answers, beaten
from paretune.tracking import Confirmation
from reports.test_page import findings_of, trial

POINT = Point(params=900, f1=0.96, family="conv", run_id="a")


def training(seed: int, test_f1: float, how: str = "3 epochs", run: str = "a") -> Confirmation:
    return Confirmation(run, seed, how, 0.95, test_f1, test_f1 + 0.01, f"{run}{seed}")


@given(st.lists(st.integers(5000, 9000), min_size=2, max_size=8, unique=True))
def test_the_interval_is_students(correct):
    """Of scores on 10,000 images."""
    scores = [number / 10_000 for number in correct]
    spread = spread_of(scores)
    expected = ttest_1samp(scores, 0.0).confidence_interval(0.95)

    assert spread.low == pytest.approx(max(0, expected.low))
    assert spread.high == pytest.approx(min(1, expected.high))
    assert spread.low <= spread.mean <= spread.high


def test_one_seed_has_no_interval():
    assert (spread_of([0.9]).low, spread_of([0.9]).high) == (-inf, inf)
    assert str(spread_of([0.9])) == "0.9000"


def test_ways_of_training_again_are_not_averaged_and_the_newest_of_a_seed_counts():
    rows = confirmed(
        [POINT],
        [
            training(1, 0.2),
            training(1, 0.9),
            training(2, 0.8),
            training(1, 0.7, "9 epochs"),
            training(1, 0.1, run="gone"),
        ],
    )

    assert [(row.how, row.f1.n, row.f1.mean) for row in rows] == [
        ("3 epochs", 2, pytest.approx(0.85)),
        ("9 epochs", 1, 0.7),
    ]
    assert rows[0].optimism == pytest.approx(0.96 - 0.85)


@pytest.mark.parametrize(
    ("params", "score", "metric", "beats"),
    [(1000, 0.90, "f1", True), (899, 0.90, "f1", False), (900, 0.9499, "f1", False), (900, 0.955, "accuracy", True)],
)
def test_it_beats_a_published_point_only_with_the_lower_end_of_its_interval(params, score, metric, beats):
    """Mean 0.95 with a half-width of 0.0025: below 0.9499 in the worst case; accuracies are 0.01 higher."""
    (row,) = confirmed([POINT], [training(1, 0.949), training(2, 0.95), training(3, 0.951)])
    reference = Reference("known", params, score, "honest", "x", metric)

    assert row.beats(reference) is beats
    assert bool(beaten([row], [reference])) is beats


def test_one_seed_beats_nothing():
    (row,) = confirmed([POINT], [training(1, 0.99)])

    assert not row.beats(Reference("known", 10_000, 0.1, "honest", "x"))


def test_questions_are_answered_in_lines():
    trials = [trial(0, 100, 0.80), trial(1, 200, 0.95), trial(2, 900, 0.96)]
    lines = answers(findings_of(trials, wanted=Query(1000, 0.8)), beats="known")

    assert lines[0].startswith("Smallest with F1 of at least 0.8: 100 parameters, F1 0.8000 (conv")
    assert lines[1].startswith("Best with at most 1,000 parameters: 900 parameters, F1 0.9600")
    assert lines[2].startswith("Knee of the front: 200 parameters, F1 0.9500")
    assert lines[3].startswith(
        "Nothing confirmed beats known <net> (300 parameters, test accuracy 0.9000, honest); worth paretune-confirm"
    )
    assert lines[4] == "F1 is validation F1."
