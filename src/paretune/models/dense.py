"""Dense: a multilayer perceptron on the flattened image.

The form of the 36 dense networks of github:albert-kepner/Week6_DL_FinalProject.
"""

from collections.abc import Sequence
from math import prod

from torch import nn

from paretune.models._blocks import Normalise, Stack, dense, per_layer, sizes


class Dense(Stack):
    """Flatten, then hidden layers of ``widths`` units, then ``num_classes`` logits.

    ``dropout`` is the probability after each hidden layer (one for all, or one each), those before number ``dropout_from``
    (from 1) left out. ``widths=()`` is logistic regression.
    """

    def __init__(
        self,
        *,
        widths: Sequence[int] = (64, 64),
        dropout: float | Sequence[float] = 0.0,
        dropout_from: int = 1,
        activation: str = "relu",
        image_shape: Sequence[int] = (1, 28, 28),
        num_classes: int = 10,
    ) -> None:
        units = [prod(image_shape), *sizes("widths", widths)]
        rates = per_layer("dropout", dropout, len(widths))
        rates = [rate if number >= dropout_from else 0.0 for number, rate in enumerate(rates, 1)]
        layers = [nn.Flatten(), *dense(units, Normalise("none", activation), rates)]
        super().__init__([*layers, nn.Linear(units[-1], num_classes)])
