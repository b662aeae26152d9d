"""The nodes of ONNX and the constants that one operation becomes."""

from collections.abc import Sequence
from typing import Any

from numpy.typing import ArrayLike
from torch import Tensor

from paretune.deploy.onnx_file import ConstantPlace, OnnxFile, name_value
from paretune.layers.types import Shape
from paretune.operations import Node

SIGMOID = "sigmoid"


class NodeWriter:
    """Adds nodes and constants of one operation to a file.

    ``inputs`` are the names of its values in the file, ``source`` that of the first one,
    which has ``shape_in``.
    """

    def __init__(self, file: OnnxFile, node: Node, shape_in: Shape) -> None:
        self.file = file
        self.node = node
        self.inputs = [name_value(value) for value in node.inputs]
        self.source = self.inputs[0]
        self.shape_in = shape_in
        # Of the operation's constants, by their names.
        self.parts: dict[str, str] = {}

    def finish(self, kind: str, inputs: Sequence[str], **attributes: Any) -> None:
        """Add the node that gives the operation's output."""
        self._add_node(kind, inputs, self.node.output, **attributes)

    def add(
        self, kind: str, inputs: Sequence[str], part: str, **attributes: Any
    ) -> str:
        """Add a node that gives a part of the way to the output; returns its name."""
        output = name_part(self.node.output, part)
        self._add_node(kind, inputs, output, **attributes)
        return output

    def _add_node(
        self, kind: str, inputs: Sequence[str], output: str, **attributes: Any
    ) -> None:
        """Add a node, and note where it has constants of the operation."""
        name = self.file.add_node(self.node.layer, kind, inputs, output, **attributes)
        places = self.file.places.setdefault(self.node.output, {})
        for number, value in enumerate(inputs):
            if value in self.parts:
                places[self.parts[value]] = ConstantPlace(name, number)

    def reshape(self, value: str, shape: Sequence[int], part: str) -> str:
        """Add a node that gives a value in another shape; returns its name."""
        shape_name = self.add_constant("shape", shape)
        return self.add("Reshape", [value, shape_name], part)

    def add_weight(self, part: str, weight: Tensor, shape: Shape | None = None) -> str:
        """Store a weight of the operation, which plays this ``part``; returns its
        name.
        """
        name = self.file.add_weight(self._name(part), weight, shape)
        self.parts[name] = part
        return name

    def add_constant(self, part: str, values: ArrayLike) -> str:
        """Store a constant of the operation, which plays this ``part``; returns its
        name.
        """
        name = self.file.add_constant(self._name(part), values)
        self.parts[name] = part
        return name

    def _name(self, part: str) -> str:
        return f"{self.node.layer or 'network'}.{part}"

    def find_shape_by_map(self, maps: int) -> Shape:
        """The shape of constants, one for each map, beside values of the input's."""
        ones = [1] * (len(self.shape_in) - 1)
        return maps, *ones


def name_sigmoid(value: str) -> str:
    """The name of the sigmoid within a silu that gives ``value``."""
    return name_part(value, SIGMOID)


def name_part(value: str, part: str) -> str:
    """The name of a value on the way to another one."""
    return f"{value}.{part}"
