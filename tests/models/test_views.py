from math import prod

import pytest
import torch

from paretune import models
from paretune.errors import ConfigError
from paretune.training.execution import Execution, find_formats
from paretune.training.programs import load_kernels

CONFIG = {
    "_target_": "paretune.models.squeeze.Squeeze",
    "widths": [3, 4],
    "padding": "same",
    "pool_after": [1],
    "image_shape": [1, 12, 10],
    "num_classes": 4,
}


@pytest.fixture
def images() -> torch.Tensor:
    """Images that are dark at the edge, as far as they are moved."""
    pictures = torch.zeros(6, 1, 12, 10)
    pictures[:, :, 3:9, 3:7] = torch.rand(
        6, 1, 6, 4, generator=torch.Generator().manual_seed(1)
    )
    return pictures


def net(views: int) -> torch.nn.Module:
    torch.manual_seed(0)
    return models.build({**CONFIG, "views": views})


@pytest.mark.parametrize(("views", "reach"), [(5, 1), (13, 2)])
def test_the_logits_are_the_mean_over_moved_copies(images, views, reach):
    once = net(1).eval()
    moves = [
        (y, x) for y in range(-2, 3) for x in range(-2, 3) if abs(y) + abs(x) <= reach
    ]
    expected = torch.stack(
        [once(torch.roll(images, move, dims=(2, 3))) for move in moves]
    ).mean(dim=0)

    assert len(moves) == views
    assert torch.allclose(net(views).eval()(images), expected, atol=1e-6)


def test_a_network_in_training_looks_once(images):
    assert torch.equal(net(5).train()(images), net(1).train()(images))


def test_looking_more_often_costs_computing_and_no_parameters():
    once, often = (
        models.measure({**CONFIG, "views": views}).costs for views in (1, 13)
    )
    copy_bytes = 4 * prod(CONFIG["image_shape"])

    assert often == {
        "params": once["params"],
        "macs": 13 * once["macs"],
        "ram_bytes": once["ram_bytes"] + copy_bytes,
        "flash_bytes": once["flash_bytes"],
    }


@pytest.mark.skipif(load_kernels() is None, reason="no compiler for the kernels")
def test_the_kernels_look_as_often(images):
    several = net(5).eval()
    forward = Execution("batch_last").make_forward(several, images.shape[1:])

    assert "batch_last" in find_formats(several, images.shape[1:], torch.device("cpu"))
    assert torch.allclose(forward(images), several(images), atol=1e-5)


def test_another_number_of_views_is_refused():
    with pytest.raises(
        ConfigError, match=r"model.views `4` is unknown; expected one of 1, 5, 13"
    ):
        net(4)
