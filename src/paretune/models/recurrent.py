"""Recurrent: one convolution applied again and again with the same weights.

The form of github:ruslangrimov/mnist-minimal-model (1,936 and 2,180 parameters); the idea from Liang and Hu 2015,
"Recurrent convolutional neural network for object recognition" (CVPR).
"""

from collections.abc import Sequence

from torch import Tensor, nn

from paretune.errors import check_least
from paretune.models._blocks import Normalise, SeparableConv, dense, dropouts, kernels, map_shape, sizes


class Recurrent(nn.Module):
    """A convolution of ``stem`` maps and a pool, a layer of ``width`` maps, one of ``width`` maps ``steps`` times, averages,
    ``head`` units, the logits.

    The repeated layer counts once; with ``norm_each_step`` every step has a norm of its own. ``separable`` layers are
    depthwise-separable, else plain; ``pool_middle`` puts a 2x2 max-pool before the steps, too. ``padding`` (``same`` or
    ``valid``) is that of the stem and the layer after it; steps keep the size, but for a pool after each whose number (from 1)
    is in ``pool_after_steps``. ``dropout`` drops single values. ``bias`` is that of all convolutions but depthwise parts,
    ``head_bias`` that of the logits.
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
        pool_after_steps: Sequence[int] = (),
        bias: bool = True,
        dropout: float = 0.0,
        head: Sequence[int] = (16,),
        head_bias: bool = True,
        image_shape: Sequence[int] = (1, 28, 28),
        num_classes: int = 10,
    ) -> None:
        super().__init__()
        for name, size in {"stem": stem, "width": width, "steps": steps}.items():
            check_least(f"model.{name}", size, 1)
        normalise, [(_, pad)] = Normalise(norm, activation, norm_first), kernels(3, padding, 1)
        normalise.check_averaged()
        conv = SeparableConv if separable else nn.Conv2d
        first = [nn.Conv2d(image_shape[0], stem, 3, padding=pad, bias=bias), *normalise.layers(stem), nn.MaxPool2d(2)]
        middle = [nn.MaxPool2d(2)] if pool_middle else []
        second = [conv(stem, width, 3, padding=pad, bias=bias), *normalise.layers(width), *middle]
        self.entry = nn.Sequential(*first, *dropouts(dropout), *second, *dropouts(dropout))
        self.repeated = conv(width, width, 3, padding=1, bias=bias)
        self.pools = nn.ModuleList(
            nn.MaxPool2d(2) if n in pool_after_steps else nn.Identity() for n in range(1, steps + 1)
        )
        map_shape([self.entry, *self.pools], image_shape)  # refuses maps that become too small
        norms = ([*normalise.layers(width), *dropouts(dropout)] for _ in range(steps if norm_each_step else 1))
        self.norms, self.steps = nn.ModuleList(nn.Sequential(*layers) for layers in norms), steps
        units = [width, *sizes("head", head)]
        layers = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), *dense(units, normalise, dropout)]
        self.head = nn.Sequential(*layers, nn.Linear(units[-1], num_classes, bias=head_bias))

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(B, num_classes)`` of images ``(B, C, H, W)``."""
        maps = self.entry(images)
        for step in range(self.steps):
            maps = self.pools[step](self.norms[min(step, len(self.norms) - 1)](self.repeated(maps)))
        logits: Tensor = self.head(maps)
        return logits
