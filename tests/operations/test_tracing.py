import pytest
import torch
from torch import nn

from paretune.memory import measure_in_use, plan_memory
from paretune.models import build
from paretune.operations import (
    Graph,
    find_graph_buffers,
    scale_image,
    take_pooled,
    trace_graph,
)
from paretune.operations.types import Add, Conv, MeanPool, Multiply, Other, Relu


@pytest.mark.parametrize(
    "family",
    ["dense", "conv", "squeeze", "separable", "inception", "recurrent"],
)
def test_the_families_waste_no_memory(composed, family):
    graph = trace_graph(build(composed(f"model={family}").model), (1, 28, 28))
    buffers = find_graph_buffers(graph)

    assert plan_memory(buffers).size == max(measure_in_use(len(graph.nodes), buffers))


def pool_image(net: nn.Module, shape: tuple[int, ...] = (1, 6, 7)) -> tuple[int, int]:
    return trace_graph(net, shape).pool_window


def test_a_pool_side_by_side_before_all_else_is_that_of_the_image():
    conv = nn.Conv2d(1, 2, 2)

    assert pool_image(nn.Sequential(nn.AvgPool2d(2), conv)) == (2, 2)
    assert pool_image(nn.Sequential(nn.AvgPool2d(3), nn.Flatten())) == (3, 3)
    assert pool_image(nn.Sequential(nn.AvgPool2d((1, 2)), conv)) == (1, 2)
    for net in (
        nn.Sequential(conv, nn.AvgPool2d(2)),
        nn.Sequential(nn.AvgPool2d((2, 1)), conv),
        nn.Sequential(nn.AvgPool2d(2, stride=1), conv),
        nn.Sequential(nn.AvgPool2d(2, padding=1), conv),
        nn.Sequential(nn.AvgPool2d(4, ceil_mode=True), conv),
        nn.Sequential(nn.AvgPool2d(2, divisor_override=3), conv),
    ):
        assert pool_image(net) == (1, 1)


def test_an_image_that_is_read_again_is_not_pooled_first():
    class Again(nn.Module):
        def forward(self, images):
            small = nn.functional.avg_pool2d(images, 2)
            return small.mean(dim=(2, 3)) + images.mean(dim=(2, 3))

    assert pool_image(Again()) == (1, 1)


def test_images_that_are_pooled_already_go_past_the_pool():
    net = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(1, 2, 2))
    small = take_pooled(trace_graph(net, (1, 6, 7)))

    assert [type(node.operation) for node in small.nodes] == [Conv]
    assert small.nodes[0].inputs == ("image",)
    assert small.shapes["image"] == (1, 3, 3)
    assert take_pooled(small) is small


def test_an_image_is_scaled_behind_its_pool():
    net = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(1, 2, 2))
    scaled = scale_image(trace_graph(net, (1, 6, 7)), 2.0, 1.0)

    kinds = [type(node.operation) for node in scaled.nodes]
    assert kinds == [MeanPool, Multiply, Add, Conv]
    assert [node.shape for node in scaled.nodes] == [(1, 3, 3)] * 3 + [(2, 2, 2)]


def test_an_operation_value_by_value_writes_over_what_nobody_reads_again():
    class Forked(nn.Module):
        def forward(self, images):
            kept = torch.relu(images * 2)
            return torch.relu(kept) + kept

    buffers = find_graph_buffers(trace_graph(Forked(), (1, 2, 2)))

    assert [buffer.values for buffer in buffers] == [
        ("image", "mul_0", "relu_1"),
        ("relu_2", "add_3"),
    ]


def test_operations_in_place_and_views_of_an_image_are_followed():
    class Viewing(nn.Module):
        def forward(self, images):
            return images.clone().reshape(-1, 4).relu_().unsqueeze(1).squeeze(1).mul_(3)

    graph = trace_graph(Viewing(), (1, 2, 2))

    relu, product = graph.nodes
    assert isinstance(relu.operation, Relu)
    assert isinstance(product.operation, Multiply)
    assert (relu.inputs, product.inputs) == (("image",), (relu.output,))


def test_a_layer_that_is_applied_twice_is_stored_once():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm = nn.Conv2d(1, 1, 3, padding=1), nn.BatchNorm2d(1)

        def forward(self, images):
            return self.norm(self.conv(self.norm(self.conv(images))))

    assert trace_graph(Twice(), (1, 5, 5)).stored == 10 + 2


def test_a_network_is_left_in_the_mode_that_it_was_in():
    net = nn.Sequential(nn.Conv2d(1, 1, 3), nn.Dropout(0.5))
    trace_graph(net.train(), (1, 5, 5))

    assert net.training
    assert net[1].training


def test_shared_kernels_are_stored_once_however_often_they_are_applied():
    """As they are applied: a kernel for each of twelve maps, and what mixes the
    maps.
    """
    form = {
        "stem": 1,
        "width": 12,
        "widen": "repeat",
        "depthwise_kernels": 4,
        "steps": 4,
        "class_maps": True,
    }
    plain = {"norm": "none", "bias": False, "head": []}
    net = build({"_target_": "paretune.models.recurrent.Recurrent", **form, **plain})

    assert trace_graph(net, (1, 28, 28)).stored == 9 + 9 * 12 + 12 * 12


def list_kinds(graph: Graph) -> list[str]:
    return sorted(type(node.operation).__name__ for node in graph.nodes)


class Split(nn.Module):
    """Each half of the channels has a convolution of its own."""

    def __init__(self, by_slices: bool) -> None:
        super().__init__()
        self.by_slices, self.first, self.second = (
            by_slices,
            nn.Conv2d(2, 5, 3),
            nn.Conv2d(2, 5, 3),
        )

    def forward(self, images):
        upper, lower = (
            (images[:, :2], images[:, 2:]) if self.by_slices else images.chunk(2, dim=1)
        )
        return torch.cat([self.first(upper), self.second(lower)], dim=1).mean(
            dim=(2, 3)
        )


def test_parts_of_what_is_split_are_counted_as_slices_are():
    split, sliced = (
        trace_graph(Split(by_slices), (4, 8, 8)) for by_slices in (False, True)
    )

    assert split.macs == sliced.macs == 2 * 5 * 36 * 18
    assert split.stored == sliced.stored == 190
    assert list_kinds(split) == list_kinds(sliced)


def test_an_operation_of_several_values_that_are_no_slices_is_refused():
    class Unbound(nn.Module):
        def forward(self, images):
            return images.unbind(1)[1].flatten(1)

    with pytest.raises(
        RuntimeError, match="unbind gives several values, which cannot be counted"
    ):
        trace_graph(Unbound(), (2, 3, 3))


@pytest.mark.parametrize(
    ("forward", "name"),
    [
        (lambda x: torch.sort(x.flatten(1))[0], "sort"),
        (lambda x: x[..., ::2], "slice with a step"),
        (lambda x: torch.cat([x, x], dim=3), "cat of rows or columns"),
        (lambda x: x.mean(dim=1), "mean"),
        (lambda x: torch.conv2d(x, x), "conv2d by numbers that depend on the image"),
        (
            lambda x: torch.nn.functional.pad(x, [1, 1, 1, 1], mode="reflect"),
            "pad with reflect",
        ),
        (
            lambda x: torch.nn.functional.layer_norm(x, x.shape[3:]),
            "layer_norm over [4]",
        ),
    ],
)
def test_what_has_no_type_is_known_by_its_name(forward, name):
    net = nn.Module()
    net.forward = forward
    last = trace_graph(net, (1, 4, 4)).nodes[-1]

    assert isinstance(last.operation, Other)
    assert last.operation.name == name


def test_a_convolution_whose_padding_is_in_words_is_one():
    net = nn.Conv2d(2, 3, 3, padding="same")
    [node] = trace_graph(net, (2, 5, 5)).nodes

    assert isinstance(node.operation, Conv)
    assert (node.operation.padding, node.shape) == ((1, 1), (3, 5, 5))
