import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paretune.front import (
    compute_standard_error,
    costs_of,
    count_effective_images,
    front,
    hypervolume,
    ranks,
)
from strategies import costs, finite_costs


def dominates(a: np.ndarray, b: np.ndarray) -> bool:
    return bool((a <= b).all() and (a < b).any())


@given(costs)
def test_front_is_what_brute_force_finds(rows):
    """No other point dominates a member; every other point is dominated, equal to an
    earlier one, or has a NaN.
    """
    known = [i for i in range(len(rows)) if not np.isnan(rows[i]).any()]
    free = [i for i in known if not any(dominates(rows[j], rows[i]) for j in known)]
    first = [
        i for i in free if not any((rows[j] == rows[i]).all() for j in free if j < i)
    ]

    assert sorted(front(rows).tolist()) == first


@given(costs)
def test_front_is_sorted_by_the_first_cost_and_falls_in_the_second(rows):
    members = rows[front(rows)]

    assert (np.diff(members[:, 0]) > 0).all() or np.isinf(members).any()
    assert (members[1:, 1] < members[:-1, 1]).all()


@given(costs)
def test_rank_zero_is_the_front_and_its_duplicates(rows):
    members = {tuple(row) for row in rows[front(rows)]}
    rank = ranks(rows)

    assert rank.shape == (len(rows),)
    for row, r in zip(rows, rank, strict=True):
        if not np.isnan(row).any():
            assert (r == 0) == (tuple(row) in members)


@given(costs)
def test_a_dominated_point_has_a_higher_rank(rows):
    rank = ranks(rows)

    for i, a in enumerate(rows):
        for j, b in enumerate(rows):
            if dominates(a, b):
                assert rank[i] < rank[j]


@given(finite_costs)
def test_hypervolume_is_the_area_of_the_union_of_boxes(rows):
    """Counted cell by cell on the grid that the points' coordinates make."""
    reference = (8.0, 8.0)
    xs = np.unique(np.append(rows[:, 0], reference[0]).clip(max=reference[0]))
    ys = np.unique(np.append(rows[:, 1], reference[1]).clip(max=reference[1]))
    area = 0.0
    for x, next_x in itertools.pairwise(xs):
        for y, next_y in itertools.pairwise(ys):
            if any(a <= x and b <= y for a, b in rows):
                area += (next_x - x) * (next_y - y)

    assert hypervolume(rows, reference) == pytest.approx(area)


def test_hypervolume_of_a_staircase_has_a_closed_form():
    """Points (i, n-1-i) below (n, n) leave out the squares under the stairs: n(n+1)/2
    remain.
    """
    n = 7
    rows = [(i, n - 1 - i) for i in range(n)]

    assert hypervolume(rows, (n, n)) == n * (n + 1) / 2


def test_hypervolume_of_nothing_is_nothing():
    assert hypervolume(np.empty((0, 2)), (1, 1)) == 0.0


def test_costs_minimise_params_and_one_minus_f1():
    assert costs_of([10, 20], [0.9, 1.0]).tolist() == [
        [10, pytest.approx(0.1)],
        [20, 0],
    ]


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=20))
def test_uneven_classes_are_worth_fewer_images(counts):
    effective = count_effective_images(counts)

    assert len(counts) * min(counts) * (1 - 1e-9) <= effective
    assert effective <= sum(counts) * (1 + 1e-9)
    assert count_effective_images([*counts, 0]) == effective


@pytest.mark.parametrize(
    ("counts", "recalls"),
    [
        ([243, 13], [0.98, 0.7]),
        ([243, 13], [0.995, 0.85]),
        ([4950, 50], [0.995, 0.85]),
        ([128, 128], [0.95, 0.95]),
    ],
)
def test_the_standard_error_is_that_of_many_draws_of_the_images(counts, recalls):
    random = np.random.default_rng(0)
    right = [
        random.binomial(count, recall, 20_000)
        for count, recall in zip(counts, recalls, strict=True)
    ]
    first, second = right
    wrong = (counts[0] - first) + (counts[1] - second)
    f1s = (2 * first / (2 * first + wrong) + 2 * second / (2 * second + wrong)) / 2
    effective = count_effective_images(counts)

    error = compute_standard_error(float(f1s.mean()), effective)
    assert error == pytest.approx(f1s.std(), rel=0.2)
    assert error > 0.9 * f1s.std()
