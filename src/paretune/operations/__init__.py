"""A network as a list of typed operations on one image, with their weights: what is
written in another language comes from it.

``types`` are the operations, ``graph`` puts them in order, ``from_layers`` makes the
graph of a network that layers describe, ``tracing`` that of any other module.
"""

from paretune.operations.folding import fold_norms
from paretune.operations.from_layers import build_graph
from paretune.operations.graph import (
    IMAGE,
    Graph,
    Node,
    find_graph_buffers,
    scale_image,
    take_pooled,
)
from paretune.operations.tracing import trace_graph

__all__ = [
    "IMAGE",
    "Graph",
    "Node",
    "build_graph",
    "find_graph_buffers",
    "fold_norms",
    "scale_image",
    "take_pooled",
    "trace_graph",
]
