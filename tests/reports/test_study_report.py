from math import inf

import numpy as np
import pytest

from paretune.errors import ConfigError, StoreError
from paretune.reports.objectives import choose_roles
from paretune.reports.page import family_importances, volume_curve
from paretune.reports.study import build_study_results
from paretune.reports.terminal import answer_query
from paretune.scores import ScoreKind
from paretune.search.stored_study import StoredStudy, StoredTrial, TrialEnd

ERRORS_AND_SIZES = ("minimize", "minimize")


def study_of(*rows, directions=("minimize", "maximize"), names=()):
    trials = [
        StoredTrial(number, TrialEnd.COMPLETE, row, {"width": row[0]})
        for number, row in enumerate(rows)
    ]
    return StoredStudy("plain", directions, names, trials)


def members(study, cost=None):
    return list(build_study_results(study, cost).members["trial"])


def test_the_front_is_of_a_cost_and_a_score():
    assert members(study_of((3, 0.5), (1, 0.4), (2, 0.3), (4, 0.9))) == [1, 0, 3]


def test_the_cost_is_what_is_minimised():
    study = study_of((0.5, 3), (0.4, 1), (0.3, 2), directions=("maximize", "minimize"))
    results = build_study_results(study)

    assert list(results.members["trial"]) == [1, 0]
    assert (results.unit, results.score.words) == ("cost", "score")


def test_of_two_that_are_minimised_the_first_is_the_cost_unless_one_is_named():
    study = study_of((1, 9), (2, 5), (3, 7), directions=ERRORS_AND_SIZES)

    assert members(study) == [0, 1]
    assert members(study, "loss") == [1, 0]
    assert build_study_results(study).score.is_minimised


def test_names_are_those_of_the_study():
    study = study_of((1, 2), directions=ERRORS_AND_SIZES, names=("error", "ms"))

    assert answer_query(build_study_results(study, "ms"))[-1] == (
        "Minimised: ms, the cost, and error; --cost error swaps their parts."
    )


@pytest.mark.parametrize(
    ("directions", "cost", "said"),
    [
        (("minimize",), None, "study `s` has one objective; a front of costs"),
        (("minimize",) * 3, None, "study `s` has 3 objectives; a front of costs"),
        (("maximize",) * 2, None, "study `s` maximises both of its objectives"),
        (
            ("minimize", "maximize"),
            "csot",
            "--cost `csot` is nothing that study `s` mi",
        ),
        (("minimize", "maximize"), "score", "it minimises cost; choose one"),
    ],
)
def test_objectives_that_make_no_front_are_one_line(directions, cost, said):
    with pytest.raises(ConfigError, match=said):
        choose_roles("s", directions, [], cost)


def test_a_study_without_a_complete_trial_is_told_with_what_there_is():
    trials = [StoredTrial(0, TrialEnd.FAILED), StoredTrial(1, TrialEnd.RUNNING)]
    study = StoredStudy("s", ("minimize", "maximize"), (), trials)
    with pytest.raises(StoreError, match=r"no complete trial \(1 failed, 1 running\)"):
        build_study_results(study)


@pytest.mark.parametrize(
    ("scores", "direction", "kind"),
    [
        ((0.0, 1.0), "maximize", ScoreKind.SHARE),
        ((0.5, 90.0), "maximize", ScoreKind.GAIN),
        ((0.5, 0.9), "minimize", ScoreKind.LOSS),
    ],
)
def test_a_score_between_zero_and_one_is_a_share_if_it_is_maximised(
    scores, direction, kind
):
    rows = [(number + 1, score) for number, score in enumerate(scores)]
    study = study_of(*rows, directions=("minimize", direction))

    assert build_study_results(study).score.kind is kind


def test_an_axis_over_a_wide_range_is_logarithmic():
    wide = build_study_results(study_of((0.001, 5), (10, 500)))
    narrow = build_study_results(study_of((1, 5), (2, 6)))
    negative = build_study_results(study_of((-1, 5), (100, 6)))

    assert [r.has_log_cost for r in (wide, narrow, negative)] == [True, False, False]


def test_trials_with_infinite_values_are_on_no_front():
    results = build_study_results(study_of((1, 0.5), (-inf, 0.6), (2, inf)))

    assert list(results.members["trial"]) == [0]
    assert "2 not finite" in results.title


def test_the_volume_is_a_share_that_only_grows():
    rng = np.random.default_rng(0)
    trials = [
        StoredTrial(n, TrialEnd.COMPLETE, tuple(row), {}, *two_times(n))
        for n, row in enumerate(rng.normal(size=(30, 2)))
    ]
    study = StoredStudy("s", ERRORS_AND_SIZES, (), trials)
    volumes = volume_curve(build_study_results(study))["volume"]

    assert volumes == sorted(volumes)
    assert 0 < volumes[0] <= volumes[-1] < 1


def two_times(number):
    from datetime import UTC, datetime, timedelta

    start = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number)
    return start, start + timedelta(seconds=1)


def test_a_single_trial_has_a_report():
    results = build_study_results(study_of((1, 0.5)))

    assert len(results.members) == 1
    assert 0 < results.volume_of(results.members) <= 1


def test_importances_are_of_both_objectives():
    rng = np.random.default_rng(0)
    trials = [
        StoredTrial(n, TrialEnd.COMPLETE, (x, y), {"x": x, "y": y})
        for n, (x, y) in enumerate(rng.uniform(size=(60, 2)))
    ]
    study = StoredStudy("s", ("minimize", "maximize"), (), trials)
    shares = family_importances(build_study_results(study))

    assert max(shares["cost"], key=shares["cost"].get) == "x"
    assert max(shares["score"], key=shares["score"].get) == "y"
