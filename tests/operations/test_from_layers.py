"""The operations that layers come down to are those that torch computes."""

import torch
from hypothesis import HealthCheck, assume, given, settings

from layers.settings import models as drawn_models
from paretune import models
from paretune.errors import ConfigError
from paretune.models.views import Views
from paretune.operations import Graph, build_graph, trace_graph

CARELESS = settings(suppress_health_check=[HealthCheck.filter_too_much], deadline=None)


def describe(graph: Graph) -> list[tuple[object, ...]]:
    """Each node with the numbers of those that it reads, and its weights as lists."""
    numbers = {"image": -1}
    described = []
    for number, node in enumerate(graph.nodes):
        inputs = [numbers[value] for value in node.inputs]
        numbers[node.output] = number
        weights = [tensor.tolist() for tensor in node.operation.find_stored()]
        kind = type(node.operation).__name__
        described.append((kind, inputs, node.shape, node.layer, weights))
    return described


@given(drawn_models())
@settings(CARELESS, max_examples=40)
def test_layers_come_down_to_the_operations_that_a_trace_of_the_network_has(model):
    try:
        network = models.build(model)
    except ConfigError:
        assume(False)
    if isinstance(network, Views):
        network = network.net
    try:
        traced = trace_graph(network, model["image_shape"])
    except ValueError:  # torch refuses to normalise a single value
        assume(False)
    with torch.inference_mode():
        graph = build_graph(network, network.layers, network.image_shape)

    assert describe(graph) == describe(traced)
    assert (graph.macs, graph.stored) == (traced.macs, traced.stored)
