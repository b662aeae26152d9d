import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from paretune.budget import Cap, count_parameters
from paretune.errors import CapError, ConfigError


def test_a_shared_tensor_counts_once():
    layer = nn.Linear(3, 3)

    assert count_parameters(nn.Sequential(layer, layer)) == 12


def test_buffers_and_frozen_tensors_do_not_count():
    norm = nn.BatchNorm2d(5)
    norm.bias.requires_grad_(False)

    assert count_parameters(norm) == 5


@given(st.integers(1, 10**7), st.integers(1, 10**7))
def test_a_model_passes_exactly_if_it_does_not_exceed_the_cap(params, max_params):
    cap = Cap(max_params)
    if params <= max_params:
        cap.check("conv", params)
    else:
        with pytest.raises(CapError, match=r"model `conv` has .* over the cap"):
            cap.check("conv", params)


def test_no_cap_admits_everything():
    Cap(None).check("conv", 10**12)

    assert Cap(None).fits(10**12)


def test_the_refusal_names_model_count_and_cap():
    with pytest.raises(
        CapError, match=r"model `conv` has 69,514 parameters, 68,514 over the cap; expected at most 1,000"
    ):
        Cap(1000).check("conv", 69_514)


def test_a_cap_below_one_is_refused():
    with pytest.raises(ConfigError, match=r"cap.max_params `0` is invalid; expected a whole number of at least 1"):
        Cap(0)
