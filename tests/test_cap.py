import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from paretune.cap import Cap
from paretune.errors import CapError, ConfigError
from paretune.models.tracing import count_parameters, measure_network


def test_a_shared_tensor_counts_once():
    layer = nn.Linear(3, 3)

    assert count_parameters(nn.Sequential(layer, layer)) == 12


def test_buffers_and_frozen_tensors_do_not_count():
    norm = nn.BatchNorm2d(5)
    norm.bias.requires_grad_(False)

    assert count_parameters(norm) == 5


@given(st.integers(1, 10**7), st.integers(1, 10**7))
def test_a_model_passes_exactly_if_it_does_not_exceed_the_cap(params, max_params):
    cap = Cap({"params": max_params})
    if params <= max_params:
        cap.check("conv", {"params": params})
    else:
        with pytest.raises(CapError, match=r"model `conv` has .* over the cap"):
            cap.check("conv", {"params": params})


def test_no_cap_admits_everything():
    assert Cap().check("conv", {"params": 10**12}) is None


def test_the_refusal_names_model_count_and_cap():
    with pytest.raises(
        CapError,
        match=(
            r"model `conv` has 69,514 parameters, 68,514 over the cap of 1,000; make it "
            r"smaller or raise cap.max_params"
        ),
    ):
        Cap({"params": 1000}).check("conv", {"params": 69_514})


def test_a_cap_below_one_is_refused():
    with pytest.raises(
        ConfigError,
        match=r"cap.max_params `0` is invalid; expected a whole number of at least 1",
    ):
        Cap.of({"max_params": 0})


@pytest.mark.parametrize("cost", ["macs", "ram_bytes", "flash_bytes"])
def test_every_cost_has_a_cap_of_its_own(cost):
    cap, words = (
        Cap.of({f"max_{cost}": 1000}),
        {"macs": "multiply-accumulates"}.get(cost, cost.replace("_bytes", "").lower()),
    )
    cap.check("conv", {"params": 9, cost: 1000})

    with pytest.raises(
        CapError,
        match=rf"(?i)model `conv` has 1,001 .*{words}.*, 1 over the cap of 1,000; .* raise cap.max_{cost}",
    ):
        cap.check("conv", {"params": 9, cost: 1001})


def test_a_network_of_known_layers_costs_what_paper_and_pencil_say():
    """One 3x3 convolution to 4 maps of 28x28, normed and pooled to 14x14, dense to
    10.
    """
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(784, 10),
    )
    image, maps, pooled = 28 * 28, 4 * 28 * 28, 4 * 14 * 14
    footprint = measure_network(net, (1, 28, 28))

    assert footprint.costs == {
        "params": 40 + 8 + 7850,
        "macs": maps * 9 + 7840,
        "ram_bytes": 4 * (maps + max(image, pooled)),
        "flash_bytes": 4 * (40 + 8 + 7850),
    }
    assert max(footprint.values["ram_bytes"]) == footprint.costs["ram_bytes"]


def test_products_of_matrices_count():
    class Mixer(nn.Module):
        def forward(self, images):
            rows = images.flatten(1, 2)
            return rows @ rows.transpose(1, 2)

    assert measure_network(Mixer(), (1, 6, 5)).costs["macs"] == 6 * 5 * 6


def test_a_network_that_looks_at_its_values_is_counted_in_parameters_alone():
    class Looking(nn.Linear):
        def forward(self, images):
            return (
                super().forward(images.flatten(1))
                if images.sum().item() >= 0
                else images
            )

    with torch.device("meta"):
        net = Looking(4, 2)
    costs = measure_network(net, (1, 2, 2)).costs

    assert costs == {"params": 10}
    with pytest.raises(
        CapError,
        match=(
            r"model `looking` cannot be counted in multiply-accumulates, as it does "
            r"not run on torch's meta device; leave out cap.max_macs and cost=macs"
        ),
    ):
        Cap({"macs": 10**6}).check("looking", costs)
