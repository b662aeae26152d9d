"""Separable: depthwise-separable convolutions, flattened or averaged into the logits.

The forms of github:aknakshay/MNIST-Challenge (flattened, Keras) and of github:JoshWarn/Parameter-Efficient-MNIST (averaged:
697 and 997 parameters); the layer from Chollet 2016 (https://arxiv.org/abs/1610.02357).
"""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from paretune.models._blocks import MapSize, Normalise, SeparableConv, dropouts, pads, per_layer, positive

__all__ = ["Separable"]


class Separable(nn.Module):
    """An optional plain convolution of ``stem`` maps, separable ones of ``widths`` maps, ``head`` units, the logits.

    ``kernel_size``, ``padding`` (``same`` or ``valid``) and ``dropout`` (of whole maps) are one for all layers or one each,
    the stem included and first; a 2x2 max-pool follows each layer whose number (from 1) is in ``pool_after``.
    ``global_pool`` averages the last maps instead of flattening them. ``depthwise_bias`` is PyTorch's way, without it is
    Keras'. ``head_dropout`` comes before the logits.
    """

    def __init__(
        self,
        *,
        stem: int | None = 6,
        widths: Sequence[int] = (8, 12, 12, 12),
        kernel_size: int | Sequence[int] = 3,
        padding: str | Sequence[str] = "valid",
        pool_after: Sequence[int] = (1,),
        norm: str = "none",
        norm_first: bool = False,
        activation: str = "leaky_relu",
        dropout: float | Sequence[float] = 0.0,
        depthwise_bias: bool = False,
        global_pool: bool = True,
        head: Sequence[int] = (),
        head_dropout: float = 0.0,
        image_shape: Sequence[int] = (1, 28, 28),
        num_classes: int = 10,
    ) -> None:
        super().__init__()
        stems = [] if stem is None else positive("stem", [stem])
        channels = [image_shape[0], *stems, *positive("widths", widths)]
        depth = len(channels) - 1
        kernels, rates = per_layer("kernel_size", kernel_size, depth), per_layer("dropout", dropout, depth)
        normalise, size = Normalise(norm, activation, norm_first), MapSize.of(image_shape)
        if global_pool:
            normalise.check_averaged()
        layers: list[nn.Module] = []
        for number, (fan_in, fan_out) in enumerate(pairwise(channels), 1):
            kernel, pad = kernels[number - 1], pads(padding, kernels)[number - 1]
            if number <= len(stems):
                layers.append(nn.Conv2d(fan_in, fan_out, kernel, padding=pad))
            else:
                layers.append(SeparableConv(fan_in, fan_out, kernel, pad, depthwise_bias=depthwise_bias))
            layers += normalise.layers(fan_out)
            size.conv(kernel, pad)
            if number in pool_after:
                layers.append(nn.MaxPool2d(2))
                size.pool()
            layers += dropouts(rates[number - 1], maps=global_pool)
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()] if global_pool else [nn.Flatten()]
        units = [channels[-1] * (1 if global_pool else size.side**2), *positive("head", head)]
        for fan_in, fan_out in pairwise(units):
            layers += [nn.Linear(fan_in, fan_out), *normalise.of_units(fan_out)]
        self.layers = nn.Sequential(*layers, *dropouts(head_dropout), nn.Linear(units[-1], num_classes))

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(B, num_classes)`` of images ``(B, C, H, W)``."""
        logits: Tensor = self.layers(images)
        return logits
