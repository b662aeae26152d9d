"""Recurrent: one convolution applied again and again with the same weights.

The form of github:ruslangrimov/mnist-minimal-model (1,936 and 2,180 parameters); the
idea from Liang and Hu 2015, "Recurrent convolutional neural network for object
recognition" (CVPR).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from paretune.errors import ConfigError, check_choice, check_least
from paretune.layers.types import (
    Conv,
    Layer,
    Layers,
    Linear,
    MaxPool,
    MeanOfMaps,
    Repeat,
    RepeatMaps,
)
from paretune.models.family import (
    Family,
    Normalise,
    Window,
    make_dense,
    make_dropout,
    make_separable,
    make_windows,
    read_sizes,
)


@dataclass(frozen=True, kw_only=True)
class Recurrent(Family):
    """A convolution of ``stem`` maps and a pool, a layer of ``width`` maps, one of
    ``width`` maps ``steps`` times, averages, ``head`` units, the logits.

    The repeated layer counts once; with ``norm_each_step`` every step has a norm of its
    own. ``separable`` layers are depthwise-separable, else plain; ``pool_middle`` puts
    a 2x2 max-pool before the steps, too. ``padding`` (``same`` or ``valid``) is that of
    the stem and the layer after it; steps keep the size, but for a pool after each
    whose number (from 1) is in ``pool_after_steps``. ``dropout`` drops single values.
    ``bias`` is that of all convolutions but depthwise parts, ``head_bias`` that of the
    logits.

    Three ways to fewer parameters: ``widen: repeat`` has no layer between stem and
    steps but the maps of the stem over and over, ``depthwise_kernels`` is how many
    kernels the maps of the repeated layer share (null: one each), and ``class_maps``
    makes the averages of the first maps the logits, one for each class, in place of
    ``head`` and a dense layer (Lin, Chen and Yan 2013, "Network in network", section
    3.2, https://arxiv.org/abs/1312.4400).
    """

    stem: int = 8
    width: int = 26
    steps: int = 3
    stem_kernel: int = 3
    widen: str = "conv"
    depthwise_kernels: int | None = None
    class_maps: bool = False
    separable: bool = True
    norm: str = "batch"
    norm_first: bool = False
    norm_each_step: bool = True
    activation: str = "relu"
    padding: str = "same"
    pool_middle: bool = False
    pool_after_steps: Sequence[int] = ()
    bias: bool = True
    dropout: float = 0.0
    head: Sequence[int] = ()
    head_bias: bool = True

    def layers(self) -> Layers:
        """The layers of the network with these settings."""
        self._check()
        normalise = Normalise(self.norm, self.activation, self.norm_first)
        normalise.check_averaged()
        entry = [*self._make_stem(normalise), *self._make_widening(normalise)]
        return (*entry, self._make_steps(normalise), *self._make_head(normalise))

    def _check(self) -> None:
        for name in ("stem", "width", "steps"):
            check_least(f"model.{name}", getattr(self, name), 1)
        check_choice("model.widen", self.widen, ("conv", "repeat"))
        self._check_shared_kernels()
        if self.class_maps:
            self._check_class_maps()

    def _check_shared_kernels(self) -> None:
        check_least(
            "model.depthwise_kernels",
            self.depthwise_kernels,
            1,
            most=self.width,
            null=True,
        )
        if self.depthwise_kernels is not None and not self.separable:
            raise ConfigError(
                f"model.depthwise_kernels `{self.depthwise_kernels}` has no meaning "
                "for plain convolutions; set it to null, or set model.separable=true"
            )

    def _check_class_maps(self) -> None:
        # A map for each class.
        check_least("model.width", self.width, self.num_classes)
        if len(self.head):
            raise ConfigError(
                f"model.head `{list(self.head)}` has no place where the averages of "
                "maps are the logits; set it to [], or set model.class_maps=false"
            )

    def _make_stem(self, normalise: Normalise) -> list[Layer]:
        [window] = make_windows(self.stem_kernel, self.padding, 1)
        conv = Conv(self.stem, window.size, window.padding, bias=self.bias)
        return [conv, *normalise.layers(), MaxPool(), *self._dropout()]

    def _make_widening(self, normalise: Normalise) -> list[Layer]:
        """From the maps of the stem to those of the steps."""
        middle: list[Layer] = []
        if self.pool_middle:
            middle.append(MaxPool())
        if self.widen == "repeat":
            return [RepeatMaps(self.width), *middle, *self._dropout()]
        window = Window(3, 1 if self.padding == "same" else 0)
        return [
            *self._make_conv(window),
            *normalise.layers(),
            *middle,
            *self._dropout(),
        ]

    def _make_conv(self, window: Window, kernels: int | None = None) -> list[Layer]:
        if self.separable:
            return make_separable(self.width, window, bias=self.bias, kernels=kernels)
        return [Conv(self.width, window.size, window.padding, bias=self.bias)]

    def _make_steps(self, normalise: Normalise) -> Repeat:
        shared = self._make_conv(Window(3, 1), self.depthwise_kernels)
        after = [*normalise.layers(), *self._dropout()]
        own: list[Layer] = []
        if self.norm_each_step:
            own = after
        else:
            shared += after
        steps = [
            (*own, *self._make_pool(number)) for number in range(1, self.steps + 1)
        ]
        return Repeat(tuple(shared), tuple(steps))

    def _make_pool(self, step: int) -> list[Layer]:
        if step in self.pool_after_steps:
            return [MaxPool()]
        return []

    def _make_head(self, normalise: Normalise) -> list[Layer]:
        if self.class_maps:
            return [RepeatMaps(self.num_classes), MeanOfMaps()]
        hidden = make_dense(read_sizes("head", self.head), normalise, self.dropout)
        return [MeanOfMaps(), *hidden, Linear(self.num_classes, bias=self.head_bias)]

    def _dropout(self) -> list[Layer]:
        return make_dropout(self.dropout)
