"""Choosing configurations to try first."""

from dataclasses import replace

import yaml
from hypothesis import given
from hypothesis import strategies as st
from studies.portfolio import Candidate, choose, write


def candidate(params: int, **f1: float) -> Candidate:
    return Candidate({"model": "conv", "w": params}, "", dict.fromkeys(f1, params), f1)


CANDIDATES = st.lists(
    st.builds(
        candidate,
        st.integers(50, 20_000),
        a=st.floats(0.1, 0.99),
        b=st.floats(0.1, 0.99),
    ),
    min_size=1,
    max_size=12,
    unique_by=lambda one: one.params["a"],
)
INSIDE = candidate(500, a=0.9, b=0.9)


@given(CANDIDATES, st.integers(1, 8))
def test_each_is_chosen_once_and_no_more_than_asked(candidates, entries):
    chosen = choose([INSIDE, *candidates], ["a", "b"], entries)

    assert len(chosen) == min(entries, len(candidates) + 1)
    assert all(one not in chosen[:i] for i, one in enumerate(chosen))


def test_what_is_good_on_one_data_set_alone_comes_after_what_is_good_on_both():
    both = candidate(500, a=0.95, b=0.95)
    chosen = choose(
        [candidate(490, a=0.97, b=0.2), both, candidate(510, a=0.2, b=0.97)],
        ["a", "b"],
        2,
    )

    assert chosen[0] is both


def test_of_equals_the_quickest_comes_first():
    quick = candidate(500, a=0.95)
    slow = replace(candidate(490, a=0.951), time=9.0)

    assert choose([slow, quick], ["a"], 2) == [quick, slow]


def test_a_beginning_of_the_list_covers_the_sizes():
    sizes = [120, 500, 520, 540, 8000]
    scores = [0.8, 0.95, 0.951, 0.952, 0.99]
    several = [candidate(p, a=f1) for p, f1 in zip(sizes, scores, strict=True)]
    chosen = choose(several, ["a"], 3)

    assert {one.params["a"] // 1000 for one in chosen} == {0, 8}
    assert 120 in {one.params["a"] for one in chosen}


def test_the_file_is_read_as_it_was_written(tmp_path):
    write([INSIDE], ["a", "b"], tmp_path / "portfolio.yaml")

    assert yaml.safe_load((tmp_path / "portfolio.yaml").read_text()) == [
        dict(INSIDE.settings)
    ]
