import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, IntDistribution

from contracts.sampler import (
    CONDITIONAL,
    SPACE,
    TWO_CAPS,
    asked,
    conditional_count,
    count,
    count_layered,
)
from paretune.errors import CapError
from paretune.search.caps import OVER_CAP, Caps
from paretune.search.costs import CostModel
from paretune.search.distributions import draw_uniform
from paretune.search.feasible_space import FeasibleSpace
from paretune.search.front_sampler import FrontSampler
from paretune.search.polynomials import fit_polynomials
from paretune.search.space import Space


def draws(n: int) -> list[dict]:
    rng = np.random.default_rng(0)
    return [
        {
            name: draw_uniform(dist, rng)
            for name, dist in SPACE.all_distributions().items()
        }
        for _ in range(n)
    ]


@given(
    st.lists(st.integers(-9, 9), min_size=6, max_size=6),
    st.lists(st.integers(1, 64), min_size=2, max_size=2),
)
def test_a_quadratic_polynomial_is_found_from_its_values(factors, where):
    def value(x: int, y: int) -> int:
        return sum(
            f * term
            for f, term in zip(factors, (x * x, x * y, x, y * y, y, 1), strict=True)
        )

    rows = [[1, 1], [2, 1], [7, 3], [1, 9], [30, 4], [64, 64]]

    terms = [(i, j) for i in range(3) for j in range(i, 3)]
    polynomials = fit_polynomials(
        rows, [{"cost": (value(*row),)} for row in rows], terms
    )
    [found] = polynomials.evaluate(np.array([where]))["cost"]
    assert found == value(*where)


def test_costs_are_the_counted_ones_and_few_are_counted():
    counted = []
    costs = CostModel(SPACE, lambda params: counted.append(params) or count(params))

    assert [costs(params) for params in draws(500)] == [
        count(params) for params in draws(500)
    ]
    assert len(counted) < 70


def test_branches_have_costs_of_their_own():
    costs = CostModel(CONDITIONAL, conditional_count)

    assert costs({"model": "a", "lr": 0.1, "a/w": 7}) == 210
    assert costs({"model": "b", "lr": 0.1, "b/w": 7, "b/v": 5}) == 35


def test_a_choice_of_fractions_is_no_number_in_between():
    space = Space(
        common={
            "w": IntDistribution(4, 8),
            "mult": CategoricalDistribution([1.0, 0.25]),
        }
    )
    costs = CostModel(space, lambda params: int(params["mult"] * params["w"] * 100))

    assert [costs({"w": 4, "mult": mult}) for mult in (1.0, 0.25)] == [400, 100]


def test_a_cost_that_is_no_polynomial_is_counted():
    costs = CostModel(SPACE, lambda params: count(params) + params["w0"] ** 3)

    assert [costs(params) for params in draws(50)] == [
        count(params) + params["w0"] ** 3 for params in draws(50)
    ]


def test_the_largest_of_several_costs_of_a_name_is_its_cost_and_few_are_counted():
    counted = []
    costs = CostModel(
        SPACE,
        lambda params: counted.append(params) or count_layered(params),
        caps=Caps({}, "ram"),
    )

    assert [costs(params) for params in draws(500)] == [
        max(count_layered(params)["ram"]) for params in draws(500)
    ]
    assert len(counted) < 100


def test_over_another_cap_a_configuration_costs_more_than_anything():
    costs = CostModel(SPACE, count_layered, caps=TWO_CAPS)
    for params in draws(200):
        is_over = max(count_layered(params)["ram"]) > 9000
        assert costs(params) == costs.exact(params)
        assert costs(params) >= OVER_CAP if is_over else costs(params) == count(params)


def test_a_configuration_may_cost_nothing():
    space = Space(common={"width": IntDistribution(0, 64)})
    feasible = FeasibleSpace(
        space,
        lambda params: {"params": 3 * params["width"]},
        Caps({"params": 90}, "params"),
    )

    assert feasible.cost_at_share(0.0) == 1
    assert feasible.shares_of([{"width": 0}, {"width": 30}]).tolist() == [0.0, 1.0]


def test_draws_keep_to_every_cap():
    feasible, rng = (
        FeasibleSpace(SPACE, count_layered, TWO_CAPS),
        np.random.default_rng(0),
    )
    for share in rng.random(200):
        counts = count_layered(feasible.draw_at_share(rng, share))
        assert counts["params"] <= 5000
        assert max(counts["ram"]) <= 9000


def test_no_trial_of_the_front_sampler_is_over_either_cap():
    for params in asked(
        FrontSampler(FeasibleSpace(SPACE, count_layered, TWO_CAPS), n_startup=20), 60
    ):
        assert count_layered(params)["params"] <= 5000
        assert max(count_layered(params)["ram"]) <= 9000


def test_the_refusal_names_the_cap_that_nothing_fits():
    with pytest.raises(
        CapError,
        match=(
            r"the smallest model of the search space has 3,136 bytes of RAM and "
            r"already exceeds the cap of 99;"
        ),
    ):
        FeasibleSpace(
            SPACE,
            count_layered,
            Caps({"params": 5000, "ram": 99}, "params", {"ram": "bytes of RAM"}),
        )


def test_a_polynomial_that_misleads_is_dropped_and_nothing_over_the_cap_is_proposed():
    """A cost with a bump where the samples of the polynomial do not look."""
    bump = {f"w{i}": 2 for i in range(5)} | {"k": 1}

    def bumped(params: dict) -> int:
        return (
            10_000
            if all(params[name] == value for name, value in bump.items())
            else count(params)
        )

    feasible = FeasibleSpace(SPACE, bumped, 5000)
    assert feasible.fits(bump | {"lr": 0.5})
    assert not feasible.verify_fits(bump | {"lr": 0.5})
    assert not feasible.fits(bump | {"lr": 0.5})


def test_a_configuration_that_shows_a_polynomial_wrong_may_fit_all_the_same():
    bump = {f"w{i}": 2 for i in range(5)} | {"k": 1}
    feasible = FeasibleSpace(
        SPACE,
        lambda params: count(params) + all(params[name] == bump[name] for name in bump),
        5000,
    )

    assert feasible.verify_fits(bump | {"lr": 0.5})
    assert feasible.cost(bump | {"lr": 0.5}) == count(bump) + 1


@given(st.floats(0, 1), st.integers(0, 9))
def test_resizing_keeps_whole_numbers_that_cost_nothing(share, seed):
    space = Space(common={"w": IntDistribution(1, 64), "seed": IntDistribution(0, 9)})
    feasible = FeasibleSpace(space, lambda params: params["w"], 50, unread={"seed"})

    assert (
        feasible.resize({"w": 20, "seed": seed}, feasible.cost_at_share(share))["seed"]
        == seed
    )


def test_draws_are_spread_over_the_costs_where_the_cheapest_costs_nothing():
    feasible = FeasibleSpace(
        Space(common={"w": IntDistribution(0, 64)}), lambda params: params["w"], 50
    )
    rng = np.random.default_rng(0)

    assert [
        feasible.cost(feasible.draw_at_share(rng, share)) for share in (0.0, 0.5, 1.0)
    ] == [1, 7, 50]
