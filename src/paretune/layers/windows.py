"""The windows of layers: how many rows and columns each sees, skips and adds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from paretune.layers.types import (
    Conv,
    Depthwise,
    Layer,
    Layers,
    MaxPool,
    MeanPool,
    PadEnd,
    Parallel,
    Repeat,
)

RowsColumns = tuple[int, int]
Windowed = Conv | Depthwise | MaxPool | MeanPool
HEIGHT_OF_SIGNAL = 1


@dataclass(frozen=True, slots=True)
class Window:
    """A window of ``kernel`` rows and columns, ``strides`` apart, on maps with
    ``padding`` zeros on each side.
    """

    kernel: RowsColumns
    strides: RowsColumns
    padding: RowsColumns = (0, 0)

    @property
    def words(self) -> str:
        """Rows and columns, such as ``3x3``."""
        rows, columns = self.kernel
        return f"{rows}x{columns}"


def is_signal(image_shape: Sequence[int]) -> bool:
    """Whether images ``(C, H, W)`` are signals."""
    return image_shape[1] == HEIGHT_OF_SIGNAL


def find_window(layer: Windowed) -> Window:
    """The window of a layer. A flat one has one row, and adds none."""
    match layer:
        case Conv() | Depthwise():
            return _make_window(layer, layer.kernel, layer.stride, layer.padding)
        case MaxPool():
            return _make_window(layer, layer.size, layer.stride, 0)
        case MeanPool():
            return _make_window(layer, layer.size, layer.size, 0)


def _make_window(layer: Windowed, kernel: int, stride: int, padding: int) -> Window:
    if layer.is_flat:
        return Window((1, kernel), (1, stride), (0, padding))
    return Window((kernel, kernel), (stride, stride), (padding, padding))


def count_taps(layer: Conv | Depthwise) -> int:
    """The numbers of a kernel of one map."""
    if layer.is_flat:
        return layer.kernel
    return layer.kernel * layer.kernel


def flatten_windows(layers: Layers) -> Layers:
    """``layers`` of images as those of signals: all windows have one row."""
    return tuple(map(_flatten, layers))


def _flatten(layer: Layer) -> Layer:
    match layer:
        case Conv() | Depthwise() | MaxPool() | MeanPool() | PadEnd():
            return replace(layer, is_flat=True)
        case Repeat():
            steps = tuple(map(flatten_windows, layer.steps))
            return Repeat(flatten_windows(layer.shared), steps)
        case Parallel():
            return Parallel(tuple(map(flatten_windows, layer.branches)))
        case _:
            return layer
