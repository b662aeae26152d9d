"""Known configurations take a place in any space, under any cap."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from paretune.errors import ConfigError
from paretune.search.feasible_space import FeasibleSpace
from paretune.search.portfolio import place_entries
from paretune.search.space_parser import parse_space

OWN = {
    "model=deep": {
        "depth": "range(1,4)",
        "pool": "choice(1,2,3)",
        **{f"w{i}": f"tag(log,'if depth > {i}',int(interval(2,64)))" for i in range(4)},
    },
    "model=flat": {"w": "tag(log,int(interval(1,200)))"},
}
SPACE = parse_space(
    ["model=choice(deep,flat)", "lr=tag(log,interval(0.001,0.1))"],
    is_group=lambda key: key == "model",
    own_space=lambda own: OWN[own[-1]],
)
ENTRIES = st.lists(
    st.fixed_dictionaries(
        {"model": st.sampled_from(["deep", "flat", "other"])},
        optional={
            "depth": st.integers(1, 9),
            "pool": st.integers(1, 9),
            "lr": st.floats(1e-6, 1.0),
            "w": st.integers(1, 999),
            **{f"w{i}": st.integers(1, 999) for i in range(4)},
        },
    ),
    max_size=6,
)


def count(params):
    if params["model"] == "flat":
        return params["flat/w"]
    if params["deep/pool"] > params["deep/depth"]:
        raise ConfigError("model leaves no pixel")
    depth = params["deep/depth"]
    widths = [1, *(params[f"deep/w{i}"] for i in range(depth)), 1]
    return sum(a * b for a, b in pairwise(widths))


def place(*entries, cap=500):
    return place_entries(entries, FeasibleSpace(SPACE, count, cap))


@given(ENTRIES, st.integers(10, 4000))
def test_whatever_is_placed_fits_and_comes_once(entries, cap):
    placed = place(*entries, cap=cap)

    assert all(count(params) <= cap for params in placed)
    assert all(params not in placed[:i] for i, params in enumerate(placed))


def test_an_entry_that_the_space_holds_is_taken_as_it_is():
    entry = {"model": "deep", "depth": 2, "pool": 1, "w0": 4, "w1": 8, "lr": 0.01}

    assert place(entry) == [
        {
            "model": "deep",
            "deep/depth": 2,
            "deep/pool": 1,
            "deep/w0": 4,
            "deep/w1": 8,
            "lr": 0.01,
        }
    ]


def test_values_that_are_not_searched_become_the_nearest():
    [params] = place({"model": "flat", "w": 999, "lr": 5.0}, cap=4000)

    assert (params["flat/w"], params["lr"]) == (200, 0.1)


def test_a_family_that_is_not_searched_is_left_out():
    assert place({"model": "other"}) == []


def test_what_is_over_the_cap_becomes_as_large_as_it_may_be():
    entry = {"model": "deep", "depth": 2, "pool": 1, "w0": 60, "w1": 60, "lr": 0.01}
    [params] = place(entry, cap=500)

    assert 400 <= count(params) <= 500
    assert params["deep/depth"] == 2


def test_what_cannot_be_built_changes_one_setting():
    entry = {"model": "deep", "depth": 2, "pool": 3, "w0": 4, "w1": 4, "lr": 0.01}
    [params] = place(entry)

    assert np.isfinite(count(params))
    assert params["deep/w0"] == 4
