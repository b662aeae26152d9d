"""What a C program takes: in which order the numbers of an image lie, and what they are."""

from dataclasses import dataclass
from enum import StrEnum

from paretune.errors import ConfigError, ExportError
from paretune.layers.types import Shape


class Order(StrEnum):
    """In which order the numbers of an image lie."""

    CHW = "chw"  # channel after channel
    HWC = "hwc"  # the channels of each pixel side by side
    RGB565 = "rgb565"  # one number of 16 bits a pixel


class Numbers(StrEnum):
    """What the numbers of an image are."""

    PIXELS = "pixels"  # 0 to 255
    FLOATS = "floats"  # 0 to 1


@dataclass(frozen=True)
class CInput:
    """The order of an image's numbers, and what they are.

    Raises :class:`~paretune.errors.ConfigError` for floats in RGB565.
    """

    order: Order = Order.CHW
    numbers: Numbers = Numbers.PIXELS

    def __post_init__(self) -> None:
        if self.is_packed and self.numbers is Numbers.FLOATS:
            raise ConfigError(
                "--input-layout `rgb565` holds whole pixels, and --input `floats` "
                "others; leave out --input, or choose the layout chw or hwc"
            )

    @property
    def is_packed(self) -> bool:
        """Whether one number holds all channels of a pixel."""
        return self.order is Order.RGB565

    @property
    def is_planar(self) -> bool:
        """Whether each row of a channel lies alone."""
        return self.order is Order.CHW

    @property
    def dtype(self) -> str:
        """The type of a number, as numpy calls it."""
        if self.is_packed:
            return "uint16"
        return "uint8" if self.numbers is Numbers.PIXELS else "float32"

    @property
    def ctype(self) -> str:
        """The type of a number in C."""
        if self.numbers is Numbers.FLOATS:
            return "float"
        return f"{self.dtype}_t"

    def count_numbers(self, shape: Shape) -> int:
        """Numbers of an image of this ``shape`` ``(C, H, W)``."""
        channels, height, width = shape
        return height * width if self.is_packed else channels * height * width

    def find_line(self, shape: Shape) -> str:
        """Where a row of a channel begins in an image ``(C, H, W)``, as C has it."""
        channels, height, width = shape
        if self.is_planar:
            return f"(channel * {height} + row) * {width}"
        if self.is_packed:
            return f"row * {width}"
        return f"row * {channels * width} + channel"

    def find_step(self, channels: int) -> int:
        """From a pixel of a row to the next one, in numbers."""
        return channels if self.order is Order.HWC else 1

    def require_shape(self, shape: Shape, *, is_signal: bool = False) -> None:
        """Raise :class:`~paretune.errors.ExportError` for images ``(C, H, W)`` that
        have no such form.
        """
        is_picture = shape[0] == len(BITS) and not is_signal
        if self.is_packed and not is_picture:
            what = "signals" if is_signal else PICTURES.get(shape[0], "other pictures")
            raise ExportError(
                "--input-layout `rgb565` is for pictures in red, green and blue, and "
                f"the model takes {what}; choose chw or hwc"
            )


DEFAULT_INPUT = CInput()  # that of the ONNX file, as bytes

PICTURES = {1: "grey pictures"}  # what those are that are not in colours
# Of RGB565, from where on and how many.
BITS = {"red": (11, 5), "green": (5, 6), "blue": (0, 5)}
