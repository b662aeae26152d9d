import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from paretune.graph import buffers_of, graph_of
from paretune.memory import Buffer, measure_in_use, plan_memory
from paretune.models import build


@st.composite
def lifetimes(draw) -> list[Buffer]:
    buffers = []
    for number in range(draw(st.integers(1, 9))):
        start = draw(st.integers(0, 8))
        buffers.append(
            Buffer(
                (f"v{number}",),
                draw(st.integers(1, 50)),
                start,
                start + draw(st.integers(0, 5)),
            )
        )
    return buffers


@given(lifetimes())
def test_no_two_values_that_are_needed_share_memory(buffers):
    plan = plan_memory(buffers)
    for a in buffers:
        for b in buffers:
            (start_a, start_b) = (plan.offsets[buffer.values[0]] for buffer in (a, b))
            assert (
                a is b
                or not a.meets(b)
                or start_a + a.size <= start_b
                or start_b + b.size <= start_a
            )
        assert 0 <= plan.offsets[a.values[0]] <= plan.size - a.size


@given(st.lists(st.integers(1, 900), min_size=1, max_size=12))
def test_a_chain_needs_no_more_than_two_neighbours_at_a_time(sizes):
    chain = [
        Buffer((str(number),), size, number, number + 1)
        for number, size in enumerate(sizes)
    ]

    assert plan_memory(chain).size == max(
        a + b for a, b in zip([0, *sizes], [*sizes, 0], strict=True)
    )


@pytest.mark.parametrize(
    "family",
    ["dense", "conv", "squeeze", "separable", "inception", "recurrent", "squeeze_deep"],
)
def test_the_families_waste_no_memory(composed, family):
    graph = graph_of(build(composed(f"model={family}").model), (1, 28, 28))
    buffers = buffers_of(graph)

    assert plan_memory(buffers).size == max(measure_in_use(len(graph.ops), buffers))


def test_an_operation_value_by_value_writes_over_what_nobody_reads_again():
    class Forked(nn.Module):
        def forward(self, images):
            kept = torch.relu(images * 2)
            return torch.relu(kept) + kept

    buffers = buffers_of(graph_of(Forked(), (1, 2, 2)))

    assert [buffer.values for buffer in buffers] == [
        ("image", "mul_0", "relu_1"),
        ("relu_2", "add_values_3"),
    ]


def test_operations_in_place_and_views_of_an_image_are_followed():
    class Viewing(nn.Module):
        def forward(self, images):
            return images.clone().reshape(-1, 4).relu_().unsqueeze(1).squeeze(1).mul_(3)

    graph = graph_of(Viewing(), (1, 2, 2))

    assert [(op.kind, op.inputs) for op in graph.ops] == [
        ("relu", ("image",)),
        ("mul", ("relu_0",)),
    ]


def test_a_layer_that_is_applied_twice_is_stored_once():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm = nn.Conv2d(1, 1, 3, padding=1), nn.BatchNorm2d(1)

        def forward(self, images):
            return self.norm(self.conv(self.norm(self.conv(images))))

    assert graph_of(Twice(), (1, 5, 5)).stored == 10 + 2


def test_a_network_is_left_in_the_mode_that_it_was_in():
    net = nn.Sequential(nn.Conv2d(1, 1, 3), nn.Dropout(0.5))
    graph_of(net.train(), (1, 5, 5))

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

    assert graph_of(net, (1, 28, 28)).stored == 9 + 9 * 12 + 12 * 12


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
        graph_of(Split(by_slices), (4, 8, 8)) for by_slices in (False, True)
    )

    assert split.macs == sliced.macs == 2 * 5 * 36 * 18
    assert split.stored == sliced.stored == 190
    assert sorted(op.kind for op in split.ops) == sorted(op.kind for op in sliced.ops)


def test_an_operation_of_several_values_that_are_no_slices_is_refused():
    class Unbound(nn.Module):
        def forward(self, images):
            return images.unbind(1)[1].flatten(1)

    with pytest.raises(
        RuntimeError, match="unbind gives several values, which cannot be counted"
    ):
        graph_of(Unbound(), (2, 3, 3))
