"""Squeeze: narrow convolutions with batch norm, no dense layer, global average pooling.

The form of github:nkanungo/ERA_S7's thirteen steps; global average pooling from Lin,
Chen and Yan 2013, "Network in network" (https://arxiv.org/abs/1312.4400).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from paretune.layers.types import Conv, Layer, Layers, MaxPool, MeanOfMaps
from paretune.models.family import (
    Family,
    Normalise,
    Window,
    cut_to_depth,
    make_dropout,
    make_windows,
    per_layer,
    read_sizes,
)


@dataclass(frozen=True, kw_only=True)
class Squeeze(Family):
    """Convolutions of ``widths`` maps, one more to ``num_classes`` maps, whose averages
    are the logits.

    ``kernel_size`` and ``padding`` (``same`` or ``valid``) are one for all layers or a
    list by layer, the classifying convolution included, whose last entry serves the
    layers behind it; ``class_kernel`` is the kernel of the classifying convolution
    alone. A 2x2 max-pool follows each layer whose number (from 1) is in
    ``pool_after``; ``dropout``
    drops whole maps after each layer. ``norm_first`` puts the norm before the
    activation. With ``depth`` only the first so many of the ``widths`` are built, with
    their part of what is listed by layer.
    """

    widths: Sequence[int] = (8, 12, 12, 12, 12, 12, 12)
    depth: int | None = None
    kernel_size: int | Sequence[int] = 3
    class_kernel: int | None = None
    padding: str | Sequence[str] = "same"
    pool_after: Sequence[int] = (2, 4)
    norm: str = "batch"
    norm_first: bool = False
    activation: str = "relu"
    dropout: float = 0.0
    bias: bool = False

    def layers(self) -> Layers:
        """The layers of the network with these settings."""
        listed = len(self.widths)
        widths = read_sizes("widths", cut_to_depth(self.widths, self.depth, listed))
        windows = self._make_windows(len(widths))
        normalise = Normalise(self.norm, self.activation, self.norm_first)
        layers: list[Layer] = []
        for number, (maps, window) in enumerate(
            zip([*widths, self.num_classes], windows, strict=True), 1
        ):
            layers.append(Conv(maps, window.size, window.padding, bias=self.bias))
            if number <= len(widths):
                layers += [
                    *normalise.layers(),
                    *make_dropout(self.dropout, of_maps=True),
                ]
            if self._is_pooled(number):
                layers.append(MaxPool())
        return (*layers, MeanOfMaps())

    def _make_windows(self, depth: int) -> list[Window]:
        """The kernels of so many layers, and of the convolution that classifies."""
        listed = len(self.widths)
        sizes = cut_to_depth(self.kernel_size, self.depth, listed)
        paddings = cut_to_depth(self.padding, self.depth, listed)
        windows = make_windows(sizes, paddings, depth + 1)
        if self.class_kernel is None:
            return windows
        padding = per_layer("padding", paddings, depth + 1)[-1]
        return windows[:-1] + make_windows(self.class_kernel, padding, 1)

    def _is_pooled(self, number: int) -> bool:
        """Whether a pool follows the layer of this number; those of layers that
        ``depth`` leaves out are left out, too.
        """
        is_built = self.depth is None or number <= self.depth
        return is_built and number in self.pool_after
