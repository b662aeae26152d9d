"""Inception: four parallel branches on the image, joined and classified.

The form of github:aknakshay/MNIST-Challenge, after Szegedy et al. 2014, "Going deeper with convolutions"
(https://arxiv.org/abs/1409.4842).
"""

from collections.abc import Sequence
from math import inf

import torch
from torch import Tensor, nn

from paretune.models._blocks import MapSize, Normalise, SeparableConv, dropouts, positive

__all__ = ["Inception"]


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
        widths = positive("widths", [*pooled, *five, one, *three, merged])
        channels, self.normalise = image_shape[0], Normalise(norm, activation, norm_first)
        a, a_out, b, b_out, c_out, d, d_out, _ = widths

        def conv1(fan_in: int, fan_out: int) -> list[nn.Module]:
            return [nn.Conv2d(fan_in, fan_out, 1), *self.normalise.layers(fan_out)]

        def separable(fan_in: int, fan_out: int, kernel: int) -> list[nn.Module]:
            return [SeparableConv(fan_in, fan_out, kernel, kernel // 2), *self.normalise.layers(fan_out)]

        same_pool = [
            nn.ConstantPad2d((0, 1, 0, 1), -inf),
            nn.MaxPool2d(2, stride=1),
        ]  # Keras pads on the right and below
        branches = (
            [*separable(channels, a, 3), *same_pool, *conv1(a, a_out)],
            [*conv1(channels, b), *separable(b, b_out, 5)],
            conv1(channels, c_out),
            [*conv1(channels, d), *separable(d, d_out, 3)],
        )
        self.branches = nn.ModuleList(nn.Sequential(*layers, *dropouts(dropout)) for layers in branches)
        size = MapSize.of(image_shape)
        size.conv(3, 0, stride=2)
        size.pool(stride=1)
        self.joined = nn.Sequential(
            SeparableConv(a_out + b_out + c_out + d_out, merged, 3, stride=2),
            *self.normalise.layers(merged),
            nn.MaxPool2d(2, stride=1),
            *dropouts(dropout),
            nn.Flatten(),
            nn.Linear(merged * size.side**2, num_classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(B, num_classes)`` of images ``(B, C, H, W)``."""
        logits: Tensor = self.joined(torch.cat([branch(images) for branch in self.branches], dim=1))
        return logits
