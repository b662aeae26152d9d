"""An image that is pooled before the first layer, in any family."""

import pytest
import torch
from torch import nn
from torch.nn.functional import avg_pool2d

from paretune import models
from paretune.errors import ConfigError
from paretune.models.tracing import measure_network
from paretune.models.views import Views
from paretune.training.execution import Execution, find_formats
from paretune.training.programs import load_kernels

CONFIG = {
    "_target_": "paretune.models.conv.Conv",
    "widths": [3, 4],
    "image_shape": [2, 14, 17],
    "num_classes": 4,
}
IMAGES = torch.rand(5, 2, 14, 17, generator=torch.Generator().manual_seed(0))


class Plain(nn.Module):
    """A network that is no family: it knows the shape of what comes in."""

    def __init__(self, *, image_shape, num_classes):
        super().__init__()
        channels, height, width = image_shape
        self.conv = nn.Conv2d(channels, 3, 3)
        self.head = nn.Linear(3 * (height - 2) * (width - 2), num_classes)

    def forward(self, images):
        return self.head(self.conv(images).relu().flatten(1))


FOREIGN = {
    "_target_": f"{Plain.__module__}.Plain",
    "image_shape": [2, 14, 17],
    "num_classes": 4,
}


class Sliding(nn.Sequential):
    """A network that is no family, of modules that the kernels know."""

    def __init__(self, *, image_shape, num_classes):
        conv = nn.Conv2d(image_shape[0], num_classes, 3)
        super().__init__(conv, nn.AdaptiveAvgPool2d(1), nn.Flatten())


SLIDING = {**FOREIGN, "_target_": f"{Plain.__module__}.Sliding"}


def build(config: dict[str, object], **settings: object) -> nn.Module:
    torch.manual_seed(0)
    return models.build({**config, **settings}).eval()


@pytest.mark.parametrize("config", [CONFIG, FOREIGN], ids=["family", "foreign"])
@pytest.mark.parametrize(("image_pool", "sides"), [(2, [7, 8]), (3, [4, 5])])
def test_a_network_sees_the_means_of_squares(config, image_pool, sides):
    """What is left over below and on the right is dropped."""
    small = build(config, image_shape=[2, *sides])

    logits = build(config, image_pool=image_pool)(IMAGES)

    assert torch.equal(logits, small(avg_pool2d(IMAGES, image_pool)))


@pytest.mark.parametrize("config", [CONFIG, FOREIGN], ids=["family", "foreign"])
def test_a_pooled_network_has_the_parameters_and_macs_of_the_small_one(config):
    pooled = models.measure({**config, "image_pool": 2}).costs
    small = models.measure({**config, "image_shape": [2, 7, 8]}).costs

    for cost in ("params", "macs", "flash_bytes"):
        assert pooled[cost] == small[cost]


@pytest.mark.parametrize("config", [CONFIG, FOREIGN], ids=["family", "foreign"])
@pytest.mark.parametrize("views", [1, 5])
@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_the_count_is_that_of_a_trace(config, views, dtype):
    model = {**config, "image_pool": 3, "views": views}

    counted = models.measure(model, dtype)

    assert counted == measure_network(models.build(model), (2, 14, 17), dtype)


@pytest.mark.parametrize("config", [CONFIG, FOREIGN], ids=["family", "foreign"])
def test_copies_are_moved_at_full_size_and_pooled_then(config):
    views = build(config, image_pool=2, views=5)
    once = build(config, image_pool=2)
    padded = nn.functional.pad(IMAGES, [1] * 4, mode="replicate")
    corners = [(0, 1), (1, 0), (1, 1), (1, 2), (2, 1)]
    expected = [once(padded[:, :, y : y + 14, x : x + 17]) for y, x in corners]

    assert isinstance(views, Views)
    assert torch.allclose(views(IMAGES), torch.stack(expected).mean(dim=0), atol=1e-6)


@pytest.mark.skipif(load_kernels() is None, reason="no compiler for the kernels")
@pytest.mark.parametrize("config", [CONFIG, SLIDING], ids=["family", "foreign"])
def test_the_kernels_pool_and_look_as_often(config):
    net = build(config, image_pool=2, views=5)
    forward = Execution("batch_last").make_forward(net, (2, 14, 17))

    assert "batch_last" in find_formats(net, (2, 14, 17), torch.device("cpu"))
    assert torch.allclose(forward(IMAGES), net(IMAGES), atol=1e-5)


@pytest.mark.parametrize("config", [CONFIG, FOREIGN], ids=["family", "foreign"])
def test_the_pool_is_told_first(config):
    words = models.describe({**config, "image_pool": 3})

    assert words.startswith("mean pool 3, conv 3x3 2>3, ")


def test_a_pool_of_one_is_no_layer():
    assert models.describe({**CONFIG, "image_pool": 1}) == models.describe(CONFIG)


@pytest.mark.parametrize("config", [CONFIG, FOREIGN], ids=["family", "foreign"])
@pytest.mark.parametrize("image_pool", [0, 4, 1.5, True, "2", None])
def test_another_pool_is_refused(config, image_pool):
    message = (
        rf"^model.image_pool `{image_pool}` is invalid; expected a whole number from "
        "1 to 3; set model.image_pool$"
    )
    for answer in (models.build, models.measure, models.count, models.describe):
        with pytest.raises(ConfigError, match=message):
            answer({**config, "image_pool": image_pool})


@pytest.mark.parametrize("config", [CONFIG, FOREIGN], ids=["family", "foreign"])
def test_an_image_smaller_than_the_pool_is_refused(config):
    message = (
        "^model.image_pool `3` leaves no pixel of a 2x17 image; set model.image_pool=1$"
    )
    with pytest.raises(ConfigError, match=message):
        models.build({**config, "image_pool": 3, "image_shape": [2, 2, 17]})
