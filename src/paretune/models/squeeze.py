"""Squeeze: narrow convolutions with batch norm, no dense layer, global average pooling.

The form of github:nkanungo/ERA_S7's thirteen steps; global average pooling from Lin, Chen and Yan 2013, "Network in
network" (https://arxiv.org/abs/1312.4400).
"""

from collections.abc import Sequence

from torch import Tensor, nn

from paretune.models._blocks import Normalise, Stack, dropouts, kept, kernels, map_shape, sizes


class Squeeze(Stack):
    """Convolutions of ``widths`` maps, one more to ``num_classes`` maps, whose averages are the logits.

    ``kernel_size`` and ``padding`` (``same`` or ``valid``) are one for all layers or one each, the classifying
    convolution included (so ``len(widths) + 1``). A 2x2 max-pool follows each layer whose number (from 1) is in
    ``pool_after``; ``dropout`` drops whole maps after each layer. ``norm_first`` puts the norm before the activation. With ``depth`` only the first so many of the
    ``widths`` are built, with their part of what is listed by layer.
    """

    def __init__(
        self,
        *,
        widths: Sequence[int] = (8, 12, 12, 12, 12),
        depth: int | None = None,
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
        layers_listed = len(widths)
        kernel_size, padding = kept(kernel_size, depth, layers_listed), kept(padding, depth, layers_listed)
        widths = kept(widths, depth, layers_listed)
        pool_after = [number for number in pool_after if depth is None or number <= depth]
        channels = [image_shape[0], *sizes("widths", widths), num_classes]
        normalise = Normalise(norm, activation, norm_first)
        layers: list[nn.Module] = []
        for i, (kernel, pad) in enumerate(kernels(kernel_size, padding, len(widths) + 1)):
            layers.append(nn.Conv2d(channels[i], channels[i + 1], kernel, padding=pad, bias=bias))
            if i < len(widths):
                layers += [*normalise.layers(channels[i + 1]), *dropouts(dropout, maps=True)]
            layers += [nn.MaxPool2d(2)] if i + 1 in pool_after else []
        map_shape(layers, image_shape)  # refuses maps that become too small
        super().__init__(layers)

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(B, num_classes)`` of images ``(B, C, H, W)``."""
        return super().forward(images).mean(dim=(2, 3))
