"""Values that the operations of a program read and write, and where they lie in the
memory of a block of images.
"""

from dataclasses import dataclass
from math import prod

# Images of a block.
LANES = 16
# Maps, rows and columns.
MapShape = tuple[int, int, int]


@dataclass(eq=False, slots=True)
class Gradient:
    """The gradient of a value: ``floats`` of a block, ``at`` so many from its start.

    ``at`` is known once all operations are: see
    :func:`paretune.batch_last.memory.place_gradients`.
    """

    floats: int
    at: int = -1


@dataclass(eq=False, slots=True)
class Value:
    """The output of an operation: ``shape`` numbers of each image, ``at`` so many
    floats from the start of a block.

    ``gradient`` is ``None`` where nothing before the value is trained; a part of a
    concatenation is ``gradient_offset`` floats behind the start of the whole's.
    ``maker`` is the number of the convolution or norm that made the value, if that can
    take over the ReLU that follows.
    """

    shape: MapShape
    at: int
    gradient: Gradient | None = None
    gradient_offset: int = 0
    maker: int | None = None
    is_read: bool = False

    @property
    def maps(self) -> int:
        """Number of maps."""
        return self.shape[0]

    @property
    def gradient_at(self) -> int:
        """Where the gradient is in a block, in floats; -1 if there is none."""
        if self.gradient is None:
            return -1
        return self.gradient.at + self.gradient_offset

    @property
    def is_trained(self) -> bool:
        """Whether something before the value is trained."""
        return self.gradient is not None


def count_floats(shape: MapShape) -> int:
    """Floats that a value takes in a block."""
    return prod(shape) * LANES
