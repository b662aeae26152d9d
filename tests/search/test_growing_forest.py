"""A forest that is seldom grown anew."""

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from paretune.search.forest import Forest
from paretune.search.growing_forest import (
    ALL_NEW,
    MORE,
    GrowingForest,
    count_grown,
)
from paretune.search.observations import Observation

SEEN = [Observation({"x": x}, x / 50, None, trial=x) for x in range(60)]


def keys(seen: Sequence[Observation]) -> list[object]:
    return [one.key for one in seen]


def learn(seen: Sequence[Observation]) -> Forest:
    rows = np.array([[one.params["x"]] for one in seen], dtype=float)
    return Forest(rows, np.array([one.loss for one in seen]), size_column=-1)


@given(st.integers(0, 20_000))
def test_the_trees_are_of_nearly_all_that_was_seen(n_observations):
    n_grown = count_grown(n_observations)

    assert n_grown <= n_observations
    assert n_observations - n_grown <= max(1, MORE * n_grown)
    assert n_grown == n_observations or n_observations > ALL_NEW


@given(st.integers(0, 5_000))
def test_they_are_never_of_fewer_than_before(n_observations):
    assert count_grown(n_observations) <= count_grown(n_observations + 1)


@given(st.lists(st.integers(6, len(SEEN)), min_size=1, max_size=4))
def test_the_trees_depend_on_the_observations_alone(lengths):
    """Not on which of them an ask has met before, nor in which order."""
    warm = GrowingForest()
    for length in lengths:
        forest, since = warm.grow(SEEN[:length], learn, is_exact=True)
        fresh, since_fresh = GrowingForest().grow(SEEN[:length], learn, is_exact=True)
        rows = np.arange(60.0).reshape(-1, 1)
        assert since == since_fresh
        assert (forest.predict(rows)[0] == fresh.predict(rows)[0]).all()


def test_they_are_kept_as_long_as_few_are_new():
    asked: list[int] = []

    def count(seen: Sequence[Observation]) -> Forest:
        asked.append(len(seen))
        return learn(seen)

    growing = GrowingForest()
    for length in range(40, 61):
        growing.grow(SEEN[:length], count, is_exact=True)

    assert 2 <= len(asked) < 12


@given(st.permutations(SEEN[:41]))
def test_trees_of_other_first_ones_will_do_where_it_need_not_be_exact(seen):
    """A trial that goes on is seen in another place of the list."""
    growing = GrowingForest()
    before, _ = growing.grow(SEEN[:40], learn, is_exact=False)
    now, since = growing.grow(seen, learn, is_exact=False)

    assert now is before
    assert len(since) == len(seen) - count_grown(40)
    assert {*keys(since), *keys(SEEN[: count_grown(40)])} == set(keys(seen))


def test_trees_of_what_is_not_seen_any_more_will_not_do():
    growing = GrowingForest()
    before, _ = growing.grow(SEEN[:40], learn, is_exact=False)

    assert growing.grow(SEEN[1:40], learn, is_exact=False)[0] is not before
