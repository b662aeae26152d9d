"""Recurrent: one convolution applied again and again with the same weights.

The form of github:ruslangrimov/mnist-minimal-model (1,936 and 2,180 parameters); the idea from Liang and Hu 2015,
"Recurrent convolutional neural network for object recognition" (CVPR).
"""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from paretune.errors import ConfigError
from paretune.models._blocks import MapSize, Normalise, SeparableConv, dropouts, pads, positive

__all__ = ["Recurrent"]


class Recurrent(nn.Module):
    """A convolution of ``stem`` maps and a pool, a layer of ``width`` maps, one of ``width`` maps ``steps`` times, averages,
    ``head`` units, the logits.

    The repeated layer counts once; with ``norm_each_step`` every step has a norm of its own. ``separable`` layers are
    depthwise-separable, else plain; ``pool_middle`` puts a 2x2 max-pool before the steps, too. ``padding`` (``same`` or
    ``valid``) is that of the stem and the layer after it; steps keep the size. ``dropout`` drops single values.
    """

    def __init__(
        self,
        *,
        stem: int = 8,
        width: int = 26,
        steps: int = 3,
        separable: bool = True,
        norm: str = "batch",
        norm_first: bool = False,
        norm_each_step: bool = True,
        activation: str = "relu",
        padding: str = "valid",
        pool_middle: bool = False,
        dropout: float = 0.0,
        head: Sequence[int] = (16,),
        image_shape: Sequence[int] = (1, 28, 28),
        num_classes: int = 10,
    ) -> None:
        super().__init__()
        if steps < 1:
            raise ConfigError(f"steps `{steps}` repeats nothing; expected at least 1; set model.steps")
        stem, width = positive("stem", [stem])[0], positive("width", [width])[0]
        normalise, size, pad = Normalise(norm, activation, norm_first), MapSize.of(image_shape), pads(padding, [3])[0]
        normalise.check_averaged()

        def conv(channels: int, padding: int) -> nn.Module:
            if separable:
                return SeparableConv(channels, width, 3, padding)
            return nn.Conv2d(channels, width, 3, padding=padding)

        for follow in (size.pool, size.pool) if pool_middle else (size.pool,):
            size.conv(3, pad)
            follow()
        first = [nn.Conv2d(image_shape[0], stem, 3, padding=pad), *normalise.layers(stem), nn.MaxPool2d(2)]
        second = [conv(stem, pad), *normalise.layers(width), *([nn.MaxPool2d(2)] if pool_middle else [])]
        self.entry = nn.Sequential(*first, *dropouts(dropout), *second, *dropouts(dropout))
        self.repeated = conv(width, 1)
        norms = [
            nn.Sequential(*normalise.layers(width), *dropouts(dropout)) for _ in range(steps if norm_each_step else 1)
        ]
        self.norms, self.steps = nn.ModuleList(norms), steps
        layers: list[nn.Module] = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        units = [width, *positive("head", head)]
        for fan_in, fan_out in pairwise(units):
            layers += [nn.Linear(fan_in, fan_out), *normalise.of_units(fan_out), *dropouts(dropout)]
        self.head = nn.Sequential(*layers, nn.Linear(units[-1], num_classes))

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(B, num_classes)`` of images ``(B, C, H, W)``."""
        maps = self.entry(images)
        for step in range(self.steps):
            maps = self.norms[min(step, len(self.norms) - 1)](self.repeated(maps))
        logits: Tensor = self.head(maps)
        return logits
