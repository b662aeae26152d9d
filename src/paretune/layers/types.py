"""The kinds of layers that a network is made of: plain data, no torch.

Each kind is read in five ways, of which none follows from another: its name (``names``),
the shape of its output (``shapes``), its costs (``counts``), its words (``words``), and
its module (:mod:`paretune.models.modules`).

A layer says what it adds (maps, kernel, bias); the shape of what comes in follows from
the layers before it (see
:mod:`paretune.layers.unroll`). Maps are ``(C, H, W)``; values without rows and columns
are ``(C,)``.

A signal is an image of height one. Windows on it have one row: where ``is_flat``, a
kernel of 3 is 1x3.
"""

from dataclasses import dataclass

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Conv:
    """A convolution to ``maps`` maps; ``padding`` zeros stand on each side of what
    comes in.
    """

    maps: int
    kernel: int = 3
    padding: int = 0
    stride: int = 1
    bias: bool = True
    is_flat: bool = False


@dataclass(frozen=True, slots=True)
class Depthwise:
    """A convolution that filters each map by itself, with ``kernels`` kernels: map
    ``m`` by kernel ``m % kernels``.

    ``kernels`` of ``None`` means one for each map. Kernels of one depthwise convolution
    are much alike (Haase and Amthor 2020, https://arxiv.org/abs/2003.13549).
    """

    kernel: int = 3
    padding: int = 0
    stride: int = 1
    bias: bool = False
    kernels: int | None = None
    is_flat: bool = False


@dataclass(frozen=True, slots=True)
class Linear:
    """A dense layer to ``units`` values ``(units,)``."""

    units: int
    bias: bool = True


@dataclass(frozen=True, slots=True)
class Norm:
    """A normalisation: ``batch``, ``group``, ``instance`` or ``scalar`` (see
    :mod:`paretune.models.modules`).
    """

    kind: str


@dataclass(frozen=True, slots=True)
class Activation:
    """``relu``, ``leaky_relu`` (slope 0.2), ``prelu`` (one learnable slope) or
    ``silu``.
    """

    kind: str


@dataclass(frozen=True, slots=True)
class MaxPool:
    """The largest of each ``size`` x ``size`` values, ``stride`` apart."""

    size: int = 2
    stride: int = 2
    is_flat: bool = False


@dataclass(frozen=True, slots=True)
class MeanPool:
    """The mean of each ``size`` x ``size`` values, ``size`` apart; rows below and
    columns on the right that fill no square are dropped.
    """

    size: int = 2
    is_flat: bool = False


@dataclass(frozen=True, slots=True)
class PadEnd:
    """One more row below and one more column on the right, smaller than any number:
    what Keras' ``same`` pools read.
    """

    is_flat: bool = False


@dataclass(frozen=True, slots=True)
class MeanOfMaps:
    """The mean of each map: ``(C, H, W)`` to ``(C,)``."""


@dataclass(frozen=True, slots=True)
class Flatten:
    """``(C, H, W)`` to ``(C * H * W,)``."""


@dataclass(frozen=True, slots=True)
class Dropout:
    """Drops values, or whole maps, with a probability of ``rate`` in training; nothing
    in evaluation mode.
    """

    rate: float
    of_maps: bool = False


@dataclass(frozen=True, slots=True)
class RepeatMaps:
    """The maps that come in over and over until there are ``maps`` of them; with fewer,
    the first of them.
    """

    maps: int


@dataclass(frozen=True, slots=True)
class Repeat:
    """``shared`` layers applied once for each of ``steps``, with the same weights; each
    step's own layers follow them.

    Liang and Hu 2015, "Recurrent convolutional neural network for object recognition"
    (CVPR).
    """

    shared: tuple["Layer", ...]
    steps: tuple[tuple["Layer", ...], ...]


@dataclass(frozen=True, slots=True)
class Parallel:
    """``branches`` of layers on the same maps, side by side; what they give is joined
    map after map.
    """

    branches: tuple[tuple["Layer", ...], ...]


Layer = (
    Conv
    | Depthwise
    | Linear
    | Norm
    | Activation
    | MaxPool
    | MeanPool
    | PadEnd
    | MeanOfMaps
    | Flatten
    | Dropout
    | RepeatMaps
    | Repeat
    | Parallel
)
Layers = tuple[Layer, ...]
