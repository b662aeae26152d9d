import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, IntDistribution

from contracts.sampler import CONDITIONAL, SPACE, conditional_count, count
from paretune.search.costs import Costs, Polynomial
from paretune.search.distributions import uniform
from paretune.search.feasible_space import FeasibleSpace
from paretune.search.space import Space


def draws(n: int) -> list[dict]:
    rng = np.random.default_rng(0)
    return [{name: uniform(dist, rng) for name, dist in SPACE.everything().items()} for _ in range(n)]


@given(st.lists(st.integers(-9, 9), min_size=6, max_size=6), st.lists(st.integers(1, 64), min_size=2, max_size=2))
def test_a_quadratic_polynomial_is_found_from_its_values(factors, where):
    def value(x: int, y: int) -> int:
        return sum(f * term for f, term in zip(factors, (x * x, x * y, x, y * y, y, 1), strict=True))

    rows = [[1, 1], [2, 1], [7, 3], [1, 9], [30, 4], [64, 64]]

    assert Polynomial(rows, [value(*row) for row in rows])(where) == value(*where)


def test_costs_are_the_counted_ones_and_few_are_counted():
    counted = []
    costs = Costs(SPACE, lambda params: counted.append(params) or count(params))

    assert [costs(params) for params in draws(500)] == [count(params) for params in draws(500)]
    assert len(counted) < 70


def test_branches_have_costs_of_their_own():
    costs = Costs(CONDITIONAL, conditional_count)

    assert costs({"model": "a", "lr": 0.1, "a/w": 7}) == 210
    assert costs({"model": "b", "lr": 0.1, "b/w": 7, "b/v": 5}) == 35


def test_a_choice_of_fractions_is_no_number_in_between():
    space = Space(common={"w": IntDistribution(4, 8), "mult": CategoricalDistribution([1.0, 0.25])})
    costs = Costs(space, lambda params: int(params["mult"] * params["w"] * 100))

    assert [costs({"w": 4, "mult": mult}) for mult in (1.0, 0.25)] == [400, 100]


def test_a_cost_that_is_no_polynomial_is_counted():
    costs = Costs(SPACE, lambda params: count(params) + params["w0"] ** 3)

    assert [costs(params) for params in draws(50)] == [count(params) + params["w0"] ** 3 for params in draws(50)]


def test_a_polynomial_that_misleads_is_dropped_and_nothing_over_the_cap_is_proposed():
    """A cost with a bump where the samples of the polynomial do not look."""
    bump = {f"w{i}": 2 for i in range(5)} | {"k": 1}

    def bumped(params: dict) -> int:
        return 10_000 if all(params[name] == value for name, value in bump.items()) else count(params)

    feasible = FeasibleSpace(SPACE, bumped, 5000)
    assert feasible.fits(bump | {"lr": 0.5})
    assert not feasible.verify_fits(bump | {"lr": 0.5})
    assert not feasible.fits(bump | {"lr": 0.5})
