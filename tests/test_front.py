import itertools

import numpy as np
import pytest
from hypothesis import given

from paretune.front import costs_of, front, hypervolume, ranks
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
