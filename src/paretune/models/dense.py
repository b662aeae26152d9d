"""Dense: a multilayer perceptron on the flattened image.

The form of the 36 dense networks of github:albert-kepner/Week6_DL_FinalProject.
"""

from collections.abc import Sequence
from math import prod

from torch import Tensor, nn

from paretune.models._blocks import activation_layer, dropouts, per_layer, positive

__all__ = ["Dense"]


class Dense(nn.Module):
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
        super().__init__()
        sizes = [prod(image_shape), *positive("widths", widths)]
        layers: list[nn.Module] = [nn.Flatten()]
        rates = per_layer("dropout", dropout, len(widths))
        for number, (fan_in, fan_out, rate) in enumerate(zip(sizes, sizes[1:], rates, strict=False), 1):
            layers += [nn.Linear(fan_in, fan_out), activation_layer(activation)]
            layers += dropouts(rate if number >= dropout_from else 0.0)
        self.layers = nn.Sequential(*layers, nn.Linear(sizes[-1], num_classes))

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(B, num_classes)`` of images ``(B, C, H, W)``."""
        logits: Tensor = self.layers(images)
        return logits
