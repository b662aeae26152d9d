"""The weights a network starts with, and the constants of its norms: settings of any family."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from paretune.models._settings import known

__all__ = ["SETTINGS", "initialise"]

Initial = Callable[[Tensor], Tensor]
# Glorot and Bengio 2010 (https://proceedings.mlr.press/v9/glorot10a.html), Keras' default; He et al. 2015
# (https://arxiv.org/abs/1502.01852); torch's own draws weights and biases from a uniform of 1 / sqrt(fan-in).
INITIALS: dict[str, Initial | None] = {
    "glorot": nn.init.xavier_uniform_,
    "he": lambda weight: nn.init.kaiming_normal_(weight, nonlinearity="relu"),
    "torch": None,
}
SETTINGS = ("init", "norm_eps", "norm_momentum")
LAYERS = (nn.Conv2d, nn.Linear)


def initialise(net: nn.Module, settings: Mapping[str, Any]) -> None:
    """Draw the weights of ``net`` anew as ``init`` says (biases 0), set ``norm_eps`` and ``norm_momentum`` of its norms.

    ``norm_momentum`` is torch's: the weight of the newest batch in the running statistics (Keras' 0.99 is 0.01).
    """
    how = str(settings.get("init", "torch"))
    known("init", how, INITIALS)
    draw = INITIALS[how]
    for layer in net.modules():
        if draw and isinstance(layer, LAYERS):
            draw(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        for setting in ("norm_eps", "norm_momentum"):
            name = setting.removeprefix("norm_")
            if setting in settings and hasattr(layer, name):
                setattr(layer, name, settings[setting])
