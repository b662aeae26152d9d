"""Inception: four parallel branches on the image, joined and classified.

The form of github:aknakshay/MNIST-Challenge, after Szegedy et al. 2014, "Going deeper with convolutions"
(https://arxiv.org/abs/1409.4842).
"""

from collections.abc import Sequence
from math import inf, prod

import torch
from torch import Tensor, nn

from paretune.models._blocks import Normalise, SeparableConv, dropouts, map_shape, sizes


class Inception(nn.Module):
    """Branches of 3x3 (pooled), 5x5, 1x1 and 3x3 convolutions side by side, one more over all of them, the logits.

    ``pooled`` are the maps of the first branch before and after its pool; ``five``, ``one`` and ``three`` those of the
    others, the first number of ``five`` and ``three`` being of the 1x1 convolution that narrows their input. ``merged`` maps
    are left by the convolution of stride 2 that joins them. ``dropout`` follows every branch and the joint layer.
    """

    def __init__(
        self,
        *,
        pooled: Sequence[int] = (2, 1),
        five: Sequence[int] = (2, 2),
        one: int = 2,
        three: Sequence[int] = (2, 2),
        merged: int = 2,
        norm: str = "none",
        norm_first: bool = False,
        activation: str = "relu",
        dropout: float = 0.0,
        image_shape: Sequence[int] = (1, 28, 28),
        num_classes: int = 10,
    ) -> None:
        super().__init__()
        a, a_out, b, b_out, c_out, d, d_out, _ = sizes("widths", [*pooled, *five, one, *three, merged])
        channels, normalise = image_shape[0], Normalise(norm, activation, norm_first)

        def conv(fan_in: int, fan_out: int, kernel: int) -> list[nn.Module]:
            kind = nn.Conv2d if kernel == 1 else SeparableConv
            return [kind(fan_in, fan_out, kernel, padding=kernel // 2), *normalise.layers(fan_out)]

        same_pool = [nn.ConstantPad2d((0, 1, 0, 1), -inf), nn.MaxPool2d(2, stride=1)]  # as Keras: right and below
        branches = (
            [*conv(channels, a, 3), *same_pool, *conv(a, a_out, 1)],
            [*conv(channels, b, 1), *conv(b, b_out, 5)],
            conv(channels, c_out, 1),
            [*conv(channels, d, 1), *conv(d, d_out, 3)],
        )
        self.branches = nn.ModuleList(nn.Sequential(*layers, *dropouts(dropout)) for layers in branches)
        maps = a_out + b_out + c_out + d_out
        joint = [SeparableConv(maps, merged, 3, stride=2), *normalise.layers(merged), nn.MaxPool2d(2, stride=1)]
        units = prod(map_shape(joint, [maps, *image_shape[1:]]))
        self.joined = nn.Sequential(*joint, *dropouts(dropout), nn.Flatten(), nn.Linear(units, num_classes))

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(B, num_classes)`` of images ``(B, C, H, W)``."""
        logits: Tensor = self.joined(torch.cat([branch(images) for branch in self.branches], dim=1))
        return logits
