"""Inception: four parallel branches on the image, joined and classified.

The form of github:aknakshay/MNIST-Challenge, after Szegedy et al. 2014, "Going deeper
with convolutions" (https://arxiv.org/abs/1409.4842).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from paretune.layers.types import (
    Conv,
    Flatten,
    Layer,
    Layers,
    Linear,
    MaxPool,
    PadEnd,
    Parallel,
)
from paretune.models.family import (
    Family,
    Normalise,
    Window,
    make_dropout,
    make_separable,
    read_sizes,
)


@dataclass(frozen=True, kw_only=True)
class Inception(Family):
    """Branches of 3x3 (pooled), 5x5, 1x1 and 3x3 convolutions side by side, one more
    over all of them, the logits.

    ``pooled`` are the maps of the first branch before and after its pool; ``five``,
    ``one`` and ``three`` those of the others, the first number of ``five`` and
    ``three`` being of the 1x1 convolution that narrows their input. ``merged`` maps are
    left by the convolution of stride 2 that joins them. ``dropout`` follows every
    branch and the joint layer.
    """

    pooled: Sequence[int] = (2, 1)
    five: Sequence[int] = (2, 2)
    one: int = 2
    three: Sequence[int] = (2, 2)
    merged: int = 2
    norm: str = "none"
    norm_first: bool = False
    activation: str = "relu"
    dropout: float = 0.0

    def layers(self) -> Layers:
        """The layers of the network with these settings."""
        read_sizes(
            "widths", [*self.pooled, *self.five, self.one, *self.three, self.merged]
        )
        before_pool, after_pool = self.pooled
        before_five, five = self.five
        before_three, three = self.three
        # As Keras: one more row below and column on the right.
        same_pool: list[Layer] = [
            PadEnd(),
            MaxPool(2, stride=1),
        ]
        branches: list[list[Layer]] = [
            [
                *self._make_conv(before_pool, 3),
                *same_pool,
                *self._make_conv(after_pool, 1),
            ],
            [*self._make_conv(before_five, 1), *self._make_conv(five, 5)],
            self._make_conv(self.one, 1),
            [*self._make_conv(before_three, 1), *self._make_conv(three, 3)],
        ]
        dropout = make_dropout(self.dropout)
        parallel = Parallel(tuple((*branch, *dropout) for branch in branches))
        return (
            parallel,
            *self._make_joint(),
            *dropout,
            Flatten(),
            Linear(self.num_classes),
        )

    def _make_conv(self, maps: int, kernel: int) -> list[Layer]:
        """A convolution that keeps the size of the maps; all but 1x1 ones are
        separable.
        """
        window = Window(kernel, kernel // 2)
        layers: list[Layer] = (
            [Conv(maps, 1)] if kernel == 1 else make_separable(maps, window)
        )
        return [*layers, *self._normalise().layers()]

    def _make_joint(self) -> list[Layer]:
        layers = make_separable(self.merged, Window(3, 0), stride=2)
        return [*layers, *self._normalise().layers(), MaxPool(2, stride=1)]

    def _normalise(self) -> Normalise:
        return Normalise(self.norm, self.activation, self.norm_first)
