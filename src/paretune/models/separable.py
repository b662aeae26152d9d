"""Separable: depthwise-separable convolutions, flattened or averaged into the logits.

The forms of github:aknakshay/MNIST-Challenge (flattened, Keras) and of
github:JoshWarn/Parameter-Efficient-MNIST (averaged: 697 and 997 parameters); the layer
from Chollet 2016 (https://arxiv.org/abs/1610.02357).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from paretune.errors import check_least
from paretune.layers.types import (
    Conv,
    Flatten,
    Layer,
    Layers,
    Linear,
    MaxPool,
    MeanOfMaps,
)
from paretune.models.family import (
    Family,
    Normalise,
    cut_to_depth,
    make_dense,
    make_dropout,
    make_separable,
    make_windows,
    per_layer,
    read_sizes,
)

Setting = TypeVar("Setting")


@dataclass(frozen=True, kw_only=True)
class Separable(Family):
    """An optional plain convolution of ``stem`` maps, separable ones of ``widths``
    maps, ``head`` units, the logits.

    ``kernel_size``, ``padding`` (``same`` or ``valid``) and ``dropout`` (of whole maps)
    are one for all layers or a list by layer, the stem included and first, whose last
    entry serves the layers behind it; a 2x2 max-pool follows each layer whose number
    (from 1) is in ``pool_after``. ``global_pool``
    averages the last maps instead of flattening them; ``neck`` squeezes them to so many
    channels before they are flattened. ``depthwise_bias`` is PyTorch's way, without it
    is Keras'. ``head_dropout`` comes before the logits. With ``depth`` only the first
    so many of the ``widths`` are built, with their part of what is listed by layer.
    ``bias`` is that of all but the depthwise parts; a norm right after them
    (``norm_first``) makes it idle.
    """

    stem: int | None = 6
    widths: Sequence[int] = (8, 8, 12, 12, 12, 12)
    depth: int | None = None
    kernel_size: int | Sequence[int] = 3
    padding: str | Sequence[str] = "same"
    pool_after: Sequence[int] = (1,)
    norm: str = "none"
    norm_first: bool = False
    activation: str = "leaky_relu"
    dropout: float | Sequence[float] = 0.0
    depthwise_bias: bool = False
    bias: bool = True
    global_pool: bool = True
    neck: int | None = None
    head: Sequence[int] = ()
    head_dropout: float = 0.0

    def layers(self) -> Layers:
        """The layers of the network with these settings."""
        normalise = Normalise(self.norm, self.activation, self.norm_first)
        body = self._make_body(normalise)
        if self.global_pool:
            normalise.check_averaged()
            end: list[Layer] = [MeanOfMaps()]
        else:
            end = [*self._make_neck(), Flatten()]
        head = make_dense(read_sizes("head", self.head), normalise)
        return (
            *body,
            *end,
            *head,
            *make_dropout(self.head_dropout),
            Linear(self.num_classes),
        )

    def _make_body(self, normalise: Normalise) -> list[Layer]:
        stems = [] if self.stem is None else read_sizes("stem", [self.stem])
        widths = read_sizes(
            "widths", cut_to_depth(self.widths, self.depth, len(self.widths))
        )
        maps_of_layers = [*stems, *widths]
        windows = make_windows(
            self._cut(self.kernel_size), self._cut(self.padding), len(maps_of_layers)
        )
        rates = per_layer("dropout", self._cut(self.dropout), len(maps_of_layers))
        layers: list[Layer] = []
        for number, (maps, window, rate) in enumerate(
            zip(maps_of_layers, windows, rates, strict=True), 1
        ):
            if number <= len(stems):
                layers.append(Conv(maps, window.size, window.padding, bias=self.bias))
            else:
                layers += make_separable(
                    maps, window, depthwise_bias=self.depthwise_bias, bias=self.bias
                )
            layers += normalise.layers()
            if number in self.pool_after:
                layers.append(MaxPool())
            layers += make_dropout(rate, of_maps=self.global_pool)
        return layers

    def _cut(self, value: Setting) -> Setting:
        """A setting by layer, of the stem and of the layers that ``depth`` leaves."""
        return cut_to_depth(
            value, self.depth, len(self.widths), 0 if self.stem is None else 1
        )

    def _make_neck(self) -> list[Layer]:
        if self.neck is None:
            return []
        check_least("model.neck", self.neck, 1)
        return [Conv(self.neck, 1), *Normalise("none", self.activation).layers()]
