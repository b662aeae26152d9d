"""Looking several times: the mean of the logits of an image and of copies of it that are moved by a pixel or two."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from math import prod
from typing import Any

from torch import Tensor, add, nn
from torch.nn.functional import pad

from paretune.budget import BYTES, Footprint, footprint
from paretune.errors import check_choice

REACH = {1: 0, 5: 1, 13: 2}  # of how many views, the moves right or left and down or up that add up to so many pixels


class Views(nn.Module):
    """``net``, which looks once at an image while it is trained, and ``views`` times (5 or 13) in evaluation mode.

    The copies are moved by at most one or two pixels, along the sides of the image together; what comes in repeats its edge.
    The mean is that of the logits. Averaging over moved copies is as old as Krizhevsky, Sutskever and Hinton 2012, "ImageNet
    classification with deep convolutional neural networks", section 4.1. It has no parameters and takes ``views`` times the
    multiply-accumulates.
    """

    def __init__(self, net: nn.Module, views: int) -> None:
        super().__init__()
        self.net, self.reach = net, REACH[views]
        self.corners = [
            (row, column)
            for row in range(2 * self.reach + 1)
            for column in range(2 * self.reach + 1)
            if abs(row - self.reach) + abs(column - self.reach) <= self.reach
        ]

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(B, num_classes)`` of images ``(B, C, H, W)``."""
        return self.mean_by(self.net, images)

    def mean_by(self, forward: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
        """The mean of the logits that ``forward``, which computes ``net``, has for the views of the images."""
        if self.training:
            return forward(images)
        (height, width), padded = images.shape[2:], pad(images, [self.reach] * 4, mode="replicate")
        logits = [forward(padded[:, :, row : row + height, column : column + width]) for row, column in self.corners]
        return reduce(add, logits) * (1 / len(logits))


def seen(net: nn.Module, model: Mapping[str, Any]) -> nn.Module:
    """``net``, looking as often as ``model`` says under ``views``: once, 5 or 13 times.

    Raises :class:`~paretune.errors.ConfigError` for another number.
    """
    views = model.get("views", 1)
    check_choice("model.views", views, REACH)
    return net if views == 1 else Views(net, views)


def cost_of(net: nn.Module, image_shape: Sequence[int], dtype: str = "float32") -> Footprint:
    """The costs of a network, counted on one look at an image ``(C, H, W)``; each further one takes the same code and memory.

    Looking several times takes a copy of the image, too. See :func:`paretune.budget.footprint`.
    """
    if not isinstance(net, Views):
        return footprint(net, image_shape, dtype)
    once, copy_bytes = footprint(net.net, image_shape, dtype), BYTES[dtype] * prod(image_shape)
    return replace(
        once,
        macs=len(net.corners) * once.macs,
        ram_bytes=once.ram_bytes + copy_bytes,
        ram_bytes_in_use=[in_use + copy_bytes for in_use in once.ram_bytes_in_use],
    )
