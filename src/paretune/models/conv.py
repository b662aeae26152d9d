"""Conv: a stack of convolutions and pools, flattened into a small dense head.

The form of LeCun et al. 1998 (http://yann.lecun.com/exdb/publis/pdf/lecun-98.pdf), of
the "Minimalist MNIST" series (jamesgeo.com/2018/09/27/minimalist-mnist) and of Keras'
``mnist_cnn`` example.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from paretune.errors import check_least
from paretune.layers.types import Conv as ConvLayer
from paretune.layers.types import Flatten, Layer, Layers, Linear, MaxPool
from paretune.models.family import (
    Family,
    Normalise,
    cut_to_depth,
    make_dense,
    make_dropout,
    make_windows,
    per_layer,
    read_sizes,
)


@dataclass(frozen=True, kw_only=True)
class Conv(Family):
    """Convolutions of ``widths`` maps, an optional 1x1 ``neck``, then dense layers of
    ``head`` units and the logits.

    ``kernel_size`` and ``padding`` (``same`` or ``valid``) are one for all layers or a
    list by layer, whose last entry serves the layers behind it; a 2x2 max-pool follows
    each layer whose number (from 1) is in ``pool_after``. ``dropout`` is one rate after
    every pool, or a list of one after
    each layer. ``norm_first`` puts the norm before the activation. ``neck`` squeezes
    the last maps to that many channels. ``bias`` is that of the convolutions. Dense
    layers are normalised with ``head_norm`` and followed by ``head_dropout``. With
    ``depth`` only the first so many of the ``widths`` are built, with their part of
    what is listed by layer.
    """

    widths: Sequence[int] = (8, 8, 8, 8, 8)
    depth: int | None = None
    kernel_size: int | Sequence[int] = 3
    padding: str | Sequence[str] = "same"
    pool_after: Sequence[int] = (1, 2)
    norm: str = "none"
    norm_first: bool = False
    activation: str = "relu"
    dropout: float | Sequence[float] = 0.0
    bias: bool = True
    neck: int | None = None
    head: Sequence[int] = ()
    head_norm: bool = False
    head_dropout: float = 0.0

    def layers(self) -> Layers:
        """The layers of the network with these settings."""
        normalise = Normalise(self.norm, self.activation, self.norm_first)
        activate = Normalise("none", self.activation)
        units = read_sizes("head", self.head)
        head = make_dense(
            units, normalise if self.head_norm else activate, self.head_dropout
        )
        body = self._make_body(normalise)
        return (
            *body,
            *self._make_neck(activate),
            Flatten(),
            *head,
            Linear(self.num_classes),
        )

    def _make_body(self, normalise: Normalise) -> list[Layer]:
        listed = len(self.widths)
        widths = read_sizes("widths", cut_to_depth(self.widths, self.depth, listed))
        kernel_size = cut_to_depth(self.kernel_size, self.depth, listed)
        padding = cut_to_depth(self.padding, self.depth, listed)
        windows = make_windows(kernel_size, padding, len(widths))
        rates = self._find_dropouts(len(widths))
        layers: list[Layer] = []
        for number, (maps, window, rate) in enumerate(
            zip(widths, windows, rates, strict=True), 1
        ):
            layers.append(ConvLayer(maps, window.size, window.padding, bias=self.bias))
            layers += normalise.layers()
            if number in self.pool_after:
                layers.append(MaxPool())
            layers += make_dropout(rate)
        return layers

    def _find_dropouts(self, layers: int) -> list[float]:
        """The rate after each layer; a single one goes after pools alone."""
        dropout = cut_to_depth(self.dropout, self.depth, len(self.widths))
        if isinstance(dropout, (int, float)):
            return [
                dropout if number in self.pool_after else 0.0
                for number in range(1, layers + 1)
            ]
        return per_layer("dropout", dropout, layers)

    def _make_neck(self, activate: Normalise) -> list[Layer]:
        if self.neck is None:
            return []
        check_least("model.neck", self.neck, 1)
        return [ConvLayer(self.neck, 1, bias=self.bias), *activate.layers()]
