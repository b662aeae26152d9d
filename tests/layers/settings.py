"""Settings of all families, drawn: what a property of every network is checked on."""

from hypothesis import strategies as st

from paretune.models.family import ACTIVATIONS, NORMS

WIDTHS = st.integers(1, 7)
CHANNELS = st.sampled_from([1, 3])
IMAGES = st.tuples(CHANNELS, st.integers(16, 30), st.integers(16, 30))
SIGNALS = st.tuples(CHANNELS, st.just(1), st.integers(24, 60))
SHAPES = IMAGES | SIGNALS


def _listed(draw, name: str, layers: int, values) -> dict[str, object]:
    """One value for all layers, or one each."""
    if draw(st.booleans()):
        return {name: draw(values)}
    return {name: draw(st.lists(values, min_size=layers, max_size=layers))}


@st.composite
def dense_settings(draw) -> dict[str, object]:
    widths = draw(st.lists(WIDTHS, max_size=3))
    return {
        "widths": widths,
        **_listed(draw, "dropout", len(widths), st.sampled_from([0.0, 0.5])),
    }


@st.composite
def conv_settings(draw) -> dict[str, object]:
    layers = draw(st.integers(1, 3))
    return {
        "widths": draw(st.lists(WIDTHS, min_size=layers, max_size=layers)),
        "depth": draw(st.none() | st.integers(1, layers)),
        **_listed(draw, "kernel_size", layers, st.sampled_from([1, 2, 3, 5])),
        **_listed(draw, "padding", layers, st.sampled_from(["same", "valid"])),
        "pool_after": draw(st.sets(st.integers(1, layers))),
        "norm": draw(st.sampled_from(NORMS)),
        "dropout": draw(st.sampled_from([0.0, 0.3])),
        "bias": draw(st.booleans()),
        "neck": draw(st.none() | st.integers(1, 3)),
        "head": draw(st.lists(WIDTHS, max_size=2)),
        "head_norm": draw(st.booleans()),
        "head_dropout": draw(st.sampled_from([0.0, 0.3])),
    }


@st.composite
def squeeze_settings(draw) -> dict[str, object]:
    layers = draw(st.integers(1, 3))
    return {
        "widths": draw(st.lists(WIDTHS, min_size=layers, max_size=layers)),
        "depth": draw(st.none() | st.integers(1, layers)),
        **_listed(draw, "kernel_size", layers + 1, st.sampled_from([1, 3])),
        **_listed(draw, "padding", layers + 1, st.sampled_from(["same", "valid"])),
        "pool_after": draw(st.sets(st.integers(1, layers + 1), max_size=2)),
        "norm": draw(st.sampled_from(NORMS)),
        "dropout": draw(st.sampled_from([0.0, 0.3])),
        "bias": draw(st.booleans()),
    }


@st.composite
def separable_settings(draw) -> dict[str, object]:
    layers = draw(st.integers(1, 3))
    stem = draw(st.none() | WIDTHS)
    all_layers = layers + (stem is not None)
    return {
        "stem": stem,
        "widths": draw(st.lists(WIDTHS, min_size=layers, max_size=layers)),
        "depth": draw(st.none() | st.integers(1, layers)),
        **_listed(draw, "kernel_size", all_layers, st.sampled_from([1, 3])),
        **_listed(draw, "padding", all_layers, st.sampled_from(["same", "valid"])),
        "pool_after": draw(st.sets(st.integers(1, layers), max_size=2)),
        "norm": draw(st.sampled_from(NORMS)),
        **_listed(draw, "dropout", all_layers, st.sampled_from([0.0, 0.3])),
        "depthwise_bias": draw(st.booleans()),
        "bias": draw(st.booleans()),
        "global_pool": draw(st.booleans()),
        "neck": draw(st.none() | st.integers(1, 3)),
        "head": draw(st.lists(WIDTHS, max_size=2)),
        "head_dropout": draw(st.sampled_from([0.0, 0.3])),
    }


@st.composite
def inception_settings(draw) -> dict[str, object]:
    pairs = st.tuples(WIDTHS, WIDTHS)
    return {
        "pooled": draw(pairs),
        "five": draw(pairs),
        "one": draw(WIDTHS),
        "three": draw(pairs),
        "merged": draw(WIDTHS),
        "norm": draw(st.sampled_from(NORMS)),
        "dropout": draw(st.sampled_from([0.0, 0.3])),
    }


@st.composite
def recurrent_settings(draw) -> dict[str, object]:
    has_class_maps = draw(st.booleans())
    width = draw(st.integers(10, 23)) if has_class_maps else draw(WIDTHS)
    separable = draw(st.booleans())
    return {
        "stem": draw(WIDTHS),
        "width": width,
        "steps": draw(st.integers(1, 3)),
        "stem_kernel": draw(st.sampled_from([1, 3, 5])),
        "widen": draw(st.sampled_from(["conv", "repeat"])),
        "depthwise_kernels": draw(st.none() | st.integers(1, width))
        if separable
        else None,
        "class_maps": has_class_maps,
        "separable": separable,
        "norm": draw(st.sampled_from(NORMS)),
        "norm_each_step": draw(st.booleans()),
        "padding": draw(st.sampled_from(["same", "valid"])),
        "pool_middle": draw(st.booleans()),
        "pool_after_steps": draw(st.sets(st.integers(1, 3), max_size=1)),
        "bias": draw(st.booleans()),
        "dropout": draw(st.sampled_from([0.0, 0.3])),
        "head": [] if has_class_maps else draw(st.lists(WIDTHS, max_size=1)),
        "head_bias": draw(st.booleans()),
    }


SETTINGS = {
    "dense": dense_settings(),
    "conv": conv_settings(),
    "squeeze": squeeze_settings(),
    "separable": separable_settings(),
    "inception": inception_settings(),
    "recurrent": recurrent_settings(),
}


@st.composite
def models(draw) -> dict[str, object]:
    """A plain ``model`` config of any family; it may be one that leaves no pixel."""
    family = draw(st.sampled_from(sorted(SETTINGS)))
    settings = {
        name: sorted(value) if isinstance(value, set) else value
        for name, value in draw(SETTINGS[family]).items()
    }
    if family != "dense":
        settings["norm_first"] = draw(st.booleans()) or settings["norm"] == "instance"
    return {
        "_target_": f"paretune.models.{family}.{family.capitalize()}",
        **settings,
        "activation": draw(st.sampled_from(ACTIVATIONS)),
        "image_shape": list(draw(SHAPES)),
        "num_classes": draw(st.integers(2, 10)),
        "views": draw(st.sampled_from([1, 5, 13])),
        "image_pool": draw(st.sampled_from([1, 2, 3])),
    }
