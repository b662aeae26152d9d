"""Whole networks on a processor whose ``int`` has 16 bits give what they give here."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from deploy import avr
from deploy.test_int8 import PIXELS, in_int8
from deploy.test_int8_graphs import WRITTEN, hand_made
from paretune.data.images import Scaling
from paretune.deploy.c_header import write_c
from paretune.deploy.c_int8 import run_c_int8, write_c_int8
from paretune.deploy.model import WithScaling

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        bool(avr.missing()),
        reason=f"needs {avr.missing()} (Debian: gcc-avr, avr-libc, simavr)",
    ),
]
FAMILIES = (
    "separable",
    "squeeze model.activation=silu model.widths=[3,3,3,3,3,3,3]",
    "squeeze model.widths=[2,2,2,2,2] model.views=5",
    "squeeze model.image_pool=2",
    "conv model.widths=[2] model.pool_after=[1] model.image_pool=3 model.views=5",
    (
        "recurrent model.stem=3 model.width=5 model.norm=scalar model.bias=false "
        "model.activation=leaky_relu"
    ),
)
GRAPHS = (
    "a gate by other maps",
    "a residual",
    "a factor for each map",
    "means of maps as the last",
)
IMAGE = PIXELS[:1].numpy()


def changed(model):
    """The model with norms' factors that are not 1, and summands that are not 0."""
    for parameter in model.net.parameters():
        parameter.data += 0.1
    return model


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_in_whole_numbers_gives_the_same_logits_where_int_has_16_bits(
    deployable, tmp_path, family
):
    model, header = (
        changed(deployable(*f"model={family}".split())),
        tmp_path / "model.h",
    )
    write_c_int8(in_int8(model, tmp_path), model, header, "a test")

    assert np.array_equal(
        avr.run(header, IMAGE, 10, is_int8=True), run_c_int8(header, IMAGE, 10)
    )


@pytest.mark.parametrize("graph", GRAPHS)
def test_any_network_in_whole_numbers_gives_the_same_logits_where_int_has_16_bits(
    deployable, tmp_path, graph
):
    net, header = (
        WithScaling(hand_made(WRITTEN[graph]), Scaling(33.0, 78.0)).eval(),
        tmp_path / "model.h",
    )
    model = replace(deployable("model=conv"), net=net)
    write_c_int8(in_int8(model, tmp_path), model, header, "a test")

    assert np.array_equal(
        avr.run(header, IMAGE, 10, is_int8=True), run_c_int8(header, IMAGE, 10)
    )


@pytest.mark.parametrize(
    "family",
    [
        "dense model.widths=[2]",
        "dense model.widths=[2] model.image_pool=2",
        "recurrent model.stem=1 model.width=2",
    ],
)
def test_a_network_in_floats_says_what_torch_says_where_int_has_16_bits(
    deployable, tmp_path, family
):
    model, header = (
        changed(deployable(*f"model={family}".split())),
        tmp_path / "model.h",
    )
    write_c(model, header, "a test")
    with torch.inference_mode():
        expected = model.net(torch.from_numpy(IMAGE / np.float32(255))).numpy()

    assert np.allclose(
        avr.run(header, IMAGE, 10, is_int8=False), expected, rtol=1e-4, atol=1e-4
    )
