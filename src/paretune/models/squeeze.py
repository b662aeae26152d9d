"""Squeeze: narrow convolutions with batch norm, no dense layer, global average pooling.

The form of github:nkanungo/ERA_S7's thirteen steps; global average pooling from Lin, Chen and Yan 2013, "Network in
network" (https://arxiv.org/abs/1312.4400).
"""

from collections.abc import Sequence

from torch import Tensor, nn

from paretune.models._blocks import MapSize, Normalise, dropouts, pads, per_layer, positive

__all__ = ["Squeeze"]


class Squeeze(nn.Module):
    """Convolutions of ``widths`` maps, one more to ``num_classes`` maps, whose averages are the logits.

    ``kernel_size`` and ``padding`` (``same`` or ``valid``) are one for all layers or one each, the classifying
    convolution included (so ``len(widths) + 1``). A 2x2 max-pool follows each layer whose number (from 1) is in
    ``pool_after``; ``dropout`` drops whole maps after each layer. ``norm_first`` puts the norm before the activation.
    """

    def __init__(
        self,
        *,
        widths: Sequence[int] = (8, 12, 12, 12, 12),
        kernel_size: int | Sequence[int] = 3,
        padding: str | Sequence[str] = ("same", "same", "same", "same", "valid", "valid"),
        pool_after: Sequence[int] = (2, 4),
        norm: str = "batch",
        norm_first: bool = False,
        activation: str = "relu",
        dropout: float = 0.0,
        bias: bool = False,
        image_shape: Sequence[int] = (1, 28, 28),
        num_classes: int = 10,
    ) -> None:
        super().__init__()
        channels = [image_shape[0], *positive("widths", widths), num_classes]
        kernel_sizes = per_layer("kernel_size", kernel_size, len(widths) + 1)
        normalise = Normalise(norm, activation, norm_first)
        size = MapSize.of(image_shape)
        layers: list[nn.Module] = []
        for number, (kernel, pad) in enumerate(zip(kernel_sizes, pads(padding, kernel_sizes), strict=True), 1):
            layers.append(nn.Conv2d(channels[number - 1], channels[number], kernel, padding=pad, bias=bias))
            size.conv(kernel, pad)
            if number <= len(widths):
                layers += normalise.layers(channels[number])
                layers += dropouts(dropout, maps=True)
            if number in pool_after:
                layers.append(nn.MaxPool2d(2))
                size.pool()
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(B, num_classes)`` of images ``(B, C, H, W)``."""
        logits: Tensor = self.layers(images).mean(dim=(2, 3))
        return logits
