"""A network as operations on one image, in order."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod

from paretune.layers.types import Shape
from paretune.memory import Buffer, MemoryUse, find_buffers
from paretune.operations.types import (
    ONE_EACH,
    Add,
    Conv,
    Linear,
    MeanPool,
    Multiply,
    Operation,
    Other,
    RowsColumns,
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
    def image_pool(self) -> Node | None:
        """The node that pools the image over windows side by side before anything else
        is done, if there is one.
        """
        return self.nodes[0] if self.pool_window != ONE_EACH else None

    @cached_property
    def pool_window(self) -> RowsColumns:
        """The rows and columns of the windows that the image is pooled over first; 1
        and 1 without.
        """
        match self.nodes:
            case (Node(operation=MeanPool(kernel=window, is_tiled=True)), *others):
                is_read_again = any(IMAGE in node.inputs for node in others)
                return ONE_EACH if is_read_again else window
            case _:
                return ONE_EACH

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

    An image that is pooled first is scaled behind its pool, where it has fewer values.
    """
    pools = [graph.image_pool] if graph.image_pool else []
    source = pools[0].output if pools else IMAGE
    shape = graph.shapes[source]
    scaling = [
        Node(Multiply(make_constant(factor)), (source,), MULTIPLIED, shape),
        Node(Add(make_constant(shift)), (MULTIPLIED,), SCALED, shape),
    ]
    nodes = [_read(SCALED, source, node) for node in graph.nodes[len(pools) :]]
    return make_graph([*pools, *scaling, *nodes], graph.shapes[IMAGE])


def take_pooled(graph: Graph) -> Graph:
    """A graph that takes images which are pooled already, if ``graph`` pools them
    first.
    """
    pool = graph.image_pool
    if pool is None:
        return graph
    nodes = [_read(IMAGE, pool.output, node) for node in graph.nodes[1:]]
    return make_graph(nodes, pool.shape)


def _read(value: str, instead_of: str, node: Node) -> Node:
    inputs = [value if name == instead_of else name for name in node.inputs]
    return replace(node, inputs=tuple(inputs))


def find_graph_buffers(
    graph: Graph, *, with_image: bool = True, scratch: int = 0
) -> list[Buffer]:
    """The places that an inference needs: see :func:`paretune.memory.find_buffers`.

    ``scratch`` are numbers that the first operation works in beside its values.
    """
    uses = [
        MemoryUse(node.inputs, node.output, node.size, node.operation.overwrites)
        for node in graph.nodes
    ]
    uses[0] = replace(uses[0], scratch=scratch)
    return find_buffers(uses, IMAGE, prod(graph.shapes[IMAGE]), with_image=with_image)
