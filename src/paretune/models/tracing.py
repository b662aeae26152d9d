"""What a built network costs, by a trace: the way for networks that no layers describe,
and the check of those that do.
"""

from collections import Counter
from collections.abc import Sequence

from torch import nn

from paretune.costs import BYTES, CHANNEL_BYTES, TABLE_BYTES, Footprint
from paretune.graph import Graph, buffers_of, graph_of
from paretune.graph.operations import Affine, Conv, Linear
from paretune.layers.views import count_views
from paretune.memory import measure_needs
from paretune.models.views import Views

WEIGHTED = ("conv2d", "linear")
LOOKED_UP = ("silu", "sigmoid", "tanh")
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
        graph = graph_of(network, image_shape)
    except UNTRACEABLE:
        return Footprint({"params": params})
    width = BYTES[dtype]
    buffers = buffers_of(graph)
    in_use = [width * numbers for numbers in measure_needs(len(graph.ops), buffers)]
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


def _count_int8_flash(graph: Graph) -> int:
    """Weights once, however often they are applied; what a channel needs at every
    application, which has its own ranges.
    """
    sums = _find_sums(graph)
    weights: dict[int, int] = {}
    applied = 0
    for op in graph.ops:
        if isinstance(op.settings, Conv | Linear):
            weight = op.settings.weight
            weights[id(weight)] = weight.numel()
            applied += CHANNEL_BYTES * len(weight)
        elif isinstance(op.settings, Affine):
            if op.inputs[0] not in sums:
                applied += CHANNEL_BYTES * op.settings.factor.numel()
        elif op.kind in LOOKED_UP:
            applied += TABLE_BYTES
        else:
            for tensor in op.settings.tensors():
                weights[id(tensor)] = tensor.numel()
    return sum(weights.values()) + applied


def _find_sums(graph: Graph) -> set[str]:
    """What layers with weights give to one reader alone, so that a batch norm behind
    them joins them.
    """
    readers = Counter(value for op in graph.ops for value in op.inputs)
    return {
        op.output for op in graph.ops if op.kind in WEIGHTED and readers[op.output] == 1
    }
