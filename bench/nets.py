"""The networks and the images that are timed."""

import os

import torch

from paretune import models
from paretune.data.images import ImageData, Images, Splitting
from paretune.data.mnist import load_idx
from paretune.paths import CONF

NETS = {
    "dense": {"_target_": "paretune.models.dense.Dense", "widths": [64]},
    "conv": {"_target_": "paretune.models.conv.Conv", "widths": [16, 16]},
    "conv_841": {
        "_target_": "paretune.models.conv.Conv",
        "widths": [4, 4, 4],
        "pool_after": [2, 3],
        "neck": 1,
    },
    "squeeze": {
        "_target_": "paretune.models.squeeze.Squeeze",
        "widths": [10, 12, 12, 12, 12],
    },
}
BATCH_SIZE = 128


def net(name: str) -> torch.nn.Module:
    """A freshly seeded network."""
    torch.manual_seed(0)
    return models.build(NETS[name])


def mnist() -> ImageData:
    """MNIST from ``PARETUNE_DATA`` or a mirror."""
    import yaml

    config = yaml.safe_load((CONF / "data" / "mnist.yaml").read_text())
    root = os.environ.get("PARETUNE_DATA", "data")
    return load_idx(
        name="mnist",
        root=root,
        files=config["files"],
        mirrors=config["mirrors"],
        splitting=Splitting(),
    )


def first(data: ImageData, images: int) -> ImageData:
    """The first ``images`` training images, and a hundred to validate on, so that
    validation costs next to nothing.
    """
    few = data.val.take(slice(100))
    return ImageData(
        data.name, data.train.take(slice(images)), few, load_test=lambda: few
    )


def batch(count: int = BATCH_SIZE) -> Images:
    """Noise in the shape of a batch."""
    return Images(
        torch.randint(0, 256, (count, 1, 28, 28), dtype=torch.uint8),
        torch.randint(0, 10, (count,)),
    )
