"""Draws that keep near to what a config has."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.sampler import CONDITIONAL, DEEP, conditional_count, deep_count
from paretune.search.defaults import SHARES, UNKNOWN, Defaults, NearDefaults
from paretune.search.feasible_space import FeasibleSpace

DEFAULTS = Defaults(
    of_branches={"": {"optimizer": "b"}},
    of_groups={"optimizer": {"a": {"lr": 0.1}, "b": {"lr": 0.9}}},
)


def draw_many(defaults: Defaults | None, number: int = 200) -> list[dict]:
    feasible = FeasibleSpace(DEEP, deep_count, 5000)
    feasible.defaults = defaults
    rng = np.random.default_rng(0)
    return [feasible.complete({}, rng) for _ in range(number)]


def test_most_draws_have_the_default_of_a_choice_and_all_values_turn_up():
    options = [drawn["optimizer"] for drawn in draw_many(DEFAULTS)]

    assert 0.7 < options.count("b") / len(options) < 0.98
    assert set(options) == {"a", "b"}


@pytest.mark.parametrize(("option", "rate"), [("a", 0.1), ("b", 0.9)])
def test_a_number_is_near_to_the_default_of_the_option_that_was_drawn(option, rate):
    rates = [d["lr"] for d in draw_many(DEFAULTS) if d["optimizer"] == option]

    assert abs(np.median(rates) - rate) < 0.15
    assert len(set(rates)) > len(rates) / 2  # some are at an end of the range


def test_sizes_and_what_has_no_default_are_drawn_as_without():
    known = Defaults(of_branches={"": {"w0": 64}})
    widths = [drawn["w0"] for drawn in draw_many(known)]
    rates = [drawn["lr"] for drawn in draw_many(known)]

    assert np.median(widths) < 30
    assert 0.4 < np.median(rates) < 0.6


def test_a_default_is_that_of_the_branch_or_of_the_option():
    params = {"optimizer": "a"}

    assert DEFAULTS.find("optimizer", "", {}) == "b"
    assert DEFAULTS.find("lr", "", params) == 0.1
    assert DEFAULTS.find("lr", "", {"optimizer": "c"}) is UNKNOWN
    assert DEFAULTS.find("w0", "", params) is UNKNOWN


@pytest.mark.parametrize("share", SHARES)
def test_a_draw_keeps_its_share_of_defaults(share):
    rng = np.random.default_rng(1)
    near = NearDefaults(DEFAULTS, "", share, rng)
    dist = DEEP.common["optimizer"]
    kept = [near.draw("optimizer", dist, {}) == "b" for _ in range(2000)]

    # Half of the uniform draws are the default, too.
    assert np.mean(kept) == pytest.approx(share + (1 - share) / 2, abs=0.03)


@given(st.integers(0, 1000), st.floats(0, 1))
@settings(max_examples=30, deadline=None)
def test_whatever_the_defaults_a_draw_fits_and_is_of_the_space(seed, rate):
    feasible = FeasibleSpace(CONDITIONAL, conditional_count, 300)
    feasible.defaults = Defaults(of_branches={"a": {"lr": rate}, "b": {"lr": rate}})
    drawn = feasible.draw_at_share(np.random.default_rng(seed), 0.5)

    assert feasible.fits(drawn)
    assert CONDITIONAL.take_values(drawn.__getitem__, "a draw") == drawn
