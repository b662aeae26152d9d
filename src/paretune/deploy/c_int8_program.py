"""A program in whole numbers while it is written: its constants, the functions that it
uses, and the places and the steps of its values.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field
from math import prod

from paretune.deploy.c_int8_constants import Constants
from paretune.deploy.fixed_point import SLOPE_BITS, find_factor
from paretune.deploy.int8_network import Int8Node, Quantised, Steps
from paretune.deploy.refusals import INT8_C, refuse, require_known
from paretune.layers.types import Shape
from paretune.memory import MemoryPlan

COPY = "cat"  # the function that copies values from place to place


def require_int8(is_known: bool, operation: str, alternative: str) -> None:
    """Raise :class:`~paretune.errors.ExportError` about an ``operation`` that has no
    form in whole numbers.
    """
    require_known(is_known, operation, alternative, INT8_C)


@dataclass
class Int8Program:
    """Writes calls; the constants that they need gather in ``constants``, the functions
    in ``used``.

    Names of constants begin with ``NAME_``. ``logit_scale`` is the step of the logits,
    once they are written.
    """

    network: Quantised
    plan: MemoryPlan
    constants: Constants = field(default_factory=Constants)
    used: set[str] = field(default_factory=set)
    logit_scale: float = 1.0

    def find_place(self, value: Hashable) -> str:
        """Where a value lies."""
        return f"memory + {self.plan.offsets[value]}"

    def find_shape(self, node: Int8Node) -> Shape:
        """The shape of the first input."""
        return self.network.shapes[node.inputs[0]]

    def find_maps(self, node: Int8Node) -> tuple[int, int]:
        """Maps of the first input, and values of each."""
        maps, *sides = self.find_shape(node)
        return maps, prod(sides)

    def find_steps(self, value: str) -> Steps:
        """The steps of a value. Raises :class:`~paretune.errors.ExportError` for one
        that is not rounded.
        """
        if value not in self.network.steps:
            problem = f"value `{value}` is not rounded to int8, and cannot be read in C"
            refuse(problem, "begin with a convolution or a dense layer", INT8_C)
        return self.network.steps[value]

    def find_change(self, node: Int8Node) -> tuple[Steps, Steps]:
        """The steps of the first input, and those of the output."""
        given = self.find_steps(node.inputs[0])
        made = self.find_steps(node.output)
        return given, made

    def write_call(self, function: str, node: Int8Node, *arguments: int | str) -> str:
        """The call of a function that gives int8."""
        self.used.add(function)
        sources = map(self.find_place, node.inputs)
        target = self.find_place(node.output)
        return _format_call(function, *sources, target, *arguments)

    def write_logits(self, function: str, node: Int8Node, *arguments: int | str) -> str:
        """The call of a function whose sums are the logits."""
        function = f"{function}_sums"
        self.used.add(function)
        sources = map(self.find_place, node.inputs)
        return _format_call(function, *sources, "logits", *arguments)

    def write_copy(
        self, source: str, target: str, size: int, given: Steps, made: Steps
    ) -> str:
        """The call that copies values from place to place, from the steps of one value
        to those of another.
        """
        self.used.add(COPY)
        zeros = (given.zero, made.zero)
        factor = find_factor(given.scale / made.scale)
        return _format_call(COPY, source, target, size, *zeros, *factor)


def _format_call(function: str, *arguments: int | str) -> str:
    words = ", ".join(map(str, arguments))
    return f"{function}({words});"


def write_slope(node: Int8Node) -> int:
    """The slope of an operation below 0, in 1/2^24."""
    is_small = abs(node.slope) < 2
    operation = f"leaky_relu with a slope of {node.slope:g}"
    require_int8(is_small, operation, "one between -2 and 2")
    return round(node.slope * (1 << SLOPE_BITS))
