"""Batch norms that become part of the layers before them."""

import pytest
import torch
from torch import Tensor, nn

from paretune.operations import Graph, fold_norms, trace_graph
from paretune.operations.types import BatchNorm, Conv, Linear


class Shared(nn.Module):
    """One convolution that is applied twice, each time with a norm of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3, padding=1)
        self.first = nn.BatchNorm2d(2)
        self.second = nn.BatchNorm2d(2)

    def forward(self, images: Tensor) -> Tensor:
        return self.second(self.conv(self.first(self.conv(images))))


def list_kinds(graph: Graph) -> list[type]:
    return [type(node.operation) for node in graph.nodes]


def set_statistics(net: nn.Module) -> nn.Module:
    """The net with running statistics and weights that are not the initial ones."""
    torch.manual_seed(0)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.running_mean.uniform_(-1, 1)
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight)
            nn.init.uniform_(module.bias)
    return net.eval()


@pytest.mark.parametrize("bias", [True, False])
def test_a_norm_is_part_of_the_layer_before_it(bias):
    net = set_statistics(
        nn.Sequential(nn.Conv2d(2, 3, 3, bias=bias), nn.BatchNorm2d(3))
    )
    [node] = fold_norms(trace_graph(net, (2, 5, 5)), copies=False).nodes
    images = torch.rand(4, 2, 5, 5)

    assert node.layer == "0"
    assert isinstance(node.operation, Conv)
    assert torch.allclose(
        torch.conv2d(images, node.operation.weight, node.operation.bias),
        net(images),
        atol=1e-5,
    )


def test_a_norm_of_values_is_part_of_a_dense_layer():
    net = set_statistics(nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)))
    [node] = fold_norms(trace_graph(net, (4,)), copies=False).nodes
    values = torch.rand(5, 4)

    assert isinstance(node.operation, Linear)
    weight, bias = node.operation.weight, node.operation.bias
    assert torch.allclose(values @ weight.T + bias, net(values), atol=1e-5)


def test_a_layer_that_is_applied_twice_is_kept_unless_copies_are_wanted():
    graph = trace_graph(set_statistics(Shared()), (2, 5, 5))

    assert list_kinds(fold_norms(graph, copies=False)) == [
        Conv,
        BatchNorm,
        Conv,
        BatchNorm,
    ]
    assert list_kinds(fold_norms(graph, copies=True)) == [Conv, Conv]


def test_values_that_something_else_reads_stay_as_they_are():
    class Forked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)

        def forward(self, images: Tensor) -> Tensor:
            maps = self.conv(images)
            return self.norm(maps) + maps

    graph = trace_graph(Forked(), (2, 5, 5))

    assert list_kinds(fold_norms(graph, copies=True)) == list_kinds(graph)
