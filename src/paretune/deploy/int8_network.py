"""A quantised network: its operations, with the constants and the steps that they have
in the quantised file.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paretune.layers.image_pool import count_row_sums
from paretune.layers.types import Shape
from paretune.memory import Buffer, MemoryUse, find_buffers
from paretune.operations import IMAGE
from paretune.operations.types import (
    ONE_EACH,
    LeakyRelu,
    Operation,
    Relu,
    RowsColumns,
)

PIXELS = "pixels"  # of the image before it is pooled: the caller's
INT8_MIN = -128
INT8_MAX = 127

Reals = NDArray[np.float64]


@dataclass(frozen=True)
class Steps:
    """The real numbers that whole ones ``q`` stand for: ``(q - zero) * scale``."""

    scale: float
    zero: int

    def quantise(self, values: Reals) -> NDArray[Any]:
        """The int8 that stand for ``values``."""
        whole: NDArray[Any] = np.rint(values / self.scale) + self.zero
        return whole.clip(INT8_MIN, INT8_MAX)

    def dequantise(self, whole: NDArray[Any]) -> Reals:
        """The real numbers that int8 stand for."""
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
class Joined:
    """Operations that follow another one and take its values before they are rounded,
    so that this one does them, too.
    """

    factor: Constant | None = None
    added: Constant | None = None
    slope: float | None = None


@dataclass(frozen=True)
class Int8Node:
    """The value ``output`` becomes ``operation`` of the values ``inputs``.

    ``constants`` are those of the quantised file by the part that they play, such as
    ``weight``; ``sigmoid`` has the steps of the sigmoid within a silu, which is rounded.
    ``shape`` is the output's, for one image. ``layer`` is the name of the module that
    computes it, as ``named_modules`` has it.
    """

    operation: Operation
    inputs: tuple[str, ...]
    output: str
    shape: Shape
    layer: str = ""
    constants: Mapping[str, Constant] = field(default_factory=dict)
    sigmoid: Steps | None = None
    joined: Joined = Joined()

    @property
    def size(self) -> int:
        """Number of values of the output."""
        return prod(self.shape)

    @property
    def slope(self) -> float:
        """The slope below 0 of the rectifier that the operation is or has as its part;
        1 without any.
        """
        match self.operation:
            case Relu():
                return 0.0
            case LeakyRelu(slope=slope):
                return round_to_float(slope)
            case _:
                return 1.0 if self.joined.slope is None else self.joined.slope


def round_to_float(value: float) -> float:
    """A setting as the quantised file has it, in 32 bits."""
    return float(np.float32(value))


@dataclass(frozen=True)
class Quantised:
    """A quantised network: its nodes in order, the shape of the image, and the
    :class:`Steps` of every value by name.

    The image, scaled as in training, has steps, too. The last value has none: it is the
    logits, as sums. ``pool_window`` are the rows and columns of the pixels that one
    value of the image is the mean of.
    """

    nodes: tuple[Int8Node, ...]
    image_shape: Shape
    steps: Mapping[str, Steps]
    pool_window: RowsColumns = ONE_EACH
    shapes: dict[str, Shape] = field(init=False)

    def __post_init__(self) -> None:
        shapes = {IMAGE: self.image_shape}
        for node in self.nodes:
            shapes[node.output] = node.shape
        object.__setattr__(self, "shapes", shapes)

    def find_buffers(self) -> list[Buffer]:
        """The places that an inference needs: see
        :func:`paretune.memory.find_buffers`.

        An image that is pooled comes in row by row.
        """
        uses = [
            MemoryUse(node.inputs, node.output, node.size, node.operation.overwrites)
            for node in self.nodes
        ]
        size = prod(self.image_shape)
        if self.pool_window == ONE_EACH:
            return find_buffers(uses, IMAGE, size)
        sums = count_row_sums(self.image_shape, "int8")
        intake = MemoryUse((PIXELS,), IMAGE, size, overwrites=False, scratch=sums)
        return find_buffers([intake, *uses], PIXELS, 0, with_image=False)
