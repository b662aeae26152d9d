"""Conv: a stack of convolutions and pools, flattened into a small dense head.

The form of LeCun et al. 1998 (http://yann.lecun.com/exdb/publis/pdf/lecun-98.pdf), of the "Minimalist MNIST" series
(jamesgeo.com/2018/09/27/minimalist-mnist) and of Keras' ``mnist_cnn`` example.
"""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from paretune.models._blocks import MapSize, Normalise, activation_layer, dropouts, pads, per_layer, positive

__all__ = ["Conv"]


class Conv(nn.Module):
    """Convolutions of ``widths`` maps, an optional 1x1 ``neck``, then dense layers of ``head`` units and the logits.

    ``kernel_size`` and ``padding`` (``same`` or ``valid``) are one for all layers or one each; a 2x2 max-pool follows each
    layer whose number (from 1) is in ``pool_after``. ``dropout`` is one rate after every pool, or a list of one after each
    layer. ``norm_first`` puts the norm before the activation. ``neck`` squeezes the last maps to that many channels.
    Dense layers are normalised with ``head_norm`` and followed by ``head_dropout``.
    """

    def __init__(
        self,
        *,
        widths: Sequence[int] = (16, 16),
        kernel_size: int | Sequence[int] = 3,
        padding: str | Sequence[str] = "same",
        pool_after: Sequence[int] = (1, 2),
        norm: str = "none",
        norm_first: bool = False,
        activation: str = "relu",
        dropout: float | Sequence[float] = 0.0,
        neck: int | None = None,
        head: Sequence[int] = (),
        head_norm: bool = False,
        head_dropout: float = 0.0,
        image_shape: Sequence[int] = (1, 28, 28),
        num_classes: int = 10,
    ) -> None:
        super().__init__()
        kernel_sizes = per_layer("kernel_size", kernel_size, len(widths))
        channels = [image_shape[0], *positive("widths", widths)]
        normalise = Normalise(norm, activation, norm_first)
        size = MapSize.of(image_shape)
        if isinstance(dropout, (int, float)):
            dropout = [dropout if number in pool_after else 0.0 for number in range(1, len(widths) + 1)]
        rates = per_layer("dropout", dropout, len(widths))
        layers: list[nn.Module] = []
        for number, (kernel, pad) in enumerate(zip(kernel_sizes, pads(padding, kernel_sizes), strict=True), 1):
            layers.append(nn.Conv2d(channels[number - 1], channels[number], kernel, padding=pad))
            layers += normalise.layers(channels[number])
            size.conv(kernel, pad)
            if number in pool_after:
                layers.append(nn.MaxPool2d(2))
                size.pool()
            layers += dropouts(rates[number - 1])
        if neck is not None:
            positive("neck", [neck])
            layers += [nn.Conv2d(channels[-1], neck, 1), activation_layer(activation)]
            channels.append(neck)
        layers.append(nn.Flatten())
        units = [channels[-1] * size.side**2, *positive("head", head)]
        for fan_in, fan_out in pairwise(units):
            follow = normalise.of_units(fan_out) if head_norm else [activation_layer(activation)]
            layers += [nn.Linear(fan_in, fan_out), *follow, *dropouts(head_dropout)]
        self.layers = nn.Sequential(*layers, nn.Linear(units[-1], num_classes))

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(B, num_classes)`` of images ``(B, C, H, W)``."""
        logits: Tensor = self.layers(images)
        return logits
