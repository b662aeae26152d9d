"""Conv: a stack of convolutions and pools, flattened into a small dense head.

The form of LeCun et al. 1998 (http://yann.lecun.com/exdb/publis/pdf/lecun-98.pdf), of the "Minimalist MNIST" series
(jamesgeo.com/2018/09/27/minimalist-mnist) and of Keras' ``mnist_cnn`` example.
"""

from collections.abc import Sequence
from math import prod

from torch import nn

from paretune.errors import check_least
from paretune.models._blocks import Normalise, Stack, dense, dropouts, kept, kernels, map_shape, per_layer, sizes


class Conv(Stack):
    """Convolutions of ``widths`` maps, an optional 1x1 ``neck``, then dense layers of ``head`` units and the logits.

    ``kernel_size`` and ``padding`` (``same`` or ``valid``) are one for all layers or one each; a 2x2 max-pool follows each
    layer whose number (from 1) is in ``pool_after``. ``dropout`` is one rate after every pool, or a list of one after each
    layer. ``norm_first`` puts the norm before the activation. ``neck`` squeezes the last maps to that many channels.
    ``bias`` is that of the convolutions. Dense layers are normalised with ``head_norm`` and followed by ``head_dropout``. With ``depth`` only the first so many of the
    ``widths`` are built, with their part of what is listed by layer.
    """

    def __init__(
        self,
        *,
        widths: Sequence[int] = (16, 16),
        depth: int | None = None,
        kernel_size: int | Sequence[int] = 3,
        padding: str | Sequence[str] = "same",
        pool_after: Sequence[int] = (1, 2),
        norm: str = "none",
        norm_first: bool = False,
        activation: str = "relu",
        dropout: float | Sequence[float] = 0.0,
        bias: bool = True,
        neck: int | None = None,
        head: Sequence[int] = (),
        head_norm: bool = False,
        head_dropout: float = 0.0,
        image_shape: Sequence[int] = (1, 28, 28),
        num_classes: int = 10,
    ) -> None:
        layers_listed = len(widths)
        kernel_size, padding = kept(kernel_size, depth, layers_listed), kept(padding, depth, layers_listed)
        widths, dropout = kept(widths, depth, layers_listed), kept(dropout, depth, layers_listed)
        channels = [image_shape[0], *sizes("widths", widths)]
        if isinstance(dropout, (int, float)):
            dropout = [dropout if number in pool_after else 0.0 for number in range(1, len(channels))]
        rates = per_layer("dropout", dropout, len(widths))
        normalise, activate = Normalise(norm, activation, norm_first), Normalise("none", activation)
        layers: list[nn.Module] = []
        for i, (kernel, pad) in enumerate(kernels(kernel_size, padding, len(widths))):
            layers += [
                nn.Conv2d(channels[i], channels[i + 1], kernel, padding=pad, bias=bias),
                *normalise.layers(channels[i + 1]),
            ]
            layers += [nn.MaxPool2d(2)] if i + 1 in pool_after else []
            layers += dropouts(rates[i])
        if neck is not None:
            check_least("model.neck", neck, 1)
            layers += [nn.Conv2d(channels[-1], neck, 1, bias=bias), *activate.layers(neck)]
        units = [prod(map_shape(layers, image_shape)), *sizes("head", head)]
        layers += [nn.Flatten(), *dense(units, normalise if head_norm else activate, head_dropout)]
        super().__init__([*layers, nn.Linear(units[-1], num_classes)])
