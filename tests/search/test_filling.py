import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import IntDistribution

from paretune.search.filling import fill_evenly, fill_in_turn, find_limit

WIDTHS = {
    "a": IntDistribution(2, 32, log=True),
    "b": IntDistribution(2, 48, log=True),
    "c": IntDistribution(4, 40, step=4),
}
LEAST = {"a": 2, "b": 2, "c": 4}


def within(memory: int, weights: int):
    """Two caps: one that the first two numbers meet, one of all."""

    def fits(params: dict[str, int]) -> bool:
        a, b, c = (params[name] for name in "abc")
        return 16 * (a + b) <= memory and a * b + b * c <= weights

    return fits


@given(st.integers(64, 1200), st.integers(12, 4000), st.integers(0, 99))
def test_what_is_filled_fits_and_no_number_can_be_raised(memory, weights, seed):
    fits = within(memory, weights)
    for fill in (fill_evenly, fill_in_turn):
        filled = fill(LEAST, WIDTHS, fits, np.random.default_rng(seed))

        assert fits(filled)
        for name, dist in WIDTHS.items():
            raised = filled | {name: filled[name] + dist.step}
            assert raised[name] > dist.high or not fits(raised)


@given(st.integers(12, 4000), st.integers(2, 32))
def test_the_limit_is_the_largest_of_its_values_that_fits(weights, a):
    fits = within(10**6, weights)
    params = LEAST | {"a": a}
    if fits(params):
        limit = find_limit(params, "c", WIDTHS["c"], fits)

        values = range(4, 41, 4)
        assert limit == max(value for value in values if fits(params | {"c": value}))


def test_filled_one_after_another_a_number_has_all_the_room_that_comes_first():
    fits = within(10**6, 200)
    drawn = [
        fill_in_turn(LEAST, WIDTHS, fits, np.random.default_rng(seed))
        for seed in range(20)
    ]

    assert {32, 2} <= {params["a"] for params in drawn}
