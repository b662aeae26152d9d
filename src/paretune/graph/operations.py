"""Operations on one image, and their settings: plain numbers and tensors.

The fields of settings are in the order in which torch's operations take them, behind
the value that they are applied to.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from math import prod
from typing import Any

from torch import Tensor

from paretune.memory import Buffer, Operation, find_buffers

IMAGE = "image"
# What goes through its first input value by value.
IN_PLACE = (
    "relu",
    "silu",
    "leaky_relu",
    "prelu",
    "affine",
    "mul",
    "add",
    "mul_values",
    "add_values",
    "group_norm",
    "instance_norm",
    "layer_norm",
)


class Value(str):
    """The name of something that a network computes from the image."""

    __slots__ = ()


@dataclass(frozen=True)
class Settings:
    """What an operation is told beside the values that it is applied to; some have no
    settings.
    """

    def items(self) -> Iterator[tuple[str, Any]]:
        """Each setting with its name."""
        for setting in fields(self):
            yield setting.name, getattr(self, setting.name)

    def tensors(self) -> Iterator[Tensor]:
        """The settings that are weights."""
        for _, setting in self.items():
            if isinstance(setting, Tensor):
                yield setting


Sides = int | list[int]  # one number for rows and columns, or one for each


@dataclass(frozen=True)
class Conv(Settings):
    """A convolution."""

    weight: Tensor
    bias: Tensor | None = None
    stride: Sides = 1
    padding: Sides = 0
    dilation: Sides = 1
    groups: int = 1


@dataclass(frozen=True)
class Linear(Settings):
    """A dense layer; ``weight`` is ``(outputs, inputs)``."""

    weight: Tensor
    bias: Tensor | None = None


@dataclass(frozen=True)
class MaxPool(Settings):
    """The largest value of each window; an empty ``stride`` is that of the kernel."""

    kernel: Sides
    stride: Sides = field(default_factory=list)
    padding: Sides = 0
    dilation: Sides = 1
    ceil_mode: bool = False


@dataclass(frozen=True)
class Pad(Settings):
    """``sides`` are how many numbers come before and behind, the last dimension
    first.
    """

    sides: list[int]
    mode: str = "constant"
    value: float | None = None


@dataclass(frozen=True)
class ConstantPad(Settings):
    """A :class:`Pad` by one number, in the order in which another operation of torch
    takes it.
    """

    sides: list[int]
    value: float | None = None


@dataclass(frozen=True)
class Slice(Settings):
    """Every ``step``-th value along ``dimension``, where the batch is dimension 0."""

    dimension: int = 0
    first: int = 0
    last: int | None = None
    step: int = 1


@dataclass(frozen=True)
class LeakyRelu(Settings):
    """Values below 0 are multiplied by ``slope``."""

    slope: float = 0.01


@dataclass(frozen=True)
class PRelu(Settings):
    """Values below 0 are multiplied by a weight, one or one for each map."""

    weight: Tensor


@dataclass(frozen=True)
class GroupNorm(Settings):
    """Groups of maps to mean 0 and deviation 1."""

    groups: int
    weight: Tensor | None = None
    bias: Tensor | None = None
    eps: float = 1e-5


@dataclass(frozen=True)
class InstanceNorm(Settings):
    """Each map to mean 0 and deviation 1: its own, or, without ``by_image``, the
    running ones.
    """

    weight: Tensor | None = None
    bias: Tensor | None = None
    mean: Tensor | None = None
    variance: Tensor | None = None
    by_image: bool = True
    momentum: float = 0.1
    eps: float = 1e-5


@dataclass(frozen=True)
class LayerNorm(Settings):
    """The last dimensions, of shape ``normalised``, to mean 0 and deviation 1."""

    normalised: list[int]
    weight: Tensor | None = None
    bias: Tensor | None = None
    eps: float = 1e-5


@dataclass(frozen=True)
class BatchNorm(Settings):
    """Each map to mean 0 and deviation 1: the running ones, or, without any, those of
    the batch.
    """

    weight: Tensor | None
    bias: Tensor | None
    mean: Tensor | None
    variance: Tensor | None
    by_batch: bool = False
    momentum: float = 0.1
    eps: float = 1e-5


@dataclass(frozen=True)
class Mean(Settings):
    """A mean over dimensions, or, of an adaptive pool, to a size."""

    over: Any = None


@dataclass(frozen=True)
class Affine(Settings):
    """A batch norm in evaluation mode: one factor and one shift for each channel."""

    factor: Tensor
    shift: Tensor


@dataclass(frozen=True)
class ByNumber(Settings):
    """A product or a sum with a number, or with weights."""

    by: Any


NO_SETTINGS = Settings()


@dataclass(frozen=True)
class Op:
    """``output`` becomes ``kind`` of ``inputs``; ``shape`` is the output's, for one
    image.

    ``macs`` are its multiply-accumulates: convolutions, dense layers and products of
    matrices. ``layer`` is the name of the module that computes it, as ``named_modules``
    has it.
    """

    kind: str
    output: str
    inputs: tuple[str, ...]
    shape: tuple[int, ...]
    settings: Settings = NO_SETTINGS
    macs: int = 0
    layer: str = ""

    @property
    def size(self) -> int:
        """Number of values of the output."""
        return prod(self.shape)


@dataclass(frozen=True)
class Graph:
    """The operations in order; ``shapes`` of every value by name, the image
    included.
    """

    ops: tuple[Op, ...]
    shapes: Mapping[str, tuple[int, ...]]

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference."""
        return sum(op.macs for op in self.ops)

    @property
    def stored(self) -> int:
        """Numbers that have to be kept for an inference: weights, and a factor and a
        shift for each channel of a batch norm.
        """
        sizes: dict[int, int] = {}  # by tensor: a shared one once
        for op in self.ops:
            for tensor in op.settings.tensors():
                sizes[id(tensor)] = tensor.numel()
        return sum(sizes.values())


def buffers_of(graph: Graph, *, with_image: bool = True) -> list[Buffer]:
    """The places that an inference needs: see :func:`paretune.memory.find_buffers`."""
    operations = [
        Operation(op.inputs, op.output, op.size, op.kind in IN_PLACE)
        for op in graph.ops
    ]
    return find_buffers(
        operations, IMAGE, prod(graph.shapes[IMAGE]), with_image=with_image
    )
