"""Batch norms made part of the layers before them.

A norm behind a convolution or a dense layer is one factor and one shift for each of its
maps, so that other weights and another bias do the same.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from paretune.operations.graph import IMAGE, Graph, Node, make_graph
from paretune.operations.types import BatchNorm, Conv, Linear


def fold_norms(graph: Graph, *, copies: bool) -> Graph:
    """The graph without the batch norms behind layers whose values nothing else reads.

    With ``copies`` also a layer that is applied several times takes in the norms behind
    it: each application has weights of its own then.
    """
    makers = {node.output: node for node in graph.nodes}
    readers = Counter(value for node in graph.nodes for value in node.inputs)
    applied = _count_applications(graph)
    folded: dict[str, Node] = {}
    for node in graph.nodes:
        maker = makers.get(node.inputs[0])
        if maker and isinstance(node.operation, BatchNorm):
            is_alone = readers[maker.output] == 1
            is_single = copies or applied[id(maker.operation)] == 1
            joined = _join(maker, node, node.operation)
            if joined and is_alone and is_single:
                del folded[maker.output]
                folded[node.output] = joined
                continue
        folded[node.output] = node
    return make_graph(list(folded.values()), graph.shapes[IMAGE])


def _count_applications(graph: Graph) -> Mapping[int, int]:
    """How often each operation is applied, by its identity."""
    return Counter(id(node.operation) for node in graph.nodes)


def _join(layer: Node, follower: Node, norm: BatchNorm) -> Node | None:
    """The layer with the norm as its part; ``None`` if it has no weights."""
    if not isinstance(layer.operation, Conv | Linear):
        return None
    factor = _find_factor(norm)
    weight, bias = layer.operation.weight, layer.operation.bias
    ones = [1] * (weight.ndim - 1)
    centre = -norm.mean if bias is None else bias - norm.mean
    shift = 0.0 if norm.bias is None else norm.bias
    joined = replace(
        layer.operation,
        weight=weight * factor.reshape(-1, *ones),
        bias=centre * factor + shift,
    )
    return replace(layer, operation=joined, output=follower.output)


def _find_factor(norm: BatchNorm) -> Tensor:
    """The factor of each map; its root is rounded to 32 bits as exactly as they can."""
    weight = 1.0 if norm.weight is None else norm.weight
    deviation = torch.sqrt((norm.variance + norm.eps).double()).float()
    return weight / deviation
