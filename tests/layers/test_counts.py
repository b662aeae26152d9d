import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from layers.settings import models as drawn_models
from paretune import models
from paretune.costs import COSTS
from paretune.errors import ConfigError
from paretune.models.tracing import measure_network

CARELESS = settings(suppress_health_check=[HealthCheck.filter_too_much], deadline=None)


def traced(model, dtype):
    """What a trace of the built network counts."""
    with torch.device("meta"):
        network = models.build(model)
    return measure_network(network, model["image_shape"], dtype)


def assert_counts_are_those_of_a_trace(model, dtype):
    try:
        counted = models.measure(model, dtype)
    except ConfigError as refusal:
        with pytest.raises(ConfigError, match=r"leaves no(thing| pixel)"):
            models.build(model)
        assume("leaves no" not in str(refusal))
        raise
    expected = traced(model, dtype)
    assume("macs" in expected.costs)  # torch refuses to normalise a single value
    assert counted == expected
    assert {*counted.values["ram_bytes"]} == {*expected.values["ram_bytes"]}
    assert models.count(model) == expected.costs["params"]


@given(drawn_models(), st.sampled_from(["float32", "int8"]))
@settings(CARELESS, max_examples=60)
def test_the_closed_form_counts_what_a_trace_of_the_network_counts(model, dtype):
    assert_counts_are_those_of_a_trace(model, dtype)


@pytest.mark.slow
@given(drawn_models(), st.sampled_from(["float32", "int8"]))
@settings(CARELESS, max_examples=3000)
def test_the_closed_form_counts_what_a_trace_counts_in_thousands_of_networks(
    model, dtype
):
    assert_counts_are_those_of_a_trace(model, dtype)


@pytest.mark.parametrize(
    "family", ["dense", "conv", "squeeze", "separable", "inception", "recurrent"]
)
@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_the_default_network_of_a_family_is_counted_as_traced(composed, family, dtype):
    model = dict(composed(f"model={family}").model)

    assert models.measure(model, dtype).costs.keys() == COSTS.keys()
    assert models.measure(model, dtype) == traced(model, dtype)
