"""The costs of a built network, by a trace: the way for networks that no layers describe,
and the check of those that do.
"""

from collections import Counter
from collections.abc import Sequence

from torch import nn

from paretune.costs import BYTES, CHANNEL_BYTES, TABLE_BYTES, Footprint
from paretune.layers.image_pool import count_row_sums
from paretune.layers.views import count_views
from paretune.memory import Buffer, measure_needs
from paretune.models.views import Views
from paretune.operations import Graph, find_graph_buffers, trace_graph
from paretune.operations.types import (
    BatchNorm,
    Conv,
    Linear,
    Sigmoid,
    Silu,
    Tanh,
)

UNTRACEABLE = (RuntimeError, NotImplementedError, ValueError, TypeError)


def count_parameters(network: nn.Module) -> int:
    """Number of trainable scalars: weights, biases, norm scale and shift, learnable
    activations.

    A tensor that several layers share counts once; buffers (a batch norm's running
    statistics) and frozen tensors do not count.
    """
    return sum(
        parameter.numel()
        for parameter in network.parameters()
        if parameter.requires_grad
    )


def measure_network(
    network: nn.Module, image_shape: Sequence[int], dtype: str = "float32"
) -> Footprint:
    """The costs of a network for images ``(C, H, W)``; on the meta device without
    computing anything.

    ``dtype`` (float32 or int8) is that of the exported code. Of a network that does not
    run there on one image, by its own error, only the parameters are counted.
    """
    if isinstance(network, Views):
        once = measure_network(network.net, image_shape, dtype)
        return count_views(once, len(network.corners), image_shape, dtype)
    params = count_parameters(network)
    try:
        graph = trace_graph(network, image_shape)
    except UNTRACEABLE:
        return Footprint({"params": params})
    width = BYTES[dtype]
    buffers = _find_buffers(graph, dtype)
    in_use = [width * numbers for numbers in measure_needs(len(graph.nodes), buffers)]
    flash_bytes = (
        width * graph.stored if dtype == "float32" else _count_int8_flash(graph)
    )
    return Footprint.of(
        {
            "params": params,
            "macs": graph.macs,
            "ram_bytes": in_use,
            "flash_bytes": flash_bytes,
        }
    )


def _find_buffers(graph: Graph, dtype: str) -> list[Buffer]:
    """The places that an inference needs, with one for the image unless it is pooled
    first.
    """
    pool = graph.image_pool
    if pool is None:
        return find_graph_buffers(graph)
    sums = count_row_sums(pool.shape, dtype)
    return find_graph_buffers(graph, with_image=False, scratch=sums)


def _count_int8_flash(graph: Graph) -> int:
    """Weights once, however often they are applied; what a channel needs at every
    application, which has its own ranges.
    """
    sums = _find_sums(graph)
    weights: dict[int, int] = {}
    applied = 0
    for node in graph.nodes:
        match node.operation:
            case Conv(weight=weight) | Linear(weight=weight):
                weights[id(weight)] = weight.numel()
                applied += CHANNEL_BYTES * len(weight)
            case BatchNorm(mean=mean):
                if node.inputs[0] not in sums:
                    applied += CHANNEL_BYTES * mean.numel()
            case Silu() | Sigmoid() | Tanh():
                applied += TABLE_BYTES
            case operation:
                for tensor in operation.find_stored():
                    weights[id(tensor)] = tensor.numel()
    return sum(weights.values()) + applied


def _find_sums(graph: Graph) -> set[str]:
    """Outputs of layers with weights that have one reader alone, so that a batch norm
    behind them joins them.
    """
    readers = Counter(value for node in graph.nodes for value in node.inputs)
    sums: set[str] = set()
    for node in graph.nodes:
        is_weighted = isinstance(node.operation, Conv | Linear)
        if is_weighted and readers[node.output] == 1:
            sums.add(node.output)
    return sums
