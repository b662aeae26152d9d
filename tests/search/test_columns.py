"""Configurations of several families are rows of the same columns."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from paretune.search.columns import MIDDLE, Columns
from paretune.search.space_parser import parse_space

OWN = {
    "model=a": {"depth": "range(1,3)", "norm": "choice(none,batch)"},
    "model=b": {
        "depth": "range(2,5)",
        "norm": "choice(batch,scalar)",
        "w": "range(1,9)",
    },
}
SPACE = parse_space(
    ["model=choice(a,b)", "lr=tag(log,interval(0.01,1))"],
    is_group=lambda key: key == "model",
    own_space=lambda own: OWN[own[-1]],
)
COLUMNS = Columns(SPACE)


def test_a_setting_of_several_families_is_one_column_over_all_their_ranges():
    row_of_a = COLUMNS.make_row({"model": "a", "a/depth": 3, "a/norm": "none", "lr": 1})
    row_of_b = COLUMNS.make_row(
        {"model": "b", "b/depth": 3, "b/norm": "batch", "lr": 1}
    )

    assert list(COLUMNS.ranges) == ["lr", "depth", "w"]
    assert row_of_a[1] == row_of_b[1] == (3 - 1) / (5 - 1)
    assert COLUMNS.choices["norm"] == ["none", "batch", "scalar"]


def test_what_a_family_does_not_have_is_in_the_middle():
    row = COLUMNS.make_row({"model": "a", "a/depth": 3, "a/norm": "none", "lr": 1})

    assert row[2] == MIDDLE


def test_positions_go_by_logarithm_where_the_range_does():
    row = COLUMNS.make_row({"model": "b", "lr": 0.1})

    assert row[0] == np.float64(0.5)


@given(st.floats(-1e6, 1e6), st.sampled_from(["a", "b"]))
def test_every_number_has_a_place_between_0_and_1(value, family):
    row = COLUMNS.make_row({"model": family, f"{family}/depth": value, "lr": value})

    assert len(row) == len(COLUMNS)
    assert all(0 <= number <= 1 for number in row)
