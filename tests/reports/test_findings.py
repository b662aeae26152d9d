"""The table, its one filter and what is read off it."""

from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paretune.errors import ConfigError, StoreError
from paretune.reports.confirmed import read_references
from paretune.reports.json_values import replace_non_finite
from paretune.reports.layer_words import format_layers
from paretune.reports.query import Query
from paretune.tracking.trial_table import complete_rows, front_rows
from reports.tables import results_of, table_of, training, trial

ANY = [nan, inf, -inf, 0.0, 0.5, 0.5, 1.0]
TRIALS = [
    trial(0, 100, 0.8),
    trial(1, 200, 0.9, "squeeze"),
    trial(2, 300, 0.7),
    trial(3, 50, 0.4, state="raced"),
]


@given(st.lists(st.tuples(st.integers(1, 3), st.sampled_from(ANY)), max_size=8))
def test_the_table_marks_the_front_and_leaves_nothing_out(pairs):
    """None, one, ties, duplicates, NaN and infinities."""
    table = table_of([trial(n, params, f1) for n, (params, f1) in enumerate(pairs)])

    assert len(table) == len(pairs)
    assert list(front_rows(complete_rows(table))["run_id"]) == list(
        table[table["front"]].sort_values("n_params")["run_id"]
    )


def test_raced_and_failed_trials_are_rows_but_on_no_front():
    table = table_of(
        [
            trial(0, 100, 0.5),
            trial(1, 50, 0.9, state="raced"),
            trial(2, 10, 1.0, state="failed"),
        ]
    )

    assert list(table["state"]) == ["complete", "raced", "failed"]
    assert list(table["front"]) == [True, False, False]
    assert str(table["started"].dt.tz) == "UTC"


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        (Query(), [0, 1, 2]),
        (Query({"params": 200}), [0, 1]),
        (Query(min_f1=0.8), [0, 1]),
        (Query(families=("conv",)), [0, 2]),
    ],
)
def test_the_filter_keeps_the_complete_trials_that_are_asked_for(query, numbers):
    results = results_of(TRIALS, query=query)

    assert list(results.models["trial"]) == numbers
    assert list(results.trials["trial"]) == [*numbers, 3]


MINE = [
    trial(0, 100, 0.8, "net", model="mine"),
    trial(1, 200, 0.9, "net", model="deep mine"),
    trial(2, 300, 0.7, "conv"),
]


@pytest.mark.parametrize(
    ("families", "numbers"),
    [(["mine"], [0]), (["net"], [0, 1]), (["deep mine", "conv"], [1, 2])],
)
def test_a_family_is_asked_for_by_its_class_or_by_the_name_of_its_yaml(
    families, numbers
):
    results = results_of(MINE, query=Query(families=tuple(families)))

    assert list(results.models["trial"]) == numbers


def test_families_that_are_not_there_are_refused_with_those_that_are():
    with pytest.raises(StoreError) as refusal:
        Query(families=("conv", "nets", "none")).check_families(table_of(MINE))

    expected = (
        "--family `nets, none` is of no trial of demo; the families there are conv, "
        "deep mine, mine, net; did you mean net?"
    )
    assert str(refusal.value) == expected


def test_confirmed_models_are_compared_and_filtered_by_their_test_f1():
    trainings = [training(1, 0.5), training(1, 0.95, run=f"{2:032x}")]
    results = results_of(TRIALS, *trainings, query=Query(min_f1=0.9, confirmed=True))

    assert list(results.members["trial"]) == [2]
    point = results.point(results.members["run_id"].iloc[0])
    assert (point.f1, point.params) == (0.95, 300)


SIXTEEN = [trial(n, 100 * (n + 1), 0.8 + n / 100) for n in range(10)]
SIXTEEN += [
    trial(n, 50, 0.1, state=state)
    for n, state in enumerate(["raced"] * 3 + ["failed"] * 2 + ["running"], 10)
]


@pytest.mark.parametrize(
    ("rows", "query", "title"),
    [
        (SIXTEEN[:10], Query(), "demo: 10 of 10 complete trials are on the front"),
        (
            SIXTEEN,
            Query(),
            (
                "demo: 10 of 10 complete trials are on the front; 16 trials in all (3 "
                "raced, 2 failed, 1 running)"
            ),
        ),
        (
            SIXTEEN,
            Query({"params": 100}),
            (
                "demo: 1 of 1 complete trials is on the front; 16 trials in all (3 "
                "raced, 2 failed, 1 running, 9 not asked for)"
            ),
        ),
        (
            SIXTEEN[:10],
            Query(confirmed=True),
            (
                "demo: 1 of 1 confirmed models is on the front; 10 trials in all (9 "
                "not confirmed)"
            ),
        ),
        (
            SIXTEEN[:1],
            Query(confirmed=True),
            "demo: 1 of 1 confirmed models is on the front",
        ),
    ],
)
def test_a_title_says_of_how_many_trials_the_models_are(rows, query, title):
    assert results_of(rows, training(1, 0.5), query=query).title == title


def test_a_lucky_seed_of_another_way_does_not_stand_for_a_model():
    lucky = training(1, 0.99, "9 epochs")
    results = results_of(
        TRIALS, training(1, 0.7), training(2, 0.7), lucky, query=Query(confirmed=True)
    )

    assert [round(f1, 6) for f1 in results.members["test_f1"]] == [0.7]


def test_a_front_over_another_column_is_another_front():
    rows = [trial(0, 100, 0.8, seconds=9.0), trial(1, 200, 0.9, seconds=1.0)]

    assert list(results_of(rows).members["trial"]) == [0, 1]
    assert list(results_of(rows, cost="seconds").members["trial"]) == [1]


def test_a_run_is_found_by_the_start_of_its_id_if_it_is_the_only_one():
    results = results_of(
        [trial(0, 100, 0.8, run_id="ab1"), trial(1, 200, 0.9, run_id="ab2")]
    )

    assert results.point("ab1").params == 100
    assert results.point("ab2").params == 200
    with pytest.raises(
        ConfigError, match="--run `ab` fits 2 complete trials of demo; expected one"
    ):
        results.point("ab")


def test_of_several_ways_of_confirming_that_of_most_seeds_is_named_then_the_newest():
    """Not the best on the test set, which would flatter the model."""
    more = results_of(
        TRIALS, training(1, 0.7), training(2, 0.7), training(1, 0.75, "9 epochs")
    )
    newer = results_of(
        TRIALS, training(1, 0.75, "9 epochs"), training(1, 0.7, "4 epochs")
    )

    assert more.confirmation(f"{0:032x}")["seeds"] == 2
    assert newer.confirmation(f"{0:032x}")["how"] == "4 epochs"
    assert more.confirmation("nobody") is None


@pytest.mark.parametrize("min_f1", [99.0, -0.1, nan])
def test_an_f1_that_is_no_fraction_is_refused(min_f1):
    with pytest.raises(
        ConfigError,
        match=r"--min-f1 `.*` is invalid; expected a number from 0 to 1; set --min-f1",
    ):
        Query(min_f1=min_f1)


def test_numbers_that_are_not_finite_are_null_at_any_depth():
    assert replace_non_finite({"a": [1, nan, (inf, "x")], "b": None}) == {
        "a": [1, None, [None, "x"]],
        "b": None,
    }


def test_layers_name_what_shapes_the_network():
    model = {
        "widths": [4, 4],
        "kernel_size": 5,
        "norm": "none",
        "neck": 1,
        "head": [16],
    }

    assert format_layers({"model": model}) == "4-4 k5 neck 1 head 16"
    assert format_layers({}) == ""
    deep = {
        "depth": 2,
        "widths": [4, 5, 6],
        "stem": 3,
        "kernel_size": [5, 3, 3, 9],
        "pool_after": [1, 3],
        "norm": "batch",
    }
    assert format_layers({"model": deep}) == "4-5 stem 3 k5-3-3 pools 1-3 batch"
    recurrent = {"stem": 8, "width": 26, "steps": 3, "norm": "batch", "head": [16]}
    assert (
        format_layers({"model": recurrent}) == "stem 8 width 26 steps 3 batch head 16"
    )
    shared = {
        "stem": 1,
        "width": 12,
        "steps": 5,
        "norm": "scalar",
        "depthwise_kernels": 4,
        "class_maps": True,
        "head": [],
    }
    assert (
        format_layers({"model": shared})
        == "stem 1 width 12 steps 5 4 kernels scalar class maps"
    )


def test_a_data_set_without_references_has_none(tmp_path):
    assert read_references(tmp_path / "none.yaml") == []


@pytest.mark.parametrize(
    ("model", "text"),
    [
        ({"widths": 8, "norm": True}, "8"),
        ({"widths": [8, 4], "norm": None, "views": None}, "8-4"),
        ({"widths": [8, 4], "image_pool": "half"}, "8-4"),
        ({"widths": [8, 4], "image_pool": 1}, "8-4"),
        ({"widths": [8, 4], "image_pool": 2, "views": 5}, "8-4 image pool 2 5 views"),
        ({"widths": [8, 4], "depth": "deep", "pool_after": 1, "views": "many"}, "8-4"),
        (
            {"widths": [8, 4], "depth": 1, "norm": "batch", "views": 5},
            "8 batch 5 views",
        ),
    ],
)
def test_settings_of_a_family_of_ones_own_may_mean_anything(model, text):
    assert format_layers({"model": model}) == text


def test_a_part_shows_its_own_confirmed_models_alone():
    trainings = [training(1, 0.7), training(1, 0.8, run=f"{2:032x}")]
    results = results_of(TRIALS, *trainings, query=Query({"params": 200}))

    assert list(results.confirmed_of_these["trial"]) == [0]


def test_models_of_several_data_sets_or_kinds_of_numbers_are_told_apart():
    rows = [trial(0, 100, 0.8, data="mnist"), trial(1, 200, 0.9)]
    numbers = [
        trial(n, 100, 0.8, config={"cap": {"dtype": dtype}})
        for n, dtype in enumerate(["float32", "int8"])
    ]

    assert results_of(TRIALS).mixture is None
    assert results_of(rows).mixture == (
        "the models are of different data (digits, mnist), so that their F1 are "
        "not comparable"
    )
    assert results_of(numbers).mixture is None
    assert results_of(numbers, cost="ram_bytes").mixture == (
        "bytes of RAM are counted in float32 and int8, so that they are not comparable"
    )
