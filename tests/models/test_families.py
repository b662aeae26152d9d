import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from torch import nn

from contracts.family import IMAGES, FamilyContract
from paretune import models, paths
from paretune.errors import ConfigError
from paretune.layers.types import Depthwise
from paretune.models.family import ACTIVATIONS, NORMS
from paretune.models.modules import (
    RepeatedMaps,
    ScalarNorm,
    SharedDepthwise,
    choose_groups,
)
from paretune.models.tracing import count_parameters
from strategies import widths

MODELS = sorted(path.stem for path in (paths.CONF / "model").glob("*.yaml"))
# Those with another space as well are built once.
FAMILIES = list(MODELS)


def config_of(family: str, **settings: object) -> dict[str, object]:
    return {"_target_": f"paretune.models.{family}.{family.capitalize()}", **settings}


def plain(composed, family: str, **settings: object) -> dict[str, object]:
    """The family's default config with these settings."""
    return varied(OmegaConf.to_container(composed(f"model={family}").model), settings)


def varied(config: dict[str, object], settings: dict[str, object]) -> dict[str, object]:
    """``config`` with those of the settings that it has; an instance norm goes where
    the family takes it.
    """
    if settings.get("norm") == "instance" and config["_target_"].endswith(
        ("Separable", "Recurrent")
    ):
        settings = {**settings, "norm_first": True}
    return config | {name: value for name, value in settings.items() if name in config}


def widened(composed, family: str, **settings: object) -> dict[str, object]:
    """The same with every whole number that its search space holds one larger."""
    cfg = composed(f"model={family}")
    for key, sweep in cfg.space.items():
        if "int(interval" in str(sweep):
            OmegaConf.update(cfg, key, OmegaConf.select(cfg, key) + 1)
    return varied(OmegaConf.to_container(cfg.model), settings)


@pytest.mark.parametrize("family", MODELS)
class TestFamilies(FamilyContract):
    @pytest.fixture
    def config(self, family, composed):
        return plain(composed, family)

    @pytest.fixture
    def wider(self, family, composed):
        return widened(composed, family)


@pytest.mark.parametrize("shape", [(3, 28, 28), (1, 32, 48), (3, 48, 32)], ids=str)
@pytest.mark.parametrize("family", FAMILIES)
class TestImagesOfOnesOwn(FamilyContract):
    """Colours, and images that are not square."""

    @pytest.fixture
    def config(self, family, composed, shape):
        return plain(composed, family, image_shape=list(shape), num_classes=6)

    @pytest.fixture
    def wider(self, family, composed, shape):
        return widened(composed, family, image_shape=list(shape), num_classes=6)


NORMED = [{"norm": norm} for norm in NORMS]
ACTIVATED = [{"activation": name} for name in ACTIVATIONS]


@pytest.mark.parametrize(
    "variant",
    [*NORMED, *(pytest.param(v, marks=pytest.mark.slow) for v in ACTIVATED)],
    ids=str,
)
@pytest.mark.parametrize("family", FAMILIES)
class TestVariants(FamilyContract):
    @pytest.fixture
    def config(self, family, composed, variant):
        return plain(composed, family, **variant)

    @pytest.fixture
    def wider(self, family, composed, variant):
        return widened(composed, family, **variant)


@pytest.mark.parametrize("family", FAMILIES)
class TestPooledImages(FamilyContract):
    """Images that are pooled before the first layer."""

    @pytest.fixture
    def config(self, family, composed):
        return plain(composed, family, image_pool=2, padding="same")

    @pytest.fixture
    def wider(self, family, composed):
        return widened(composed, family, image_pool=2, padding="same")


@pytest.mark.parametrize(
    "variant", [*NORMED, *ACTIVATED, {"init": "glorot"}, {"init": "he"}], ids=str
)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_norm_activation_and_initialisation_makes_a_network(
    family, composed, variant
):
    config = plain(composed, family, **variant)
    net = models.build(config)

    assert models.count(config) == count_parameters(net)
    assert net(IMAGES).isfinite().all()


def test_keras_ways_of_starting_and_normalising():
    net = models.build(
        config_of(
            "conv", norm="batch", init="glorot", norm_eps=1e-3, norm_momentum=0.01
        )
    )
    conv, norm = net.conv1, net.norm1

    assert float(conv.bias.detach().abs().max()) == 0
    assert float(conv.weight.detach().abs().max()) <= (6 / (9 + 9 * 8)) ** 0.5
    assert (norm.eps, norm.momentum) == (1e-3, 0.01)


@pytest.mark.parametrize(
    ("channels", "groups"), [(1, 1), (2, 1), (3, 1), (4, 2), (6, 3), (8, 4), (7, 1)]
)
def test_groups_of_a_norm_have_two_channels_or_more(channels, groups):
    assert choose_groups(channels) == groups


def test_scalar_norm_makes_mean_0_and_deviation_1_of_each_image_with_two_parameters():
    norm = ScalarNorm()
    normed = norm(5 + 3 * IMAGES)

    assert count_parameters(norm) == 2
    assert normed.mean(dim=(1, 2, 3)).abs().max() < 1e-5
    assert (normed.std(dim=(1, 2, 3)) - 1).abs().max() < 1e-2


def test_steps_of_a_recurrent_network_share_their_weights():
    """More steps cost their norms only."""
    counts = [
        models.count(config_of("recurrent", steps=steps, head=[16]))
        for steps in (1, 2, 3)
    ]

    assert counts == [2180 - 4 * 26, 2180 - 2 * 26, 2180]


def test_counting_allocates_nothing():
    """A model of four terabytes is counted."""
    assert models.count(config_of("dense", widths=[10**6, 10**6])) > 10**12


def test_counting_leaves_the_default_device_alone():
    models.count(config_of("conv"))

    assert torch.zeros(1).device.type == "cpu"


@pytest.mark.parametrize("norm", NORMS)
def test_making_a_network_draws_its_weights_only(norm):
    """The dry run that finds the flattened size leaves the random state and the running
    statistics alone.
    """
    torch.manual_seed(0)
    net = models.build(
        config_of("conv", widths=[4], norm=norm, dropout=0.5, image_shape=[1, 8, 8])
    )
    state = torch.get_rng_state()
    torch.manual_seed(0)
    nn.Conv2d(1, 4, 3, padding=1), nn.Linear(4 * 4 * 4, 10)

    assert torch.equal(torch.get_rng_state(), state)
    assert not any(
        name.endswith("tracked") and int(count) for name, count in net.named_buffers()
    )


@pytest.mark.parametrize("family", MODELS)
def test_images_need_not_be_square(composed, family):
    config = plain(composed, family, image_shape=[1, 28, 20])

    assert models.build(config)(IMAGES[..., :20]).shape == (6, 10)


@given(widths)
@settings(max_examples=25)
def test_dense_has_the_count_of_the_closed_form(layers):
    sizes = [784, *layers, 10]
    expected = sum(a * b + b for a, b in itertools.pairwise(sizes))

    assert models.count(config_of("dense", widths=layers)) == expected


@given(widths, st.sampled_from([1, 3, 5]), st.booleans())
@settings(max_examples=25)
def test_conv_has_the_count_of_the_closed_form(layers, kernel, bias):
    """Convolutions with bias or without, then one dense layer on the 7x7 maps that two
    pools leave.
    """
    channels = [1, *layers]
    convs = sum(a * b * kernel**2 + b * bias for a, b in itertools.pairwise(channels))
    config = config_of("conv", widths=layers, kernel_size=kernel, bias=bias)

    assert models.count(config) == convs + layers[-1] * 49 * 10 + 10


@given(widths)
@settings(max_examples=25)
def test_squeeze_has_the_count_of_the_closed_form(layers):
    """3x3 convolutions without bias, two norm parameters a map, ten maps at the end."""
    channels = [1, *layers, 10]
    expected = sum(9 * a * b for a, b in itertools.pairwise(channels)) + 2 * sum(layers)

    assert (
        models.count(config_of("squeeze", widths=layers, padding="same", pool_after=[]))
        == expected
    )


def test_recurrent_without_biases_is_weights_and_the_two_numbers_of_each_norm():
    """Of stem 1, width 5: 9 + 2, a separable layer of 9 + 5 and 2, one of 45 + 25 and
    2, ten times five for the classes.
    """
    config = config_of(
        "recurrent",
        stem=1,
        width=5,
        norm="scalar",
        norm_each_step=False,
        bias=False,
        head=[],
        head_bias=False,
    )

    assert models.count(config) == 149


SHARED = {
    "stem": 1,
    "width": 12,
    "norm": "scalar",
    "norm_each_step": False,
    "bias": False,
    "head": [],
    "depthwise_kernels": 4,
    "widen": "repeat",
    "class_maps": True,
}


def test_recurrent_with_shared_kernels_and_class_maps_is_a_stem_kernels_and_one_mixing_layer():
    """9 + 2 of the stem, 4 kernels of 9, 12 x 12 that mix, and the two numbers of the
    norm; nothing for the classes.
    """
    assert models.count(config_of("recurrent", **SHARED)) == 9 + 2 + 36 + 144 + 2


def test_maps_that_share_a_kernel_are_filtered_alike():
    layer = SharedDepthwise(5, Depthwise(3, padding=1, kernels=2))
    image = torch.randn(1, 1, 6, 6)

    maps = layer(RepeatedMaps(5)(image))[0]

    assert torch.equal(maps[0], maps[2])
    assert torch.equal(maps[1], maps[3])
    assert not torch.equal(maps[0], maps[1])


def test_class_maps_make_the_averages_of_the_first_maps_the_logits():
    net = models.build(config_of("recurrent", **SHARED))
    maps: list[torch.Tensor] = []
    net.repeat1.register_forward_hook(lambda layer, given, made: maps.append(made))

    logits = net(torch.randn(2, 1, 28, 28))

    assert torch.allclose(logits, maps[0].mean((2, 3))[:, :10])


@pytest.mark.parametrize(
    ("config", "published"),
    [
        (config_of("squeeze", widths=[14] * 5, norm="none"), 8_442),
        (config_of("squeeze", widths=[14] * 5), 8_582),
        (config_of("squeeze", widths=[10, 12, 12, 12, 12]), 6_254),
        (config_of("squeeze", widths=[10, 10, 12, 12, 12]), 5_854),
        (config_of("squeeze", widths=[32] * 5, norm="none", bias=True), 40_202),
        (config_of("dense", widths=[]), 7_850),
        (config_of("dense", widths=[192] * 4), 263_818),
        (config_of("conv", widths=[4, 4, 4], pool_after=[2, 3], neck=1), 841),
        (
            config_of(
                "conv", widths=[32, 64], padding="valid", pool_after=[2], head=[128]
            ),
            1_199_882,
        ),
        (
            config_of(
                "conv",
                widths=[20, 10],
                kernel_size=[7, 5],
                padding=["same", "valid"],
                norm="batch",
            ),
            8_580,
        ),
        (config_of("separable", stem=6, widths=[5, 9, 10, 8]), 697),
        (config_of("separable", stem=7, widths=[10, 10, 11, 12]), 997),
        (config_of("recurrent", norm="scalar", head=[16]), 1_936),
        (config_of("recurrent", norm="batch", head=[16]), 2_180),
    ],
)
def test_published_networks_have_their_published_counts(config, published):
    assert models.count(config) == published


def test_the_norm_goes_before_the_activation_if_asked():
    net = models.build(
        config_of("squeeze", widths=[3], padding="same", pool_after=[], norm_first=True)
    )

    assert [type(layer).__name__ for layer in net][:3] == [
        "Conv2d",
        "BatchNorm2d",
        "ReLU",
    ]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            config_of("dense", widths=[0]),
            (
                r"model.widths `0` is invalid; expected a whole number of at least 1; "
                r"set model.widths"
            ),
        ),
        (
            config_of("conv", neck=-1),
            (
                r"model.neck `-1` is invalid; expected a whole number of at least 1; "
                r"set model.neck"
            ),
        ),
        (
            config_of("conv", kernel_size=0),
            r"model.kernel_size `0` is invalid; expected a whole number of at least 1",
        ),
        (
            config_of("squeeze", image_shape=[28, 28]),
            (
                r"model.image_shape `\[28, 28\]` is invalid; set it to "
                r"\[channels, height, width\]"
            ),
        ),
        (
            config_of("dense", widths=[8, 8], dropout=[0.1, 0.2, 0.3]),
            r"model.dropout `\[0.1, 0.2, 0.3\]` has 3 entries for 2 layers; expected 1 to 2",
        ),
        (
            config_of("separable", norm="instance"),
            (
                r"model.norm `instance` after the activation gives maps of the same "
                r"mean .* set model.norm_first=true"
            ),
        ),
        (
            config_of("recurrent", norm="instance"),
            r"model.norm `instance` after the activation gives maps of the same mean",
        ),
        (
            config_of("conv", norm="instance", pool_after=[1, 2, 3, 4]),
            r"model.norm `instance` leaves nothing of maps of 1x1; use fewer pools",
        ),
        (
            config_of("conv", norm="layer"),
            (
                r"model.norm `layer` is unknown; expected one of batch, group, "
                r"instance, none, scalar; set model.norm"
            ),
        ),
        (
            config_of("conv", activation="tanh"),
            (
                r"model.activation `tanh` is unknown; expected one of leaky_relu, "
                r"prelu, relu, silu"
            ),
        ),
        (
            config_of("conv", padding="full"),
            (
                r"model.padding `full` is unknown; expected same or valid; set "
                r"model.padding"
            ),
        ),
        (
            config_of("conv", widths=[2] * 6, pool_after=[1, 2, 3, 4, 5]),
            r"leaves no pixel: a 2x2 pool does not fit on a 1x1 map",
        ),
        (
            config_of(
                "recurrent", image_shape=[1, 4, 4], padding="valid", pool_middle=True
            ),
            r"leaves no pixel: a 3x3 convolution does not fit on a 1x1 map",
        ),
        (
            config_of("conv", image_shape=[1, 28, 1]),
            r"leaves no pixel: a 2x2 pool does not fit on a 28x1 map",
        ),
        (
            config_of("inception", image_shape=[1, 4, 4]),
            r"leaves no pixel: a 2x2 pool does not fit on a 1x1 map",
        ),
        (
            config_of("squeeze", kernel_size=9, padding="valid"),
            r"leaves no pixel: a 9x9 convolution does not fit on a 6x6 map",
        ),
        (
            config_of("inception", pooled=[1, 2, 3]),
            r"model `Inception` refuses its settings \(too many values",
        ),
        (
            config_of("dense", width=[8]),
            (
                r"model `Dense` refuses its settings \(.*unexpected keyword argument "
                r"'width'"
            ),
        ),
        (
            config_of("recurrent", steps=0),
            (
                r"model.steps `0` is invalid; expected a whole number of at least 1; "
                r"set model.steps"
            ),
        ),
        (
            config_of("recurrent", **SHARED | {"width": 9}),
            (
                r"model.width `9` is invalid; expected a whole number of at least 10; "
                r"set model.width"
            ),
        ),
        (
            config_of("recurrent", **SHARED | {"head": [16]}),
            (
                r"model.head `\[16\]` has no place where the averages of maps are the "
                r"logits; set it to \[\]"
            ),
        ),
        (
            config_of("recurrent", **SHARED | {"depthwise_kernels": 13}),
            (
                r"model.depthwise_kernels `13` is invalid; expected a whole number "
                r"from 1 to 12, or null"
            ),
        ),
        (
            config_of("recurrent", **SHARED | {"separable": False}),
            (
                r"model.depthwise_kernels `4` has no meaning for plain convolutions; "
                r"set it to null, or set model.separable=true"
            ),
        ),
        (
            config_of("recurrent", widen="pad"),
            r"model.widen `pad` is unknown; expected conv or repeat; set model.widen",
        ),
        (
            config_of("dense", init="zeros"),
            (
                r"model.init `zeros` is unknown; expected one of glorot, he, torch; "
                r"set model.init"
            ),
        ),
        (
            {"_target_": "os.remove"},
            (
                r"model._target_ `os.remove` is not a network; expected the dotted "
                r"path of an nn.Module"
            ),
        ),
        ({}, r"model._target_ `None` is not a network"),
    ],
)
def test_a_network_that_cannot_be_is_refused_in_one_line(config, message):
    with pytest.raises(ConfigError, match=message):
        models.build(config)


def test_a_neck_squeezes_the_maps_before_they_are_flattened():
    """Two channels of 3x3 maps make 18 values a class, and the neck itself is a 1x1
    convolution.
    """
    form = {
        "stem": 4,
        "widths": [5, 6],
        "padding": "same",
        "pool_after": [1, 2, 3],
        "global_pool": False,
    }

    flat, necked = (
        models.count(config_of("separable", **form, **neck))
        for neck in ({}, {"neck": 2})
    )
    assert flat - necked == (9 * 6 * 10) - (9 * 2 * 10) - (6 * 2 + 2)
