"""Recurrent: one convolution applied again and again with the same weights.

The form of github:ruslangrimov/mnist-minimal-model (1,936 and 2,180 parameters); the idea from Liang and Hu 2015,
"Recurrent convolutional neural network for object recognition" (CVPR).
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from paretune.errors import ConfigError, check_choice, check_least
from paretune.models._blocks import Normalise, RepeatMaps, SeparableConv, dense, dropouts, kernels, map_shape, sizes


class Recurrent(nn.Module):
    """A convolution of ``stem`` maps and a pool, a layer of ``width`` maps, one of ``width`` maps ``steps`` times, averages,
    ``head`` units, the logits.

    The repeated layer counts once; with ``norm_each_step`` every step has a norm of its own. ``separable`` layers are
    depthwise-separable, else plain; ``pool_middle`` puts a 2x2 max-pool before the steps, too. ``padding`` (``same`` or
    ``valid``) is that of the stem and the layer after it; steps keep the size, but for a pool after each whose number (from 1)
    is in ``pool_after_steps``. ``dropout`` drops single values. ``bias`` is that of all convolutions but depthwise parts,
    ``head_bias`` that of the logits.

    Three ways to fewer parameters: ``widen: repeat`` has no layer between stem and steps but the maps of the stem over and
    over, ``depthwise_kernels`` is how many kernels the maps of the repeated layer share (null: one each), and ``class_maps``
    makes the averages of the first maps the logits, one for each class, in place of ``head`` and a dense layer (Lin, Chen and
    Yan 2013, "Network in network", section 3.2, https://arxiv.org/abs/1312.4400).
    """

    def __init__(
        self,
        *,
        stem: int = 8,
        width: int = 26,
        steps: int = 3,
        stem_kernel: int = 3,
        widen: str = "conv",
        depthwise_kernels: int | None = None,
        class_maps: bool = False,
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
        check_choice("model.widen", widen, ("conv", "repeat"))
        _check_shared(width, separable, depthwise_kernels)
        if class_maps:
            _check_class_maps(width, head, num_classes)
        normalise, [(side, edge)] = Normalise(norm, activation, norm_first), kernels(stem_kernel, padding, 1)
        normalise.check_averaged()
        conv = SeparableConv if separable else nn.Conv2d
        first = [
            nn.Conv2d(image_shape[0], stem, side, padding=edge, bias=bias),
            *normalise.layers(stem),
            nn.MaxPool2d(2),
        ]
        middle = [nn.MaxPool2d(2)] if pool_middle else []
        pad = 1 if padding == "same" else 0
        layer = [conv(stem, width, 3, padding=pad, bias=bias), *normalise.layers(width)]
        second = layer if widen == "conv" else [RepeatMaps(width)]
        self.entry = nn.Sequential(*first, *dropouts(dropout), *second, *middle, *dropouts(dropout))
        shared: dict[str, Any] = {} if depthwise_kernels is None else {"kernels": depthwise_kernels}
        self.repeated = conv(width, width, 3, padding=1, bias=bias, **shared)
        self.pools = nn.ModuleList(
            nn.MaxPool2d(2) if n in pool_after_steps else nn.Identity() for n in range(1, steps + 1)
        )
        map_shape([self.entry, *self.pools], image_shape)  # refuses maps that become too small
        norms = ([*normalise.layers(width), *dropouts(dropout)] for _ in range(steps if norm_each_step else 1))
        self.norms, self.steps = nn.ModuleList(nn.Sequential(*layers) for layers in norms), steps
        units = [width, *sizes("head", head)]
        dense_logits = [*dense(units, normalise, dropout), nn.Linear(units[-1], num_classes, bias=head_bias)]
        means = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        self.head = nn.Sequential(*([RepeatMaps(num_classes), *means] if class_maps else [*means, *dense_logits]))

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(B, num_classes)`` of images ``(B, C, H, W)``."""
        maps = self.entry(images)
        for step in range(self.steps):
            maps = self.pools[step](self.norms[min(step, len(self.norms) - 1)](self.repeated(maps)))
        logits: Tensor = self.head(maps)
        return logits


def _check_shared(width: int, separable: bool, depthwise_kernels: int | None) -> None:
    check_least("model.depthwise_kernels", depthwise_kernels, 1, most=width, null=True)
    if depthwise_kernels is not None and not separable:
        raise ConfigError(
            f"model.depthwise_kernels `{depthwise_kernels}` has no meaning for plain convolutions; expected null, or "
            "model.separable=true; set one of them"
        )


def _check_class_maps(width: int, head: Sequence[int], num_classes: int) -> None:
    check_least("model.width", width, num_classes)  # a map for each class
    if len(head):
        raise ConfigError(
            f"model.head `{list(head)}` has no place where the averages of maps are the logits; expected [], or "
            "model.class_maps=false; set one of them"
        )
