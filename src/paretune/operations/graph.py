"""A network as operations on one image, in order."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod

from paretune.layers.types import Shape
from paretune.memory import Buffer, MemoryUse, find_buffers
from paretune.operations.types import (
    Add,
    Conv,
    Linear,
    Multiply,
    Operation,
    Other,
    make_constant,
)

IMAGE = "image"  # the value that comes in
MULTIPLIED = "image_multiplied"
SCALED = "image_scaled"


@dataclass(frozen=True)
class Node:
    """The value ``output`` becomes ``operation`` of the values ``inputs``.

    ``shape`` is the output's, for one image. ``layer`` is the name of the module that
    computes it, as ``named_modules`` has it.
    """

    operation: Operation
    inputs: tuple[str, ...]
    output: str
    shape: Shape
    layer: str = ""

    @property
    def size(self) -> int:
        """Number of values of the output."""
        return prod(self.shape)

    @property
    def macs(self) -> int:
        """Multiply-accumulates: of convolutions, dense layers, products of matrices."""
        match self.operation:
            case Conv(weight=weight) | Linear(weight=weight):
                return self.size * weight[0].numel()
            case Other(macs=macs):
                return macs
            case _:
                return 0


@dataclass(frozen=True)
class Graph:
    """The nodes in order; ``shapes`` of every value by name, the image included."""

    nodes: tuple[Node, ...]
    shapes: Mapping[str, Shape]

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference."""
        return sum(node.macs for node in self.nodes)

    @property
    def stored(self) -> int:
        """Numbers that have to be kept for an inference, shared ones once."""
        sizes: dict[int, int] = {}
        for node in self.nodes:
            for tensor in node.operation.find_stored():
                sizes[id(tensor)] = tensor.numel()
        return sum(sizes.values())


def make_graph(nodes: list[Node], image_shape: Shape) -> Graph:
    """The graph of these nodes on an image ``(C, H, W)``."""
    shapes = {IMAGE: image_shape}
    for node in nodes:
        shapes[node.output] = node.shape
    return Graph(tuple(nodes), shapes)


def scale_image(graph: Graph, factor: float, shift: float) -> Graph:
    """A graph that takes images which ``graph`` takes times ``factor`` plus
    ``shift``.
    """
    image_shape = graph.shapes[IMAGE]
    scaling = [
        Node(Multiply(make_constant(factor)), (IMAGE,), MULTIPLIED, image_shape),
        Node(Add(make_constant(shift)), (MULTIPLIED,), SCALED, image_shape),
    ]
    nodes = [_read_scaled(node) for node in graph.nodes]
    return make_graph([*scaling, *nodes], image_shape)


def _read_scaled(node: Node) -> Node:
    inputs = [SCALED if value == IMAGE else value for value in node.inputs]
    return replace(node, inputs=tuple(inputs))


def find_graph_buffers(graph: Graph, *, with_image: bool = True) -> list[Buffer]:
    """The places that an inference needs: see :func:`paretune.memory.find_buffers`."""
    uses = [
        MemoryUse(node.inputs, node.output, node.size, node.operation.overwrites)
        for node in graph.nodes
    ]
    return find_buffers(uses, IMAGE, prod(graph.shapes[IMAGE]), with_image=with_image)
