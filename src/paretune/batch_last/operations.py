"""The operations of a program, and the table of them that the kernels read: the struct
``Op`` of ``kernels/op.h``.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np
from torch import Tensor

from paretune.batch_last.values import Value

Table = np.ndarray[Any, np.dtype[np.void]]


class Kind(IntEnum):
    """The kinds of operations; the numbers are those of ``kernels/op.h``."""

    CONVOLUTION = 0
    DEPTHWISE = 1
    ACTIVATION = 2
    BATCH_NORM = 3
    AFFINE = 4
    GROUP_NORM = 5
    MAX_POOL = 6
    MEAN = 7
    DROPOUT = 8
    PAD = 9
    REPEAT = 10
    MEAN_POOL = 11


class Curve(IntEnum):
    """The function of an activation; the numbers are those of ``kernels/op.h``."""

    LEAKY = 0
    SILU = 1
    PRELU = 2


@dataclass(frozen=True, slots=True)
class Window:
    """The pixels that a kernel or a pool sees, the zeros around the input, and how far
    it moves.
    """

    rows: int = 1
    columns: int = 1
    pad_rows: int = 0
    pad_columns: int = 0
    stride: int = 1

    def slide(self, x: Value) -> tuple[int, int]:
        """Rows and columns that come out of ``x``."""
        _, rows, columns = x.shape
        rows += 2 * self.pad_rows
        columns += 2 * self.pad_columns
        row_steps = (rows - self.rows) // self.stride
        column_steps = (columns - self.columns) // self.stride
        return row_steps + 1, column_steps + 1


@dataclass(frozen=True, slots=True)
class Tensors:
    """The tensors of an operation beside its input; ``packed`` and ``flipped`` are room
    for the kernels.
    """

    weight: Tensor | None = None
    bias: Tensor | None = None
    running_mean: Tensor | None = None
    running_var: Tensor | None = None
    packed: Tensor | None = None
    flipped: Tensor | None = None

    def present(self) -> Iterator[tuple[str, Tensor]]:
        """Those that there are, with their names."""
        for name in TENSORS:
            tensor = getattr(self, name)
            if tensor is not None:
                yield name, tensor


@dataclass(slots=True)
class Operation:
    """An operation from ``x`` to ``y``; the other fields are those of the struct, where
    what they mean is said.
    """

    kind: Kind
    x: Value
    y: Value
    window: Window = Window()
    tensors: Tensors = field(default_factory=Tensors)
    weight_at: int = -1
    bias_at: int = -1
    kernels: int = 1
    curve: Curve = Curve.LEAKY
    groups: int = 1
    per_map: bool = False
    drops_maps: bool = False
    scratch: int = 0
    eps: float = 0.0
    momentum: float = 0.0
    rate: float = 0.0
    filling: float = 0.0
    slope: float = 1.0


ARRAY_NAMES = ("x", "y", "dx", "dy")
SHAPES = ("maps", "rows", "columns", "out_maps", "out_rows", "out_columns")
WINDOW = ("kernel_rows", "kernel_columns", "pad_rows", "pad_columns", "stride")
CHOICES = ("kernels", "curve", "groups", "per_map", "drops_maps")
POSITIONS = ("scratch", "weight_at", "bias_at")
NUMBERS = ("eps", "momentum", "rate", "filling", "slope")
TENSORS = ("weight", "bias", "running_mean", "running_var", "packed", "flipped")
WHOLE = ("kind", *ARRAY_NAMES, *SHAPES, *WINDOW, *CHOICES, "seed", *POSITIONS)

RECORD = np.dtype(
    [(name, "i8") for name in WHOLE]
    + [(name, "f8") for name in NUMBERS]
    + [(name, "i8") for name in TENSORS]
)


def encode(operations: Sequence[Operation]) -> Table:
    """The table of ``operations``, but for the addresses of tensors and the seeds,
    which each pass writes.
    """
    table = np.zeros(len(operations), dtype=RECORD)
    for row, operation in enumerate(operations):
        record = table[row : row + 1]
        _write_values(record, operation.x, operation.y)
        _write_window(record, operation.window)
        for name in ("kind", *CHOICES, *POSITIONS, *NUMBERS):
            record[name] = getattr(operation, name)
    return table


def _write_values(record: Table, x: Value, y: Value) -> None:
    record["x"] = x.at
    record["y"] = y.at
    record["dx"] = x.gradient_at
    record["dy"] = y.gradient_at
    for name, size in zip(SHAPES, (*x.shape, *y.shape), strict=True):
        record[name] = size


def _write_window(record: Table, window: Window) -> None:
    record["kernel_rows"] = window.rows
    record["kernel_columns"] = window.columns
    record["pad_rows"] = window.pad_rows
    record["pad_columns"] = window.pad_columns
    record["stride"] = window.stride
