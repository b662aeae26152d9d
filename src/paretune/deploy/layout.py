"""The meaning of the numbers of an image, in the words that a card and a C program
need.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import starmap

from paretune.data.signals import ValueRange
from paretune.deploy.c_input import DEFAULT_INPUT, CInput, Numbers
from paretune.deploy.c_text import as_string, in_comment
from paretune.layers.types import Shape

PLANES = {1: "grey", 3: "red, green, blue"}


@dataclass(frozen=True)
class Layout:
    """An image is ``channels`` planes of ``height`` rows of ``width`` values, which lie
    in the order of ``c_input``.

    ``is_ink`` has bright ink on a dark ground, as MNIST. ``class_names`` are in the
    order of the logits. A signal has the range of ``values`` that is 0 to 1.
    """

    channels: int
    height: int
    width: int
    is_ink: bool
    class_names: Sequence[str]
    values: ValueRange | None = None
    c_input: CInput = DEFAULT_INPUT

    @property
    def shape(self) -> Shape:
        """Channels, height and width."""
        return self.channels, self.height, self.width

    @property
    def size(self) -> int:
        """Numbers of an image."""
        return self.c_input.count_numbers(self.shape)

    @property
    def range(self) -> str:
        """What the numbers are, in words."""
        if self.c_input.is_packed:
            return "RGB565: red in the upper 5 bits, green in 6, blue in the lower 5"
        if self.c_input.numbers is Numbers.FLOATS:
            return f"0 to 1{self.ground}"
        return f"0 to 255{self.ground}"

    @property
    def order(self) -> str:
        """The order of the values, in words."""
        if self.values:
            return self._signal_order
        rows = f"row by row from the top ({self.height} rows of {self.width})"
        if self.channels == 1:
            return f"grey, {rows}"
        if self.c_input.is_packed:
            return f"pixel after pixel, {rows}"
        planes = PLANES.get(self.channels, "in the order of the training images")
        if self.c_input.is_planar:
            return f"channel after channel ({planes}), each {rows}"
        return f"the channels of each pixel side by side ({planes}), {rows}"

    @property
    def _signal_order(self) -> str:
        values = f"{self.width} values in their order"
        if self.channels == 1:
            return values
        if self.c_input.is_planar:
            return f"{self.channels} channels one after another, each {values}"
        return f"{values}, the {self.channels} channels of each side by side"

    @property
    def ground(self) -> str:
        """The meaning of 0 and 1, where it matters, in words behind a comma."""
        if self.values:
            return f", which are the signal's values {self.values}"
        return ", white on black" if self.is_ink else ""

    @property
    def index(self) -> str:
        """Where a value is, as C has it."""
        if self.channels == 1 or self.c_input.is_packed:
            return f"row * {self.width} + column"
        if self.c_input.is_planar:
            return f"(channel * {self.height} + row) * {self.width} + column"
        return f"(row * {self.width} + column) * {self.channels} + channel"

    @property
    def classes(self) -> str:
        """The classes by their numbers, on one line."""
        return ", ".join(
            f"{number} {json.dumps(name, ensure_ascii=False)}"
            for number, name in enumerate(self.class_names)
        )

    @property
    def c_names(self) -> list[str]:
        """The names as strings of C, each behind a comment with its number, and with
        the name where its string is not readable.
        """
        return list(starmap(_write_numbered, enumerate(self.class_names)))


def _write_numbered(number: int, name: str) -> str:
    string = as_string(name)
    is_readable = string == f'"{name}"'
    comment = f"{number}" if is_readable else f"{number}: {in_comment(name)}"
    return f"/* {comment} */ {string}"
