from contracts.sampler import SPACE, TWO_CAPS, count, count_layered
from paretune.search.caps import Caps
from paretune.search.cost_ranges import find_ranges
from paretune.search.feasible_space import FeasibleSpace


def test_the_range_that_fits_is_told_for_each_cost_and_the_objective_first():
    feasible = FeasibleSpace(SPACE, count_layered, TWO_CAPS)

    params, ram, _ = find_ranges(feasible)

    assert params.least == feasible.smallest
    assert 4000 < params.most <= 5000
    assert str(ram).endswith(" bytes of RAM")
    assert ram.most <= 9000


def test_a_cost_that_is_the_same_for_all_is_told_once():
    feasible = FeasibleSpace(SPACE, count_layered, TWO_CAPS)

    assert str(find_ranges(feasible)[2]) == "7 unlimited"


def test_a_space_without_a_cost_has_no_range():
    assert find_ranges(FeasibleSpace(SPACE)) == []


def test_a_single_cost_has_the_name_of_its_unit():
    [cost] = find_ranges(
        FeasibleSpace(SPACE, count, Caps({"cost": 5000}, "cost", {"cost": "weights"}))
    )

    assert str(cost).endswith(" weights")
    assert cost.most <= 5000
