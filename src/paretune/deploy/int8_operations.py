"""Operations on int8, as a quantised file has them: read by
:mod:`paretune.deploy.int8_reader`, written in C by
:mod:`paretune.deploy.c_int8`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paretune.memory import Buffer, Operation, find_buffers
from paretune.operations import IMAGE

# What goes through its first input value by value.
IN_PLACE = (
    "relu",
    "silu",
    "leaky_relu",
    "affine",
    "mul",
    "add",
    "mul_values",
    "add_values",
    "layer_norm",
)
INT8_MIN = -128
INT8_MAX = 127

Shape = tuple[int, ...]
Reals = NDArray[np.float64]


@dataclass(frozen=True)
class Steps:
    """What the whole numbers ``q`` of a value stand for: ``(q - zero) * scale``."""

    scale: float
    zero: int

    def quantise(self, values: Reals) -> NDArray[Any]:
        """The int8 that stand for ``values``."""
        whole: NDArray[Any] = np.rint(values / self.scale) + self.zero
        return whole.clip(INT8_MIN, INT8_MAX)

    def dequantise(self, whole: NDArray[Any]) -> Reals:
        """What int8 stand for."""
        values: Reals = (whole - self.zero) * self.scale
        return values


@dataclass(frozen=True)
class WholeConstant:
    """A constant in whole numbers, which stand for ``values * scale``; 0 stands for 0.

    ``scale`` is one number, or one for each element of the first axis.
    """

    values: NDArray[np.int64]
    scale: NDArray[Any]


Constant = WholeConstant | NDArray[Any]


def find_reals(constant: Constant) -> Reals:
    """The numbers that a constant of the file stands for."""
    if not isinstance(constant, WholeConstant):
        return np.asarray(constant, float)
    values = np.asarray(constant.values, float)
    scale = np.asarray(constant.scale, float)
    if scale.ndim:
        behind_first_axis = [1] * (values.ndim - 1)
        scale = scale.reshape(-1, *behind_first_axis)
    reals: Reals = values * scale
    return reals


@dataclass(frozen=True)
class Window:
    """Where a convolution or a pool reads: rows, then columns. ``pads`` are above,
    left, below and right.
    """

    kernel: Shape
    strides: Shape = (1, 1)
    pads: Shape = (0, 0, 0, 0)
    dilations: Shape = (1, 1)


@dataclass(frozen=True)
class Conv:
    """A convolution; ``weight`` is ``(maps, channels / groups, kernel rows, kernel
    columns)``.
    """

    weight: WholeConstant
    bias: WholeConstant | None
    window: Window
    groups: int = 1


@dataclass(frozen=True)
class Linear:
    """A dense layer; ``weight`` is ``(inputs, outputs)``, or the other way round if
    ``is_transposed``.
    """

    weight: WholeConstant
    bias: WholeConstant | None = None
    is_transposed: bool = False


@dataclass(frozen=True)
class MaxPool:
    """The largest value of each window."""

    window: Window
    is_rounded_up: bool = False


@dataclass(frozen=True)
class MeanOfMaps:
    """The mean of each map."""


@dataclass(frozen=True)
class Rectifier:
    """Values below 0 are multiplied by ``slope``."""

    slope: float = 0.0


@dataclass(frozen=True)
class Curve:
    """A sigmoid, tanh or silu; ``sigmoid`` has the steps of the sigmoid within a silu,
    which is rounded.
    """

    sigmoid: Steps | None = None


@dataclass(frozen=True)
class BatchNorm:
    """A batch norm by its running statistics: numbers for each channel."""

    factor: Constant
    shift: Constant
    mean: Constant
    variance: Constant
    epsilon: float = 1e-5


@dataclass(frozen=True)
class Scale:
    """A product with a constant."""

    factor: Constant


@dataclass(frozen=True)
class Offset:
    """A sum with a constant."""

    added: Constant


@dataclass(frozen=True)
class LayerNorm:
    """All values to mean 0 and deviation 1, times ``factor``, plus ``shift``."""

    factor: Constant
    shift: Constant | None = None
    epsilon: float = 1e-5


@dataclass(frozen=True)
class Concat:
    """Values behind each other."""


@dataclass(frozen=True)
class Slice:
    """Values from the ``first`` on along ``axis``, where the batch is axis 0."""

    first: int
    axis: int


@dataclass(frozen=True)
class Combine:
    """A sum or a product of two values."""


@dataclass(frozen=True)
class Unknown:
    """An operation that is not written in whole numbers."""


Settings = (
    Conv
    | Linear
    | MaxPool
    | MeanOfMaps
    | Rectifier
    | Curve
    | BatchNorm
    | Scale
    | Offset
    | LayerNorm
    | Concat
    | Slice
    | Combine
    | Unknown
)


@dataclass(frozen=True)
class Joined:
    """What follows an operation and takes its values before they are rounded, so that
    the operation does it, too.
    """

    factor: Constant | None = None
    added: Constant | None = None
    slope: float | None = None


@dataclass(frozen=True)
class Int8Op:
    """``output`` becomes ``kind`` of ``inputs``; ``shape`` is the output's, for one
    image.

    ``layer`` is the name of the module that computes it, as ``named_modules`` has it.
    """

    kind: str
    output: str
    inputs: tuple[str, ...]
    shape: Shape
    settings: Settings
    joined: Joined = Joined()
    layer: str = ""

    @property
    def size(self) -> int:
        """Number of values of the output."""
        return prod(self.shape)

    @property
    def slope(self) -> float:
        """The slope below 0 of the rectifier that the operation is or has as its part;
        1 without any.
        """
        if isinstance(self.settings, Rectifier):
            return self.settings.slope
        if self.joined.slope is None:
            return 1.0
        return self.joined.slope


@dataclass(frozen=True)
class Quantised:
    """A quantised network: its operations in order, the shape of the image, and the
    :class:`Steps` of every value by name.

    The image, scaled as in training, has steps, too. The last value has none: it is the
    logits, as sums.
    """

    ops: tuple[Int8Op, ...]
    image_shape: Shape
    steps: Mapping[str, Steps]
    shapes: dict[str, Shape] = field(init=False)

    def __post_init__(self) -> None:
        shapes = {IMAGE: self.image_shape}
        for op in self.ops:
            shapes[op.output] = op.shape
        object.__setattr__(self, "shapes", shapes)

    def find_buffers(self) -> list[Buffer]:
        """The places that an inference needs: see
        :func:`paretune.memory.find_buffers`.
        """
        operations = [
            Operation(op.inputs, op.output, op.size, op.kind in IN_PLACE)
            for op in self.ops
        ]
        return find_buffers(operations, IMAGE, prod(self.image_shape))
