from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paretune.search.cost_axis import CostAxis
from paretune.search.start_targets import spread_targets, van_der_corput

SMALL = CostAxis(100, 900)
WIDE = CostAxis(200, 40_000)
WHOLE = CostAxis(100, 40_000)


def test_the_even_sequence_halves_what_is_left():
    assert [van_der_corput(n) for n in range(1, 8)] == [
        1 / 2,
        1 / 4,
        3 / 4,
        1 / 8,
        5 / 8,
        3 / 8,
        7 / 8,
    ]


@given(st.integers(1, 60), st.floats(0, 1))
def test_every_beginning_is_spread_evenly_over_all_costs(number, exponent):
    targets = spread_targets(number, WHOLE, [SMALL, WIDE], exponent)
    shares = sorted(target.share for target in targets)

    gaps = [b - a for a, b in zip([0.0, *shares], [*shares, 1.0], strict=True)]
    assert max(gaps) <= 2 / (number + 1) + 1e-9


def test_a_target_goes_to_a_branch_that_has_models_of_its_cost():
    for target in spread_targets(40, WHOLE, [SMALL, WIDE], 0.3):
        cost = WHOLE.cost_at(target.share, 0.3)
        axis = [SMALL, WIDE][target.branch]
        assert axis.least <= cost <= axis.upper


def test_branches_of_the_same_costs_have_as_many_targets_each():
    targets = spread_targets(20, WHOLE, [WHOLE, WHOLE, WHOLE, WHOLE], 0.3)

    assert set(Counter(target.branch for target in targets).values()) == {5}


@pytest.mark.parametrize("n_branches", [2, 3, 4, 5])
def test_each_branch_of_the_same_costs_gets_small_and_large_targets(n_branches):
    targets = spread_targets(5 * n_branches, WHOLE, [WHOLE] * n_branches, 0.3)

    for branch in range(n_branches):
        shares = [target.share for target in targets if target.branch == branch]
        assert {int(3 * share) for share in shares} == {0, 1, 2}


def test_a_cost_that_no_branch_has_goes_to_the_nearest():
    far, near = CostAxis(1, 30), CostAxis(200, 300)

    [target] = spread_targets(1, CostAxis(1, 10_000), [far, near], 0.0)

    assert target.branch == 1  # 200 is twice 100, and 30 less than a third of it
