"""A network as a short list of operations on one image: for counting what it costs, and
for writing it in another language.
"""

from paretune.graph.operations import IMAGE, IN_PLACE, Graph, Op, Value, buffers_of
from paretune.graph.recorder import graph_of

__all__ = ["IMAGE", "IN_PLACE", "Graph", "Op", "Value", "buffers_of", "graph_of"]
