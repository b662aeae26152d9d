"""The kinds of operations that one inference takes, with their weights.

Maps are ``(C, H, W)``, values without rows and columns ``(C,)``: the batch is left out.
A pair is of rows, then of columns.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

RowsColumns = tuple[int, int]
ONE_EACH: RowsColumns = (1, 1)
NONE_EACH: RowsColumns = (0, 0)


@dataclass(frozen=True, eq=False)
class Operation:
    """A step that gives values; two are the same only if they are one object.

    ``overwrites``: it goes through its first input value by value, so that its output
    may take that input's place in memory.
    """

    overwrites: ClassVar[bool] = False

    def find_stored(self) -> Iterator[Tensor]:
        """The numbers that have to be kept for it."""
        for setting in fields(self):
            value = getattr(self, setting.name)
            if isinstance(value, Tensor):
                yield value


@dataclass(frozen=True, eq=False)
class Conv(Operation):
    """A convolution; ``weight`` is ``(maps, channels / groups, rows, columns)``.

    ``padding`` are zeros on each side of rows and of columns.
    """

    weight: Tensor
    bias: Tensor | None = None
    strides: RowsColumns = ONE_EACH
    padding: RowsColumns = NONE_EACH
    dilation: RowsColumns = ONE_EACH
    groups: int = 1


@dataclass(frozen=True, eq=False)
class Linear(Operation):
    """A dense layer; ``weight`` is ``(outputs, inputs)``."""

    weight: Tensor
    bias: Tensor | None = None


@dataclass(frozen=True, eq=False)
class BatchNorm(Operation):
    """Each map by its running mean and variance, times ``weight``, plus ``bias``."""

    weight: Tensor | None
    bias: Tensor | None
    mean: Tensor
    variance: Tensor
    eps: float = 1e-5

    overwrites = True

    @cached_property
    def factor(self) -> Tensor:
        """The one factor of each map that the norm comes down to."""
        deviation = torch.sqrt(self.variance + self.eps)
        weight = 1.0 if self.weight is None else self.weight
        return weight / deviation

    @cached_property
    def shift(self) -> Tensor:
        """The summand of each map that the norm has behind the factor."""
        bias = 0.0 if self.bias is None else self.bias
        return bias - self.mean * self.factor

    def find_stored(self) -> Iterator[Tensor]:
        """A factor and a shift for each map."""
        yield self.factor
        yield self.shift


@dataclass(frozen=True, eq=False)
class GroupNorm(Operation):
    """Each group of maps to mean 0 and deviation 1, then a factor and a shift for each
    map.
    """

    groups: int
    weight: Tensor | None = None
    bias: Tensor | None = None
    eps: float = 1e-5

    overwrites = True


@dataclass(frozen=True, eq=False)
class InstanceNorm(Operation):
    """Each map to mean 0 and deviation 1, then a factor and a shift for each map."""

    weight: Tensor | None = None
    bias: Tensor | None = None
    eps: float = 1e-5

    overwrites = True


@dataclass(frozen=True, eq=False)
class LayerNorm(Operation):
    """All values to mean 0 and deviation 1, then a factor and a shift for each value."""

    weight: Tensor | None = None
    bias: Tensor | None = None
    eps: float = 1e-5

    overwrites = True


@dataclass(frozen=True, eq=False)
class Relu(Operation):
    """Values below 0 become 0."""

    overwrites = True


@dataclass(frozen=True, eq=False)
class LeakyRelu(Operation):
    """Values below 0 are multiplied by ``slope``."""

    slope: float = 0.01

    overwrites = True


@dataclass(frozen=True, eq=False)
class PRelu(Operation):
    """Values below 0 are multiplied by a weight: one, or one for each map."""

    slopes: Tensor

    overwrites = True


@dataclass(frozen=True, eq=False)
class Silu(Operation):
    """Each value times its own sigmoid."""

    overwrites = True


@dataclass(frozen=True, eq=False)
class Sigmoid(Operation):
    """The logistic function of each value."""


@dataclass(frozen=True, eq=False)
class Tanh(Operation):
    """The hyperbolic tangent of each value."""


@dataclass(frozen=True, eq=False)
class Multiply(Operation):
    """A product with a constant: one number, or weights."""

    by: Tensor

    overwrites = True


@dataclass(frozen=True, eq=False)
class Add(Operation):
    """A sum with a constant: one number, or weights."""

    by: Tensor

    overwrites = True


def make_constant(number: Tensor | float) -> Tensor:
    """A number as the tensor of one; weights as they are."""
    if isinstance(number, Tensor):
        return number
    return torch.tensor(float(number))


@dataclass(frozen=True, eq=False)
class MultiplyValues(Operation):
    """The products of two inputs, value by value."""

    overwrites = True


@dataclass(frozen=True, eq=False)
class AddValues(Operation):
    """The sums of two inputs, value by value."""

    overwrites = True


@dataclass(frozen=True, eq=False)
class MaxPool(Operation):
    """The largest value of each window, which reads nothing where it stands out."""

    kernel: RowsColumns
    strides: RowsColumns
    padding: RowsColumns = NONE_EACH
    dilation: RowsColumns = ONE_EACH


@dataclass(frozen=True, eq=False)
class MeanPool(Operation):
    """The mean of each window, none of which stands out."""

    kernel: RowsColumns
    strides: RowsColumns

    @property
    def is_tiled(self) -> bool:
        """Whether the windows lie side by side, and are squares or of one row."""
        rows, columns = self.kernel
        return self.kernel == self.strides and rows in (1, columns)


@dataclass(frozen=True, eq=False)
class MeanOfMaps(Operation):
    """The mean of each map."""


@dataclass(frozen=True, eq=False)
class Pad(Operation):
    """``front`` maps, ``top`` rows and ``left`` columns before what comes in, and as
    many behind as the output has room for; negative ones are cut off.

    They repeat the edge, or are all ``value``.
    """

    front: int = 0
    top: int = 0
    left: int = 0
    value: float = 0.0
    repeats_edge: bool = False


@dataclass(frozen=True, eq=False)
class Slice(Operation):
    """The values from the ``first`` on along ``dimension``, where maps are dimension
    1 and the batch is dimension 0.
    """

    dimension: int
    first: int


@dataclass(frozen=True, eq=False)
class Concat(Operation):
    """The maps of all inputs, one after the other."""


@dataclass(frozen=True, eq=False)
class Other(Operation):
    """An operation of a module that no layers describe, known by its ``name`` alone.

    ``macs`` are its multiply-accumulates, ``alternative`` is what could stand in its
    place, and empty where that is not known.
    """

    name: str
    alternative: str = ""
    macs: int = 0
