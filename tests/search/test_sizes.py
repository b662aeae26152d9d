import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import IntDistribution

from paretune.search.distributions import snap_to_grid
from paretune.search.sizes import (
    Sizes,
    fill_evenly,
    fill_in_turn,
    find_limits,
    move_within,
)

SIZES = Sizes(
    {
        "a": IntDistribution(2, 32, log=True),
        "b": IntDistribution(2, 48, log=True),
        "c": IntDistribution(4, 40, step=4),
    }
)
MANY = 30


class Weights:
    """Costs of rows: weights, and more than anything where two maps fill the memory."""

    def __init__(self, memory: int) -> None:
        self.memory = memory

    def __call__(self, rows):
        a, b, c = rows.T
        weights = (a * b + b * c).astype(float)
        return np.where(16 * (a + b) <= self.memory, weights, 1e30)


def draw_rows(seed: int):
    rng = np.random.default_rng(seed)
    ends = zip(SIZES.lows, SIZES.highs + 1, strict=True)
    numbers = np.column_stack([rng.integers(low, high, MANY) for low, high in ends])
    return SIZES.snap(numbers.astype(float))


@given(st.integers(64, 1200), st.integers(12, 4000), st.integers(0, 99))
def test_what_is_filled_fits_and_no_size_can_be_raised(memory, most, seed):
    weigh, targets = Weights(memory), np.full(MANY, float(most))
    least = np.tile(SIZES.lows, (MANY, 1))
    for fill in (fill_evenly, fill_in_turn):
        filled = fill(SIZES, least, targets, weigh, np.random.default_rng(seed))

        assert (weigh(filled) <= most).all()
        for column, step in enumerate(SIZES.steps):
            raised = filled.copy()
            raised[:, column] += step
            is_top = raised[:, column] > SIZES.highs[column]
            assert (is_top | (weigh(raised) > most)).all()


@given(st.integers(0, 99), st.integers(0, 2))
def test_the_limit_is_the_largest_of_its_values_that_fits(seed, column):
    rows, weigh = draw_rows(seed), Weights(10**6)
    targets = weigh(rows) + 500
    limits = find_limits(SIZES, rows, np.full(MANY, column), targets, weigh)

    values = np.arange(SIZES.lows[column], SIZES.highs[column] + 1, SIZES.steps[column])
    for row, target, limit in zip(rows, targets, limits, strict=True):
        several = np.tile(row, (len(values), 1))
        several[:, column] = values
        assert limit == values[weigh(several) <= target].max()


@given(st.integers(0, 99), st.integers(12, 4000))
def test_what_is_moved_is_within_its_target_where_the_lower_ends_are(seed, most):
    moved = move_within(
        SIZES, draw_rows(seed), np.full(MANY, float(most)), Weights(10**6)
    )

    assert (Weights(10**6)(moved) <= max(most, 12)).all()
    assert (moved == SIZES.snap(moved.astype(float))).all()


@pytest.mark.parametrize(("position", "ends"), [(0.0, "lows"), (2.0, "highs")])
def test_the_ends_of_the_way_are_those_of_the_ranges(position, ends):
    moved = SIZES.move(draw_rows(0), np.full(MANY, position))

    assert (moved == getattr(SIZES, ends)).all()


def test_halfway_rows_stay_as_they_are():
    rows = draw_rows(0)

    assert (SIZES.move(rows, np.ones(MANY)) == rows).all()


@given(st.lists(st.floats(-5, 90), min_size=3, max_size=3))
def test_numbers_snap_to_what_each_range_holds(numbers):
    [row] = SIZES.snap(np.array([numbers]))

    for value, number, dist in zip(
        row, numbers, SIZES.distributions.values(), strict=True
    ):
        assert value == snap_to_grid(number, dist)


def test_filled_one_after_another_a_size_has_all_the_room_that_comes_first():
    least, targets = np.tile(SIZES.lows, (MANY, 1)), np.full(MANY, 200.0)
    filled = fill_in_turn(
        SIZES, least, targets, Weights(10**6), np.random.default_rng(0)
    )

    assert {2, 32} <= set(filled[:, 0])


def test_a_space_without_sizes_has_nothing_to_move():
    rows = np.zeros((4, 0), dtype=np.int64)
    targets, rng = np.zeros(4), np.random.default_rng(0)

    assert move_within(Sizes({}), rows, targets, lambda rows: targets).shape == (4, 0)
    assert fill_evenly(Sizes({}), rows, targets, lambda _: targets, rng).shape == (4, 0)
