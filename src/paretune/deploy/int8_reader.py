"""The steps and the whole constants of a quantised ONNX file, put beside the operations
that it was written from.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import GraphProto, NodeProto, numpy_helper

from paretune.deploy.int8_network import (
    Constant,
    Int8Node,
    Joined,
    Quantised,
    Steps,
    WholeConstant,
    round_to_float,
)
from paretune.deploy.onnx_file import LOGITS, ConstantPlaces
from paretune.deploy.onnx_node_writer import name_sigmoid
from paretune.deploy.onnx_nodes import RESHAPE_NODES
from paretune.deploy.quantise import ROUNDING_NODES
from paretune.operations import IMAGE, Graph, Node, take_pooled
from paretune.operations import types as ops
from paretune.operations.graph import SCALED

Arrays = Mapping[str, NDArray[Any]]
SAME_VALUES = (*ROUNDING_NODES, *RESHAPE_NODES)
UINT8_OFFSET = 128  # the file has activations from 0 to 255


def read_int8(path: Path, graph: Graph, places: ConstantPlaces) -> Quantised:
    """The network that :func:`~paretune.deploy.quantise.quantise` wrote of ``graph``,
    whose images are scaled, to ``path``; ``places`` are those of its constants.
    """
    file = _read_file(path)
    steps = _name_ends(file, graph)
    nodes = _Nodes(steps)
    pooled = take_pooled(graph)
    for node in pooled.nodes:
        nodes.add(_read_node(node, file, places))
    shape = pooled.shapes[IMAGE]
    return Quantised(tuple(nodes.nodes), shape, steps, graph.pool_window)


@dataclass
class _Nodes:
    """The nodes so far, and their numbers by what they give."""

    steps: Mapping[str, Steps]
    nodes: list[Int8Node] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)

    def add(self, node: Int8Node) -> None:
        """Add a node, or make it a part of the one whose values it takes before they
        are rounded.
        """
        source = node.inputs[0]
        number = self.numbers.get(source)
        if number is not None and source not in self.steps:
            joined = _join(self.nodes[number], node)
            if joined:
                self.nodes[number] = joined
                self.numbers[node.output] = number
                return
        self.numbers[node.output] = len(self.nodes)
        self.nodes.append(node)


def name_unknown(graph: Graph) -> Quantised:
    """A network that has an operation without a type: what the file makes of its values
    is not known.
    """
    others = [node for node in graph.nodes if isinstance(node.operation, ops.Other)]
    last = graph.nodes[-1]
    reshapes = replace(last, operation=ops.Other("reshapes between layers"))
    unknown = others[0] if others else reshapes
    node = _read_node(unknown, EMPTY_FILE, {})
    return Quantised((node,), graph.shapes[IMAGE], {})


def _name_ends(file: "_File", graph: Graph) -> dict[str, Steps]:
    """The steps with those of the scaled image, and of logits that are rounded, by the
    names that they have in the graph.
    """
    logits = file.roots.get(LOGITS, LOGITS)
    names = {SCALED: IMAGE, logits: graph.nodes[-1].output}
    steps: dict[str, Steps] = {}
    for value, of_value in file.steps.items():
        steps[names.get(value, value)] = of_value
    return steps


@dataclass(frozen=True)
class _File:
    """The content of a quantised file, by name: ``roots`` are what values are in other
    numbers or shapes, ``steps`` are those of roots.
    """

    roots: Mapping[str, str]
    steps: Mapping[str, Steps]
    constants: Mapping[str, Constant]
    nodes: Mapping[str, NodeProto]


EMPTY_FILE = _File({}, {}, {}, {})


def _read_file(path: Path) -> _File:
    graph = onnx.load(str(path)).graph
    arrays = {
        tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer
    }
    roots = _find_roots(graph)
    steps: dict[str, Steps] = {}
    for node in graph.node:
        if node.op_type == "QuantizeLinear":
            scale, zero = (arrays[name] for name in node.input[1:])
            root = roots[node.output[0]]
            steps[root] = Steps(float(scale), int(zero) - UINT8_OFFSET)
    constants: dict[str, Constant] = {**arrays}
    constants.update(_read_whole_constants(graph, arrays))
    return _File(roots, steps, constants, {node.name: node for node in graph.node})


def _find_roots(graph: GraphProto) -> dict[str, str]:
    """Of each value, the one that it is in other numbers or another shape."""
    roots: dict[str, str] = {}
    for node in graph.node:
        if node.op_type in SAME_VALUES:
            source = node.input[0]
            roots[node.output[0]] = roots.get(source, source)
    return roots


def _read_whole_constants(
    graph: GraphProto, arrays: Arrays
) -> dict[str, WholeConstant]:
    """The constants that are stored in whole numbers, by the names of their reals."""
    constants: dict[str, WholeConstant] = {}
    for node in graph.node:
        is_stored = all(name in arrays for name in node.input)
        if node.op_type == "DequantizeLinear" and is_stored:
            values, scale, zeros = (arrays[name] for name in node.input)
            # Each channel has the zero 0.
            zero = zeros.astype(np.int64).min()
            whole = values.astype(np.int64) - zero
            constants[node.output[0]] = WholeConstant(whole, scale)
    return constants


def _read_node(node: Node, file: _File, places: ConstantPlaces) -> Int8Node:
    constants: dict[str, Constant] = {}
    for part, place in places.get(node.output, {}).items():
        reader = file.nodes[place.node]
        constants[part] = file.constants[reader.input[place.number]]
    return Int8Node(
        node.operation,
        node.inputs,
        node.output,
        node.shape,
        node.layer,
        constants,
        sigmoid=file.steps.get(name_sigmoid(node.output)),
    )


def _join(maker: Int8Node, follower: Int8Node) -> Int8Node | None:
    """The node that made a value which is not rounded, with what follows as its part;
    ``None`` if that cannot be a part.
    """
    joined = _add_part(maker.joined, follower)
    if joined is None:
        return None
    return replace(maker, joined=joined, output=follower.output)


def _add_part(joined: Joined, follower: Int8Node) -> Joined | None:
    match follower.operation:
        case ops.Relu():
            return joined  # rounded values end at the bounds by themselves
        case ops.LeakyRelu(slope=slope):
            return replace(joined, slope=round_to_float(slope))
        case ops.Multiply():
            return replace(joined, factor=follower.constants["weight"])
        case ops.Add():
            return replace(joined, added=follower.constants["bias"])
        case _:
            return None
