"""The batch-last kernels against torch in float64."""

from copy import deepcopy
from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from models.test_families import ACTIVATED, FAMILIES, MODELS, NORMED, plain
from paretune import models
from paretune.batch_last import UnknownLayerError
from paretune.layers.types import Depthwise
from paretune.models.modules import RepeatedMaps, SharedDepthwise
from paretune.training.programs import BatchLast, load_kernels

pytestmark = pytest.mark.skipif(load_kernels() is None, reason="needs a C++ compiler")

KINDS = [*NORMED, *ACTIVATED, {"kernel_size": 2}, {"kernel_size": 5}]
KINK = 1e-6
KINK_DRAWS = 5
ODD_BATCH = 37  # two whole blocks of images and a part


def gradients(net: nn.Module) -> list[Tensor]:
    return [
        parameter.grad for parameter in net.parameters() if parameter.grad is not None
    ]


def draw_images(exact: nn.Module, shape: tuple[int, ...]) -> Tensor:
    """Images at which no activation is at its kink, as far as some draws find them.

    There the slope in float32 may be that of the other side, and rightly so.
    """
    draws = [torch.randn(shape) for _ in range(KINK_DRAWS)]
    for images in draws:
        if measure_kink_distance(deepcopy(exact), images) > KINK:
            return images
    return draws[0]


def measure_kink_distance(probe: nn.Module, images: Tensor) -> float:
    """The least distance of any activation's input from zero."""
    distances = [1.0]
    for module in probe.modules():
        if isinstance(module, nn.ReLU | nn.LeakyReLU | nn.PReLU):
            module.register_forward_pre_hook(
                lambda _, inputs: distances.append(float(inputs[0].abs().min()))
            )
    with torch.no_grad():
        probe(images.double())
    return min(distances)


def assert_like_torch(
    net: nn.Module, shape: tuple[int, ...], batch: int = ODD_BATCH
) -> None:
    """Logits, gradients and running statistics of a training step, then logits in
    evaluation mode.
    """
    exact = deepcopy(net).double()
    images = draw_images(exact, (batch, *shape))
    compiled = BatchLast(net, shape)
    logits = compiled(images)
    labels = torch.arange(batch) % logits.shape[1]
    cross_entropy(logits, labels).backward()
    expected = exact(images.double())
    cross_entropy(expected, labels).backward()

    assert torch.allclose(logits.double(), expected, atol=1e-4, rtol=1e-4)
    largest = max(float(gradient.abs().max()) for gradient in gradients(exact))
    for ours, theirs in zip(gradients(net), gradients(exact), strict=True):
        assert (
            float((ours.double() - theirs).abs().max())
            <= 2e-3 * float(theirs.abs().max()) + 1e-5 * largest
        )
    for ours, theirs in zip(net.buffers(), exact.buffers(), strict=True):
        assert torch.allclose(ours.double(), theirs.double(), atol=1e-5)
    net.eval(), exact.eval()
    with torch.no_grad():
        assert torch.allclose(
            compiled(images).double(), exact(images.double()), atol=1e-4, rtol=1e-4
        )


@pytest.mark.parametrize(
    ("family", "variant"),
    [
        *product(FAMILIES, KINDS),
        *((name, {"bias": False}) for name in MODELS if name not in FAMILIES),
    ],
    ids=str,
)
def test_a_family_gives_what_torch_gives(family, composed, variant):
    """Every norm, activation and a few kernels, at a batch that is no multiple of a
    block.
    """
    config = plain(composed, family, **variant)
    config = {
        key: 0.0 if key.endswith("dropout") else value for key, value in config.items()
    }
    if "kernel_size" in variant and "kernel_size" not in config:
        pytest.skip("the family has no kernel size")
    config |= {"padding": "same"} if "padding" in config else {}
    # Its default has more parameters than the kernels take.
    config |= {"widths": [16, 8]} if family == "dense" else {}
    config |= {"head": [16]} if family == "recurrent" else {}
    torch.manual_seed(0)
    assert_like_torch(models.build(config).train(), (1, 28, 28))


@given(st.integers(1, 4), st.integers(1, 13), st.integers(1, 13), st.integers(1, 14))
def test_repeated_maps_and_shared_kernels_give_what_torch_gives(
    given_maps, maps, kernels, means
):
    """Fewer maps, as many and more than are wanted; kernels for one map or several."""
    torch.manual_seed(0)
    shared = SharedDepthwise(maps, Depthwise(3, padding=1, kernels=min(kernels, maps)))
    head = [
        RepeatedMaps(means),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(means, 3),
    ]
    assert_like_torch(
        nn.Sequential(
            nn.Conv2d(1, given_maps, 3),
            RepeatedMaps(maps),
            shared,
            nn.Conv2d(maps, maps, 1),
            *head,
        ),
        (1, 7, 6),
    )


@given(
    st.integers(1, 13),
    st.integers(1, 13),
    st.tuples(st.integers(1, 5), st.integers(1, 3), st.integers(0, 2)),
    st.integers(1, 40),
)
def test_a_convolution_of_any_shape_gives_what_torch_gives(
    maps, out_maps, window, batch
):
    torch.manual_seed(0)
    kernel, stride, pad = window
    conv = nn.Conv2d(
        maps, out_maps, kernel, stride, min(pad, kernel - 1), bias=batch % 2 == 0
    )
    net = nn.Sequential(
        nn.Conv2d(1, maps, 1),
        conv,
        nn.LeakyReLU(0.1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(out_maps, 3),
    )
    assert_like_torch(net, (1, 7, 9), batch)


@given(
    st.integers(1, 9),
    st.integers(1, 5),
    st.integers(1, 2),
    st.integers(0, 2),
    st.integers(1, 40),
)
def test_a_depthwise_convolution_of_any_shape_gives_what_torch_gives(
    maps, kernel, stride, pad, batch
):
    torch.manual_seed(0)
    conv = nn.Conv2d(maps, maps, kernel, stride, min(pad, kernel - 1), groups=maps)
    net = nn.Sequential(
        nn.Conv2d(1, maps, 1),
        conv,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(maps, 3),
    )
    assert_like_torch(net, (1, 8, 6), batch)


@given(
    st.integers(1, 5),
    st.integers(2, 9),
    st.integers(2, 9),
    st.sampled_from([1, 2]),
    st.integers(2, 40),
)
def test_pools_and_batch_norms_of_any_shape_give_what_torch_gives(
    maps, rows, columns, stride, batch
):
    torch.manual_seed(0)
    layers = [
        nn.Conv2d(2, maps, 1),
        nn.BatchNorm2d(maps),
        nn.MaxPool2d(2, stride),
        nn.SiLU(),
        nn.BatchNorm2d(maps),
    ]
    assert_like_torch(
        nn.Sequential(
            *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(maps, 3)
        ),
        (2, rows, columns),
        batch,
    )


@pytest.mark.parametrize("layer", [nn.Dropout(0.4), nn.Dropout2d(0.4)], ids=str)
def test_a_dropout_drops_its_share_and_its_gradient_follows(layer):
    """With a weight of one, the gradient of the bias is what was kept."""
    net = nn.Sequential(
        nn.Conv2d(1, 3, 1),
        layer,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(3, 3, bias=False),
    ).train()
    (
        nn.init.zeros_(net[0].weight),
        nn.init.ones_(net[0].bias),
        nn.init.eye_(net[4].weight),
    )
    torch.manual_seed(0)
    logits = BatchLast(net, (1, 6, 6))(torch.randn(3000, 1, 6, 6))
    logits.sum().backward()

    assert float(logits.detach().mean()) == pytest.approx(1.0, abs=0.02)
    assert torch.allclose(net[0].bias.grad, logits.detach().sum(dim=0), rtol=1e-3)
    assert bool((logits.detach() == 0).any()) == isinstance(layer, nn.Dropout2d)


def test_a_seed_makes_the_same_dropout():
    net = nn.Sequential(
        nn.Flatten(), nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 2)
    ).train()
    compiled, images = BatchLast(net, (1, 2, 2)), torch.randn(20, 1, 2, 2)
    logits = [(torch.manual_seed(seed), compiled(images))[1] for seed in (1, 1, 2)]

    assert torch.equal(logits[0], logits[1])
    assert not torch.equal(logits[0], logits[2])


def test_threads_change_no_bit(composed):
    """Sums over blocks are made in their order, whoever computed them."""
    results = []
    for threads in (1, 2):
        torch.manual_seed(0)
        net = models.build(plain(composed, "squeeze")).train()
        torch.set_num_threads(threads)
        cross_entropy(
            BatchLast(net, (1, 28, 28))(torch.randn(100, 1, 28, 28)),
            torch.arange(100) % 10,
        ).backward()
        results.append(torch.cat([gradient.reshape(-1) for gradient in gradients(net)]))

    assert torch.equal(results[0], results[1])


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (nn.Conv2d(1, 2, 3, dilation=2), "Conv2d"),
        (nn.LPPool2d(2, 2), "LPPool2d"),
        (nn.Hardswish(), "Hardswish"),
    ],
    ids=["dilation", "pool", "activation"],
)
def test_a_layer_that_the_kernels_do_not_know_is_named(layer, reason):
    with pytest.raises(UnknownLayerError, match=reason):
        BatchLast(nn.Sequential(layer, nn.Flatten()), (1, 8, 8))


def test_a_large_network_is_left_to_torch():
    with pytest.raises(UnknownLayerError, match="50,890 parameters, more than 50,000"):
        BatchLast(
            nn.Sequential(
                nn.Flatten(), nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 10)
            ),
            (1, 28, 28),
        )


def test_a_value_that_two_layers_read_is_not_known():
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(1, 4, 1), nn.Conv2d(4, 4, 1)

        def forward(self, images: Tensor) -> Tensor:
            maps = self.first(images)
            return torch.cat([maps, self.second(maps)], dim=1).mean(dim=(2, 3))

    with pytest.raises(UnknownLayerError, match="two layers on one value"):
        BatchLast(Residual(), (1, 8, 8))


def test_a_value_that_is_read_as_it_is_and_flattened_is_not_known():
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.flatten, self.dense = (
                nn.Conv2d(1, 4, 1),
                nn.Flatten(),
                nn.Linear(256, 2),
            )

        def forward(self, images: Tensor) -> Tensor:
            maps = self.first(images)
            return torch.cat(
                [self.dense(self.flatten(maps)), maps.mean(dim=(2, 3))], dim=1
            )

    with pytest.raises(UnknownLayerError, match="two layers on one value"):
        BatchLast(Twice(), (1, 8, 8))


def test_a_value_that_is_joined_to_itself_is_not_known():
    class Doubled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(1, 2, 1), nn.Conv2d(4, 3, 1)

        def forward(self, images: Tensor) -> Tensor:
            maps = self.first(images)
            return self.second(torch.cat([maps, maps], dim=1)).mean(dim=(2, 3))

    with pytest.raises(UnknownLayerError, match="two layers on one value"):
        BatchLast(Doubled(), (1, 8, 8))


def test_an_image_that_is_joined_to_itself_gives_what_torch_gives():
    class Doubled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(2, 3, 3)

        def forward(self, images: Tensor) -> Tensor:
            return self.conv(torch.cat([images, images], dim=1)).mean(dim=(2, 3))

    torch.manual_seed(0)
    assert_like_torch(Doubled(), (1, 6, 6))


def test_weights_for_other_maps_are_not_known():
    """Else the kernels would read beyond the image."""
    with pytest.raises(
        UnknownLayerError, match=r"weights \(4, 3, 1, 1\) on values \(1, 8, 8\)"
    ):
        BatchLast(nn.Sequential(nn.Conv2d(3, 4, 1), nn.AdaptiveAvgPool2d(1)), (1, 8, 8))


@pytest.mark.parametrize("image_pool", [2, 3])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_pooled_image_gives_what_torch_gives(family, composed, image_pool):
    """28 pixels are no multiple of 3."""
    config = plain(composed, family, dropout=0.0, image_pool=image_pool)
    config |= {"padding": "same"} if "padding" in config else {}
    config |= {"widths": [16, 8]} if family == "dense" else {}
    config |= {"head": [16]} if family == "recurrent" else {}
    torch.manual_seed(0)
    assert_like_torch(models.build(config).train(), (1, 28, 28))


@pytest.mark.parametrize("image_pool", [1, 2])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_signal_gives_what_torch_gives(family, composed, image_pool):
    config = plain(composed, family, dropout=0.0, image_pool=image_pool)
    config |= {"padding": "same"} if "padding" in config else {}
    config |= {"widths": [16, 8]} if family == "dense" else {}
    config |= {"head": [16]} if family == "recurrent" else {}
    config["image_shape"] = [2, 1, 41]
    torch.manual_seed(0)
    assert_like_torch(models.build(config).train(), (2, 1, 41))


@given(st.integers(1, 4), st.integers(2, 30), st.sampled_from([1, 2]))
def test_pools_of_one_row_give_what_torch_gives(maps, columns, stride):
    torch.manual_seed(0)
    layers = [nn.Conv2d(2, maps, 1), nn.MaxPool2d((1, 2), (1, stride)), nn.SiLU()]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(maps, 3)]
    assert_like_torch(nn.Sequential(*layers, *head), (2, 1, columns))


@given(st.integers(1, 4), st.integers(4, 9), st.integers(4, 9))
def test_means_of_squares_give_what_torch_gives(size, rows, columns):
    """Behind a layer, so that they have a gradient; what is left over has none."""
    torch.manual_seed(0)
    maps = nn.Conv2d(2, 3, 3, padding=1)
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 3)]
    assert_like_torch(
        nn.Sequential(maps, nn.AvgPool2d(size), nn.Conv2d(3, 3, 1), *head),
        (2, rows, columns),
    )


@pytest.mark.parametrize(
    "pool",
    [
        nn.AvgPool2d((1, 2)),
        nn.AvgPool2d(2, stride=1),
        nn.AvgPool2d(2, padding=1),
        nn.AvgPool2d(2, ceil_mode=True),
        nn.AvgPool2d(2, divisor_override=3),
    ],
    ids=str,
)
def test_means_of_other_windows_are_not_known(pool):
    net = nn.Sequential(pool, nn.AdaptiveAvgPool2d(1))
    with pytest.raises(UnknownLayerError, match=r"AvgPool2d|a pool of"):
        BatchLast(net, (1, 5, 5))


def test_a_network_of_layers_is_not_traced(composed, monkeypatch):
    monkeypatch.setattr(torch.fx.Tracer, "trace", lambda *_: pytest.fail("traced"))

    BatchLast(models.build(plain(composed, "inception")), (1, 28, 28))


def test_a_backward_pass_after_another_forward_pass_is_refused():
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2)).train()
    compiled, images = BatchLast(net, (1, 2, 2)), torch.randn(3, 1, 2, 2)
    first, _ = compiled(images), compiled(images)

    with pytest.raises(RuntimeError, match="another forward pass has overwritten"):
        first.sum().backward()


@pytest.mark.parametrize(
    "norm",
    [
        nn.BatchNorm2d(4, bias=False),
        nn.GroupNorm(2, 4, bias=False),
        nn.GroupNorm(1, 4, affine=False),
    ],
    ids=str,
)
def test_a_norm_without_a_shift_gives_what_torch_gives(norm):
    torch.manual_seed(0)
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)]
    assert_like_torch(
        nn.Sequential(nn.Conv2d(1, 4, 3), norm, nn.ReLU(), *head), (1, 6, 6)
    )


class Joined(nn.Module):
    """The image itself beside maps of it."""

    def __init__(self) -> None:
        super().__init__()
        self.prelu, self.conv, self.head = (
            nn.PReLU(),
            nn.Conv2d(2, 3, 3, padding=1),
            nn.Conv2d(5, 3, 3),
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.head(
            torch.cat([images, self.conv(self.prelu(images))], dim=1)
        ).mean(dim=(2, 3))


def test_an_image_that_is_joined_to_its_maps_gives_what_torch_gives():
    torch.manual_seed(0)
    assert_like_torch(Joined(), (2, 6, 5))


def test_a_batch_of_one_image_leaves_a_norms_running_statistics_finite():
    """Its maps of one pixel have no variance: torch refuses them, outright."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Flatten(), nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2)
    ).train()
    BatchLast(net, (1, 2, 2))(torch.rand(1, 1, 2, 2))

    assert all(buffer.isfinite().all() for buffer in net.buffers())
