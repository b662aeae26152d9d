"""Calls of the C functions that compute in floats, one operation after the other."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite, prod

from torch import Tensor

from paretune.deploy.c_arguments import (
    Argument,
    find_arguments,
    find_function,
)
from paretune.deploy.c_text import CArray, wrap_numbers
from paretune.deploy.refusals import require_known
from paretune.memory import MemoryPlan
from paretune.operations import Graph, Node
from paretune.operations import types as ops

COPY = "cat"  # the function that copies values from place to place
# The functions that take a row of an image, and of one that is pooled.
IMAGE_ROW = "image"
POOLED_ROW = "squares"


@dataclass
class Calls:
    """Writes calls; the weights that they need gather in ``weights`` by their names,
    each once, the functions in ``used``. In calls the names begin with ``NAME_``.
    """

    graph: Graph
    memory: MemoryPlan
    weights: dict[str, Tensor] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    def write(self, node: Node) -> list[str]:
        """The calls of one operation.

        Raises :class:`~paretune.errors.ExportError` for one that has no function, or
        settings that its function does not know.
        """
        match node.operation:
            case ops.Concat():
                return self._write_concat(node)
            case ops.Slice(dimension=1, first=first):
                return [self._write_slice_of_maps(node, first)]
            case _:
                return [self._write_operation(node)]

    def write_intake(self) -> tuple[str, str]:
        """The function that does the first operation to a row of the image, and its
        arguments behind the row: it pools the image, or multiplies it.
        """
        node = self.graph.nodes[0]
        _, *sides = node.shape
        words = [self._place(node.output), *sides]
        if isinstance(node.operation, ops.Multiply):
            function = IMAGE_ROW
            words.append(write_number(float(node.operation.by.item())))
        else:
            function = POOLED_ROW
            words += self.graph.pool_window
        self.used.add(function)
        return function, ", ".join(map(str, words))

    def _write_concat(self, node: Node) -> list[str]:
        """Maps lie one after the other: each input is copied behind the one before."""
        lines = []
        start = 0
        for value in node.inputs:
            size = prod(self.graph.shapes[value])
            target = f"{self._place(node.output)} + {start}"
            lines.append(self._write_call(COPY, [self._place(value), target, size]))
            start += size
        return lines

    def _write_slice_of_maps(self, node: Node, first: int) -> str:
        [source] = node.inputs
        _, *sides = self.graph.shapes[source]
        start = f"{self._place(source)} + {first * prod(sides)}"
        target = self._place(node.output)
        return self._write_call(COPY, [start, target, node.size])

    def _write_operation(self, node: Node) -> str:
        function = find_function(node.operation)
        shapes = [self.graph.shapes[value] for value in node.inputs]
        is_alike = len(set(shapes)) == 1
        require_known(is_alike, f"{function} of {shapes}", "equal shapes")
        places = map(self._place, (*node.inputs, node.output))
        arguments = find_arguments(node, shapes[0])
        words = map(self._write_argument, arguments)
        return self._write_call(function, [*places, *words])

    def _write_call(self, function: str, words: Sequence[str | int]) -> str:
        self.used.add(function)
        return f"{function}({', '.join(map(str, words))});"

    def _place(self, value: str) -> str:
        return f"memory + {self.memory.offsets[value]}"

    def _write_argument(self, argument: Argument) -> str:
        if argument is None:
            return "0"
        if not isinstance(argument, Tensor):
            return write_number(argument)
        for label, tensor in self.weights.items():
            if tensor is argument:
                return f"NAME_{label}"
        label = f"w{len(self.weights)}"
        self.weights[label] = argument
        return f"NAME_{label}"

    def describe_weights(self) -> dict[str, CArray]:
        """The weights as the template shows them."""
        described = {}
        for label, tensor in self.weights.items():
            numbers = map(write_number, tensor.reshape(-1).tolist())
            described[label] = CArray("float", tensor.numel(), wrap_numbers(numbers))
        return described


def write_number(value: float) -> str:
    """A number as a C constant, exact to the last bit of a float."""
    if isinstance(value, int):
        return str(value)
    if not isfinite(value):
        return "INFINITY" if value > 0 else "-INFINITY"
    digits = f"{value:.9g}"
    if re.search(r"[.e]", digits):
        return f"{digits}f"
    return f"{digits}.0f"
