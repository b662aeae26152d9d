"""What is handed on: a trained network that takes plain images."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from paretune.data.images import Images, Scaling
from paretune.deploy.ink import INK
from paretune.point import Point

__all__ = ["Deployable", "WithScaling", "ink_share"]


class WithScaling(nn.Module):
    """``net`` behind the scaling it was trained with: images ``(B, C, H, W)`` in [0, 1] to logits ``(B, classes)``."""

    def __init__(self, net: nn.Module, scaling: Scaling) -> None:
        super().__init__()
        self.net, self.factor, self.shift = net, 255 / scaling.std, -scaling.mean / scaling.std

    def forward(self, images: Tensor) -> Tensor:
        """Logits of images in [0, 1]."""
        logits: Tensor = self.net(images * self.factor + self.shift)
        return logits


@dataclass(frozen=True)
class Deployable:
    """A trained network in evaluation mode, its point, and images of its data set to compare outputs on.

    ``samples`` are floats ``(N, C, H, W)`` in [0, 1]. ``ink_share`` is how much of an image's side what it shows takes.
    """

    net: WithScaling
    point: Point
    samples: Tensor
    ink_share: float

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        channels, height, width = self.samples.shape[1:]
        return channels, height, width

    def logits(self) -> NDArray[np.float32]:
        """What torch makes of the samples ``(N, classes)``."""
        with torch.inference_mode():
            outputs: NDArray[np.float32] = self.net(self.samples).numpy()
        return outputs


def ink_share(images: Images) -> float:
    """The median over images of (longer side of the box round the ink) / (side of the image); 1 for empty ones.

    A picture of another size is placed with the same margin.
    """
    bright = (images.pixels.amax(dim=1) > INK * 255).numpy()
    boxes = [max(_extent(image.any(axis=0)), _extent(image.any(axis=1))) for image in bright]
    return float(np.median(boxes) / bright.shape[-1]) if any(boxes) else 1.0


def _extent(line: NDArray[np.bool_]) -> int:
    inked = np.flatnonzero(line)
    return int(inked[-1] - inked[0] + 1) if inked.size else 0
