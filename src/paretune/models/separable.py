"""Separable: depthwise-separable convolutions, flattened or averaged into the logits.

The forms of github:aknakshay/MNIST-Challenge (flattened, Keras) and of github:JoshWarn/Parameter-Efficient-MNIST (averaged:
697 and 997 parameters); the layer from Chollet 2016 (https://arxiv.org/abs/1610.02357).
"""

from collections.abc import Sequence
from functools import partial
from math import prod

from torch import nn

from paretune.errors import check_least
from paretune.models._blocks import (
    Normalise,
    SeparableConv,
    Stack,
    dense,
    dropouts,
    kept,
    kernels,
    map_shape,
    per_layer,
    sizes,
)


class Separable(Stack):
    """An optional plain convolution of ``stem`` maps, separable ones of ``widths`` maps, ``head`` units, the logits.

    ``kernel_size``, ``padding`` (``same`` or ``valid``) and ``dropout`` (of whole maps) are one for all layers or one each,
    the stem included and first; a 2x2 max-pool follows each layer whose number (from 1) is in ``pool_after``.
    ``global_pool`` averages the last maps instead of flattening them; ``neck`` squeezes them to so many channels before they are
    flattened. ``depthwise_bias`` is PyTorch's way, without it is
    Keras'. ``head_dropout`` comes before the logits. With ``depth`` only the first so many of the ``widths`` are
    built, with their part of what is listed by layer. ``bias`` is that of all but the depthwise parts; a norm right after
    them (``norm_first``) makes it idle.
    """

    def __init__(
        self,
        *,
        stem: int | None = 6,
        widths: Sequence[int] = (8, 12, 12, 12),
        depth: int | None = None,
        kernel_size: int | Sequence[int] = 3,
        padding: str | Sequence[str] = "valid",
        pool_after: Sequence[int] = (1,),
        norm: str = "none",
        norm_first: bool = False,
        activation: str = "leaky_relu",
        dropout: float | Sequence[float] = 0.0,
        depthwise_bias: bool = False,
        bias: bool = True,
        global_pool: bool = True,
        neck: int | None = None,
        head: Sequence[int] = (),
        head_dropout: float = 0.0,
        image_shape: Sequence[int] = (1, 28, 28),
        num_classes: int = 10,
    ) -> None:
        stems = [] if stem is None else sizes("stem", [stem])
        cut = partial(kept, depth=depth, layers=len(widths), before=len(stems))
        kernel_size, padding, dropout = cut(kernel_size), cut(padding), cut(dropout)
        channels = [image_shape[0], *stems, *sizes("widths", kept(widths, depth, len(widths)))]
        rates = per_layer("dropout", dropout, len(channels) - 1)
        normalise = Normalise(norm, activation, norm_first)
        plain, separable = (
            partial(nn.Conv2d, bias=bias),
            partial(SeparableConv, depthwise_bias=depthwise_bias, bias=bias),
        )
        layers: list[nn.Module] = []
        for i, (kernel, pad) in enumerate(kernels(kernel_size, padding, len(rates))):
            conv = plain if i < len(stems) else separable
            layers += [conv(channels[i], channels[i + 1], kernel, padding=pad), *normalise.layers(channels[i + 1])]
            layers += [nn.MaxPool2d(2)] if i + 1 in pool_after else []
            layers += dropouts(rates[i], maps=global_pool)
        if global_pool:
            map_shape(layers, image_shape)  # refuses maps that become too small
            normalise.check_averaged()
            layers.append(nn.AdaptiveAvgPool2d(1))
        elif neck is not None:
            check_least("model.neck", neck, 1)
            layers += [nn.Conv2d(channels[-1], neck, 1), *Normalise("none", activation).layers(neck)]
        units = [channels[-1] if global_pool else prod(map_shape(layers, image_shape)), *sizes("head", head)]
        layers += [nn.Flatten(), *dense(units, normalise), *dropouts(head_dropout)]
        super().__init__([*layers, nn.Linear(units[-1], num_classes)])
