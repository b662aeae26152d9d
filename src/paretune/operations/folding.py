"""Batch norms made part of the layers before them.

A norm behind a convolution or a dense layer is one factor and one shift for each of its
maps, so that other weights and another bias do the same.
"""

from collections import Counter
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
    readers = Counter(value for node in graph.nodes for value in node.inputs)
    applied = _count_applications(graph)
    folded: dict[str, Node] = {}  # by what they give
    for node in graph.nodes:
        layer = folded.get(node.inputs[0])
        joined = _join(layer, node)
        if layer and joined:
            is_read_alone = readers[layer.output] == 1
            is_applied_once = applied[layer.layer] == 1
            if is_read_alone and (copies or is_applied_once):
                del folded[layer.output]
                folded[joined.output] = joined
                continue
        folded[node.output] = node
    return make_graph(list(folded.values()), graph.shapes[IMAGE])


def _count_applications(graph: Graph) -> Counter[str]:
    """How often each layer with weights is applied, by its name."""
    return Counter(
        node.layer for node in graph.nodes if isinstance(node.operation, Conv | Linear)
    )


def _join(layer: Node | None, follower: Node) -> Node | None:
    """The layer with a norm that follows it as its part; ``None`` if they are no layer
    with weights and no norm.
    """
    norm = follower.operation
    if not layer or not isinstance(norm, BatchNorm):
        return None
    if not isinstance(layer.operation, Conv | Linear):
        return None
    joined = _scale(layer.operation, norm)
    return replace(layer, operation=joined, output=follower.output)


def _scale(layer: Conv | Linear, norm: BatchNorm) -> Conv | Linear:
    factor = _find_factor(norm)
    maps, *dimensions = layer.weight.shape
    by_map = factor.reshape(maps, *(1 for _ in dimensions))
    weight = layer.weight * by_map
    bias = torch.zeros(maps) if layer.bias is None else layer.bias
    bias = (bias - norm.mean) * factor
    if norm.bias is not None:
        bias += norm.bias
    return replace(layer, weight=weight, bias=bias)


def _find_factor(norm: BatchNorm) -> Tensor:
    """The factor of each map; its root is rounded to 32 bits as exactly as they can."""
    weight = 1.0 if norm.weight is None else norm.weight
    deviation = torch.sqrt((norm.variance + norm.eps).double()).float()
    return weight / deviation
