from dataclasses import replace
from io import StringIO
from math import nan

import pytest
from rich.console import Console

from paretune.errors import ConfigError
from paretune.reports.page import _describe_data
from paretune.reports.query import Query
from paretune.reports.terminal import (
    answer_query,
    build_results_table,
    format_beaten_references,
    format_count,
)
from reports.tables import REFERENCE, results_of, training, trial

NORMED = {"model": {"widths": [8, 12], "kernel_size": 3, "norm": "batch"}}
TRIALS = [trial(0, 100, 0.80), trial(1, 200, 0.95), trial(2, 900, 0.96)]


def printed(results, width: int = 80) -> str:
    console = Console(width=width, file=StringIO())
    console.print(build_results_table(results, width))
    return console.file.getvalue()


def test_the_table_shows_every_member_on_eighty_columns():
    text = printed(
        results_of(
            [trial(0, 1234, 0.98765, "squeeze", config=NORMED), trial(1, 99_999, 0.99)]
        )
    )

    assert "1,234" in text
    assert "99,999" in text
    assert "0.9877" in text
    assert "8-12 k3 batch" in text


def test_a_wide_terminal_shows_every_cost():
    text = printed(
        results_of(
            [trial(0, 697, 0.9, macs=142_700.0, ram_bytes=23_520.0, flash_bytes=2788.0)]
        ),
        120,
    )

    assert text.splitlines()[2].split()[:9] == [
        "params",
        "MACs",
        "RAM",
        "B",
        "flash",
        "for",
        "weights",
        "B",
        "val",
    ]
    assert text.splitlines()[4].split()[:5] == [
        "697",
        "143k",
        "23.5k",
        "2.79k",
        "0.9000",
    ]


def test_a_front_over_another_cost_shows_that_one_and_the_parameters():
    results = results_of([trial(0, 697, 0.9, ram_bytes=23_520.0)], cost="ram_bytes")

    assert printed(results).splitlines()[4].split()[:3] == ["697", "23.5k", "0.9000"]
    assert (
        "23,520 bytes of RAM"
        in answer_query(replace(results, query=Query({"ram_bytes": 30_000})))[0]
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (7, "7"),
        (999, "999"),
        (1000, "1.00k"),
        (81_222, "81.2k"),
        (999_500, "1.00M"),
        (1.5e6, "1.50M"),
        (nan, ""),
    ],
)
def test_a_count_is_shown_to_three_digits(value, text):
    assert format_count(value) == text


def test_the_table_of_confirmed_members_has_each_way_and_its_interval():
    trainings = [training(1, 0.7), training(2, 0.8), training(1, 0.6, "9 epochs")]
    text = printed(results_of(TRIALS, *trainings, query=Query(confirmed=True)))

    assert "0.7500 ± 0.0707" in text
    assert "0.1147-1.0000" in text
    assert "0.6000" in text


def test_confirmed_members_of_a_front_over_another_cost_show_it_beside_parameters():
    trials = [trial(0, 697, 0.9, ram_bytes=23_520.0)]
    results = results_of(
        trials, training(0, 0.9), query=Query(confirmed=True), cost="ram_bytes"
    )
    text = printed(results)

    assert "23,520" in text
    assert "697" in text


def test_questions_are_answered_in_lines():
    lines = answer_query(
        results_of(TRIALS, query=Query({"params": 1000}, 0.8)), beats="known"
    )

    assert lines[0].startswith(
        "Smallest with F1 of at least 0.8: 100 parameters, F1 0.8000 (conv"
    )
    assert lines[1].startswith(
        "Best with at most 1,000 parameters: 900 parameters, F1 0.9600"
    )
    assert lines[2].startswith(
        "Nothing confirmed beats known <net> (300 parameters, test accuracy 0.9000, "
        "honest); worth paretune confirm"
    )
    assert lines[3] == (
        "F1 is validation F1, on 400 images: one of them is 0.0025; se is the standard "
        "error."
    )


def test_a_confirmed_model_that_beats_a_published_one_is_named():
    lines = answer_query(
        results_of(TRIALS, training(1, 0.94), training(2, 0.94)), beats="known"
    )

    assert lines[-2].startswith("Beat known <net> (300 parameters,")
    assert lines[-2].endswith("above it: 100 parameters, test F1 0.9400 ± 0.0000")


def test_a_model_beats_by_the_way_of_confirming_that_most_seeds_were_given_to():
    """The best of several ways on the test set would flatter it."""
    good, usual = (
        [training(seed, 0.94, "9 epochs") for seed in (1, 2)],
        [training(seed, 0.8) for seed in (1, 2, 3)],
    )
    results = results_of(TRIALS, *usual, *good)

    assert format_beaten_references(results.confirmed, results.references) == []
    assert answer_query(results, beats="known")[-2].startswith(
        "Nothing confirmed beats known <net>"
    )


def test_a_name_that_fits_no_published_point_is_refused_with_those_there_are():
    with pytest.raises(
        ConfigError,
        match="--beats `nobody` names 0 published points; expected one of: known <net>;",
    ):
        answer_query(results_of(TRIALS), beats="nobody")


def test_the_whole_name_of_a_published_point_names_it_alone():
    references = [REFERENCE, replace(REFERENCE, name="known")]

    assert (
        "beats known (300 parameters"
        in answer_query(results_of(TRIALS, references=references), beats="known")[-2]
    )


def test_a_confirmed_model_beats_by_its_test_f1_however_low_its_validation_f1():
    trainings = [training(seed, 0.93) for seed in (1, 2)]
    results = results_of(TRIALS, *trainings, query=Query(min_f1=0.9, confirmed=True))

    assert answer_query(results, beats="known")[-2].startswith(
        "Beat known <net> (300 parameters,"
    )


def test_several_ways_of_training_a_model_again_are_told_apart():
    results = results_of(
        TRIALS,
        training(1, 0.7),
        training(1, 0.6, "9 epochs"),
        query=Query(confirmed=True),
    )

    assert "how" in printed(results)
    assert "9 epochs" in printed(results)
    assert "how" not in printed(
        results_of(TRIALS, training(1, 0.7), query=Query(confirmed=True))
    )


def test_what_cannot_be_compared_is_said():
    mixed = results_of([*TRIALS, trial(3, 50, 0.5, data="mnist")])

    assert answer_query(mixed)[-1].startswith(
        "Beware: the models are of different data (digits, mnist), so that"
    )


def test_scores_have_a_standard_error_where_their_images_were_counted():
    counted = trial(0, 100, 0.9)
    unknown = trial(1, 200, 0.95, val_images=nan, val_f1_se=nan)
    table = build_results_table(results_of([counted, unknown]))
    column = [column for column in table.columns if column.header == "se"]

    assert list(column[0].cells) == ["0.0150", ""]
    assert ("scored on", "400 images, one is 0.0025") in _describe_data(
        results_of([counted, unknown])
    )
    assert (
        "400 images: one of them is 0.0025; se"
        in answer_query(results_of([counted]))[-1]
    )
    uneven = trial(0, 100, 0.9, val_effective_images=49.0)
    assert (
        "400 images: worth 49 of classes of equal size; se"
        in answer_query(results_of([uneven]))[-1]
    )
    assert answer_query(results_of([unknown]))[-1] == "F1 is validation F1."
