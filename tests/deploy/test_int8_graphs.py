"""Networks that no family makes, in whole numbers: each a few layers between the image
and ten logits.
"""

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, max_pool2d

from deploy.test_int8 import IMAGES, PIXELS, files_in, in_int8
from paretune.data.images import Scaling
from paretune.deploy import c_program
from paretune.deploy.c_int8 import write_c_int8
from paretune.deploy.c_program import run_c
from paretune.deploy.int8_network import Int8Node, Quantised, Steps, WholeConstant
from paretune.deploy.model import Deployable, WithScaling
from paretune.deploy.runtime import Runtime
from paretune.errors import ExportError
from paretune.front import Point
from paretune.operations import IMAGE
from paretune.operations.types import Linear


class HandMade(nn.Module):
    """Layers to take from, and a subclass for each way through them."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.other, self.same = (
            nn.Conv2d(1, 4, 3),
            nn.Conv2d(1, 4, 3),
            nn.Conv2d(4, 4, 3, padding=1),
        )
        self.ten, self.whole, self.last = (
            nn.Conv2d(1, 10, 3),
            nn.Conv2d(4, 10, 13),
            nn.Linear(4, 10),
        )

    def logits(self, maps: Tensor) -> Tensor:
        return self.last(maps.mean((2, 3)))


def hand_made(forward):
    return type("Net", (HandMade,), {"forward": forward})()


def sigmoid_read_twice(net, x):
    maps = net.conv(x)
    gates = torch.sigmoid(maps)
    return net.logits(maps * gates + gates)


def residual(net, x):
    maps = torch.relu(net.conv(x))
    return net.logits(torch.relu(maps + net.same(maps)))


WRITTEN = {
    "a sigmoid read twice": sigmoid_read_twice,
    "a gate by other maps": lambda net, x: net.logits(
        net.conv(x) * torch.sigmoid(net.other(x))
    ),
    "a residual": residual,
    "a pool before a rectifier": lambda net, x: net.logits(
        torch.relu(max_pool2d(net.conv(x), 2))
    ),
    "a pool before a leaky rectifier": lambda net, x: net.logits(
        leaky_relu(max_pool2d(net.conv(x), 2), 0.1)
    ),
    "means of maps as the last": lambda net, x: torch.relu(net.ten(x)).mean((2, 3)),
    "a flatten as the last": lambda net, x: net.whole(
        max_pool2d(net.conv(x), 2)
    ).flatten(1),
    "a factor for each map": lambda net, x: net.logits(
        torch.relu(net.conv(x) * torch.arange(1, 5).reshape(4, 1, 1))
    ),
}
REFUSED = {
    "what follows the last `linear`": lambda net, x: torch.relu(
        net.logits(net.conv(x))
    ),
    "logits of `max_pool2d`": lambda net, x: max_pool2d(net.ten(x), 26).flatten(1),
    "value `image` is not rounded to int8, and": lambda net, x: net.logits(
        net.conv(max_pool2d(x, 2))
    ),
    r"operation `mul by constants of shape \(26, 1\)`": lambda net, x: net.logits(
        net.conv(x) * torch.arange(1, 27).reshape(26, 1)
    ),
    "operation `leaky_relu with a slope of 3`": lambda net, x: net.logits(
        leaky_relu(net.conv(x), 3.0)
    ),
    "operation `slice of rows or columns`": lambda net, x: net.logits(
        net.conv(x)[:, :, 2:20]
    ),
    "operation `mul_values of other shapes`": lambda net, x: net.logits(
        net.conv(x) * net.other(x).mean((2, 3), keepdim=True)
    ),
}


@pytest.fixture
def written(deployable, tmp_path):
    """Writes a network in C beside its ``model.int8.onnx``; returns the logits'
    scale.
    """

    def write(forward):
        model = replace(
            deployable("model=conv"),
            net=WithScaling(hand_made(forward), Scaling(33.0, 78.0)).eval(),
        )
        files = files_in(tmp_path)
        return write_c_int8(
            in_int8(model, tmp_path), model, files, "a test"
        ).logit_scale

    return write


@pytest.mark.parametrize("what", WRITTEN)
def test_the_c_code_gives_the_logits_of_the_onnx_file_without_undefined_behaviour(
    written, tmp_path, monkeypatch, what
):
    scale = written(WRITTEN[what])
    monkeypatch.setattr(
        c_program,
        "STRICT",
        (*c_program.STRICT, "-fsanitize=undefined", "-fno-sanitize-recover=undefined"),
    )
    logits = Runtime(tmp_path / "model.int8.onnx").logits(IMAGES)
    whole = run_c(files_in(tmp_path), PIXELS.flatten(1).numpy())

    assert np.abs(whole * scale - logits).max() < 0.03 * logits.std()


@pytest.mark.parametrize("what", REFUSED)
def test_what_has_no_whole_numbers_is_named(written, what):
    with pytest.raises(
        ExportError,
        match=rf"{what} cannot be .* in C; .*, or export without --int8 with",
    ):
        written(REFUSED[what])


@pytest.mark.parametrize(("inputs", "fits"), [(66_000, True), (66_400, False)])
def test_a_dense_layer_whose_sums_may_exceed_32_bits_is_refused(tmp_path, inputs, fits):
    weight = WholeConstant(np.full((10, inputs), 127), np.float32(0.01))
    node = Int8Node(
        Linear(torch.zeros(10, inputs)),
        (IMAGE,),
        "logits",
        (10,),
        constants={"weight": weight},
    )
    net, images = (
        WithScaling(nn.Flatten(), Scaling(0.0, 255.0)),
        torch.zeros(1, 1, 1, inputs),
    )
    model, network = (
        Deployable(net, Point(costs={"params": 1}, f1=0.5), images, 1.0),
        Quantised((node,), (1, 1, inputs), {IMAGE: Steps(1 / 255, -128)}),
    )
    refused = pytest.raises(
        ExportError,
        match=r"operation `linear with sums up to 2,150,[0-9]{3},[0-9]{3}` cannot",
    )

    with nullcontext() if fits else refused:
        write_c_int8(network, model, files_in(tmp_path), "a test")
