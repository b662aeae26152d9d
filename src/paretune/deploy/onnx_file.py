"""An ONNX file while it is written: nodes, and constants by name."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from torch import Tensor

from paretune.layers.types import Shape
from paretune.operations import IMAGE

IR_VERSION = 10
OPSET = 20
IMAGES = "images"  # what comes in
LOGITS = "logits"  # what goes out


@dataclass(frozen=True)
class ConstantPlace:
    """A constant in a file: input ``number`` of a ``node``."""

    node: str
    number: int


# By what it gives, the constants of an operation by the parts that they play.
ConstantPlaces = Mapping[str, Mapping[str, ConstantPlace]]


@dataclass
class OnnxFile:
    """Nodes in order, and constants; equal names never stand for two things.

    A node's name is ``LAYER/OPERATION_NUMBER``; a weight's is ``LAYER.PART``, as in the
    network. ``names`` are those of weights by their identity and shape: shared ones are
    stored once.
    """

    image_shape: Shape
    classes: int
    nodes: list[NodeProto] = field(default_factory=list)
    constants: dict[str, NDArray[Any]] = field(default_factory=dict)
    names: dict[tuple[int, Shape], str] = field(default_factory=dict)
    taken: Counter[str] = field(default_factory=Counter)
    places: dict[str, dict[str, ConstantPlace]] = field(default_factory=dict)

    def add_node(
        self,
        layer: str,
        kind: str,
        inputs: Sequence[str],
        output: str,
        **attributes: Any,
    ) -> str:
        """Add a node of ONNX's operation ``kind``; returns its name."""
        node = helper.make_node(kind, list(inputs), [output], **attributes)
        node.name = f"{layer}/{kind}_{len(self.nodes)}"
        self.nodes.append(node)
        return str(node.name)

    def add_weight(
        self, name: str, weight: Tensor, shape: Sequence[int] | None = None
    ) -> str:
        """Store a weight in this shape, if it is not stored yet; returns its name."""
        shape = tuple(weight.shape if shape is None else shape)
        key = (id(weight), shape)
        if key not in self.names:
            array = weight.detach().float().numpy().reshape(shape)
            self.names[key] = self.add_constant(name, array)
        return self.names[key]

    def add_constant(self, name: str, values: ArrayLike) -> str:
        """Store a constant under this name, or, if that is taken, a numbered one."""
        self.taken[name] += 1
        times = self.taken[name]
        unique = name if times == 1 else f"{name}_{times}"
        self.constants[unique] = np.asarray(values)
        return unique

    def to_model(self) -> ModelProto:
        """The file: a batch of any size of ``images`` to ``logits``."""
        initializers = [
            numpy_helper.from_array(np.ascontiguousarray(array), name)
            for name, array in self.constants.items()
        ]
        graph = helper.make_graph(
            self.nodes,
            "network",
            [_describe_value(IMAGES, self.image_shape)],
            [_describe_value(LOGITS, [self.classes])],
            initializers,
        )
        return helper.make_model(
            graph,
            ir_version=IR_VERSION,
            opset_imports=[helper.make_opsetid("", OPSET)],
            producer_name="paretune",
        )


def name_value(value: str) -> str:
    """The name that a value of a graph has in the file."""
    return IMAGES if value == IMAGE else value


def _describe_value(name: str, shape: Sequence[int]) -> Any:
    sides: list[str | int | None] = ["batch", *shape]
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, sides)
