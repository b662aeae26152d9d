"""Dense: a multilayer perceptron on the flattened image.

The form of the 36 dense networks of github:albert-kepner/Week6_DL_FinalProject.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from paretune.layers.types import Flatten, Layers, Linear
from paretune.models.family import (
    Family,
    Normalise,
    cut_to_depth,
    make_dense,
    per_layer,
    read_sizes,
)


@dataclass(frozen=True, kw_only=True)
class Dense(Family):
    """Flatten, then hidden layers of ``widths`` units, then ``num_classes`` logits.

    ``dropout`` is the probability after each hidden layer (one for all, or one each),
    those before number ``dropout_from`` (from 1) left out. ``widths=()`` is logistic
    regression, and so is ``depth=0``; with ``depth`` only the first so many of the
    ``widths`` are built.
    """

    widths: Sequence[int] = (64, 64, 32)
    depth: int | None = None
    dropout: float | Sequence[float] = 0.0
    dropout_from: int = 1
    activation: str = "relu"

    def layers(self) -> Layers:
        """The layers of the network with these settings."""
        listed = len(self.widths)
        widths = cut_to_depth(self.widths, self.depth, listed, least=0)
        dropout = cut_to_depth(self.dropout, self.depth, listed, least=0)
        units = read_sizes("widths", widths)
        rates = per_layer("dropout", dropout, len(units))
        for position in range(min(self.dropout_from - 1, len(rates))):
            rates[position] = 0.0
        hidden = make_dense(units, Normalise("none", self.activation), rates)
        return (Flatten(), *hidden, Linear(self.num_classes))
