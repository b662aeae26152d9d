"""Draws that several asks share."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.sampler import CONDITIONAL, SPACE, conditional_count, count
from paretune.search.draw_pool import BATCHES, EVERY, N_DRAWS, DrawPool
from paretune.search.feasible_space import FeasibleSpace

CAP = 5000
FEASIBLE = {
    "one branch": FeasibleSpace(SPACE, count, CAP),
    "branches": FeasibleSpace(CONDITIONAL, conditional_count, CAP),
}
of_each = pytest.mark.parametrize("feasible", FEASIBLE.values(), ids=list(FEASIBLE))


def make_pool(feasible: FeasibleSpace, seed: int = 0) -> DrawPool:
    return DrawPool(feasible, exponent=0.0, seed=seed)


@of_each
@given(numbers=st.lists(st.integers(0, 200), min_size=1, max_size=3))
def test_draws_depend_on_the_number_alone(feasible, numbers):
    """Not on what was asked before, nor by whom: two processes have the same."""
    warm = make_pool(feasible)
    for number in numbers:
        fresh = make_pool(feasible)
        draws = warm.list_draws(number, feasible.branches)
        assert draws == fresh.list_draws(number, feasible.branches)


@of_each
def test_every_draw_fits(feasible):
    draws = make_pool(feasible).list_draws(100, feasible.branches)

    assert N_DRAWS <= len(draws) <= 2 * BATCHES * N_DRAWS
    assert all(feasible.cost(params) <= feasible.cap for params in draws)


def test_trials_in_a_row_share_their_draws_and_later_ones_have_others():
    feasible = FEASIBLE["one branch"]
    pool = make_pool(feasible)
    first = 10 * EVERY
    draws = [pool.list_draws(first + n, feasible.branches) for n in range(EVERY + 1)]

    assert all(one == draws[0] for one in draws[:EVERY])
    assert draws[EVERY] != draws[0]
    later = pool.list_draws(first + BATCHES * EVERY, feasible.branches)
    assert not [params for params in later if params in draws[0]]


def test_only_the_branches_that_are_asked_for_are_drawn():
    feasible = FEASIBLE["branches"]
    [choice, *_] = feasible.branches
    draws = make_pool(feasible).list_draws(9, [choice])

    assert draws
    assert all(params.items() >= choice.items() for params in draws)


def test_another_seed_has_other_draws():
    feasible = FEASIBLE["one branch"]
    draws = [
        make_pool(feasible, seed).list_draws(0, feasible.branches) for seed in (0, 1)
    ]
    assert draws[0] != draws[1]
