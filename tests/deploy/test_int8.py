"""Networks in whole numbers: onnxruntime and the C code say the same."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deploy.c_folders import read_scale
from paretune import models
from paretune.data.images import Images
from paretune.deploy.c_files import CFiles
from paretune.deploy.c_int8 import write_c_int8
from paretune.deploy.c_program import describe_program, run_c
from paretune.deploy.fixed_point import find_factor
from paretune.deploy.int8 import write_int8
from paretune.deploy.int8_network import Quantised
from paretune.deploy.model import Deployable
from paretune.deploy.onnx import write_onnx
from paretune.deploy.runtime import Runtime
from paretune.errors import ExportError
from paretune.operations.types import Conv, LayerNorm, Linear, MaxPool, MeanOfMaps

PIXELS = (
    torch.rand(200, 1, 28, 28, generator=torch.Generator().manual_seed(1)) * 255
).byte()
IMAGES = (PIXELS / 255).numpy()
# One process writes what several tests read.
pytestmark = pytest.mark.xdist_group("int8")

WRITTEN = [
    ("conv", "norm=batch activation=silu"),
    ("dense", "widths=[16,8]"),
    ("squeeze", "norm_first=true"),
    ("squeeze", "activation=silu"),
    ("separable", "neck=3"),
    ("recurrent", "norm=batch"),
    ("recurrent", "norm_first=true pool_after_steps=[2]"),
    ("recurrent", "norm=scalar norm_first=true bias=false activation=leaky_relu"),
    ("recurrent", "norm=scalar norm_first=true norm_each_step=false activation=silu"),
    (
        "recurrent",
        (
            "stem=2 width=13 depthwise_kernels=3 widen=repeat class_maps=true "
            "norm=scalar norm_first=true bias=false"
        ),
    ),
    ("conv", "norm=scalar widths=[16,16]"),
    ("squeeze", "views=5"),
    ("squeeze", "padding=same image_pool=2"),
    ("squeeze", "padding=same image_pool=2 views=5"),
    ("dense", "image_pool=3"),
    # The same code, more copies.
    pytest.param("squeeze", "views=13", marks=pytest.mark.slow),
]


def in_int8(model: Deployable, folder: Path) -> Quantised:
    """The model exported, quantised into ``folder/model.int8.onnx`` and read back."""
    write_onnx(
        model,
        folder / "model.onnx",
        {"ink_share": 0.7, "class_names": list("abcdefghij")},
    )
    model = replace(
        model, training=Images(PIXELS, torch.zeros(len(PIXELS), dtype=torch.int64))
    )
    return write_int8(model, folder / "model.onnx", folder / "model.int8.onnx")


def files_in(folder: Path) -> CFiles:
    """The program beside ``folder/model.int8.onnx``."""
    return CFiles.beside(folder / "model.int8.onnx", is_whole=True)


@dataclass(frozen=True)
class Written:
    """A model in whole numbers, and what its program takes of RAM and flash."""

    model: Deployable
    quantised: Quantised
    files: CFiles
    ram_bytes: int
    flash_bytes: int


@pytest.fixture(scope="module")
def written_once() -> dict[str, Written]:
    """By the settings, what :func:`written` has written; exporting one takes
    seconds.
    """
    return {}


@pytest.fixture
def written(deployable, written_once, tmp_path_factory) -> Callable[[str], Written]:
    """Writes the network of such settings as ``model.int8.onnx`` and a program beside
    it, once for all tests.
    """

    def write(settings: str) -> Written:
        if settings not in written_once:
            model, folder = (
                deployable(*settings.split()),
                tmp_path_factory.mktemp("written"),
            )
            quantised = in_int8(model, folder)
            files = files_in(folder)
            ram, flash, _ = write_c_int8(quantised, model, files, "a test")
            written_once[settings] = Written(model, quantised, files, ram, flash)
        return written_once[settings]

    return write


@pytest.mark.parametrize(("family", "settings"), WRITTEN)
def test_the_c_code_gives_the_classes_and_the_logits_of_the_onnx_file(
    deployable, tmp_path, family, settings
):
    model = deployable(
        f"model={family}", *(f"model.{setting}" for setting in settings.split())
    )
    for parameter in model.net.parameters():
        parameter.data += 0.1  # norms' factors are not 1, nor what they add 0
    files = files_in(tmp_path)
    sizes = write_c_int8(in_int8(model, tmp_path), model, files, "a test")
    logits = Runtime(tmp_path / "model.int8.onnx").logits(IMAGES)
    whole = run_c(files, PIXELS.flatten(1).numpy())

    assert np.abs(whole * sizes.logit_scale - logits).max() < 0.05 * logits.std()
    assert read_scale(files) == pytest.approx(sizes.logit_scale, rel=1e-5)


@pytest.mark.parametrize(
    "family",
    [
        "conv",
        "dense",
        "squeeze",
        "squeeze model.activation=silu",
        "separable",
        "recurrent",
        "squeeze model.padding=same model.image_pool=2",
        "recurrent model.image_pool=3",
    ],
)
def test_it_takes_the_counted_memory(written, family):
    took = written(f"model={family}")
    wide, costs = (
        models.measure(took.model.point.config["model"], dtype).costs
        for dtype in ("float32", "int8")
    )

    assert took.ram_bytes == costs["ram_bytes"] == wide["ram_bytes"] / 4
    assert (
        0.85 * costs["flash_bytes"]
        < took.flash_bytes
        <= costs["flash_bytes"]
        < wide["flash_bytes"]
    )


@pytest.mark.parametrize(
    "family",
    ["separable", "recurrent model.norm=scalar model.activation=leaky_relu"],
)
def test_a_rectifier_and_the_scale_of_a_norm_are_part_of_what_comes_before_them(
    deployable, tmp_path, family
):
    """Each would round all values once more."""
    model = deployable(*f"model={family}".split())
    for parameter in model.net.parameters():
        parameter.data += 0.1  # a factor of 1 would be left out
    nodes = in_int8(model, tmp_path).nodes
    parts = [vars(node.joined) for node in nodes]
    joined = {name for each in parts for name, part in each.items() if part is not None}

    assert {type(node.operation) for node in nodes} <= {
        Conv,
        MaxPool,
        MeanOfMaps,
        Linear,
        LayerNorm,
    }
    assert joined == (
        {"slope"} if family == "separable" else {"slope", "factor", "added"}
    )


def test_the_file_keeps_what_a_reader_needs_and_is_close_to_the_network(written):
    squeeze = written("model=squeeze")
    model, runtime = (
        squeeze.model,
        Runtime(squeeze.files.folder.parent / "model.int8.onnx"),
    )

    assert runtime.class_names == list("abcdefghij")
    difference = runtime.logits(model.samples.numpy()) - model.logits()
    assert 0 < np.abs(difference).max() < 0.1 * model.logits().std()


@pytest.mark.parametrize(
    ("family", "layer", "what"),
    [
        ("conv model.norm=group", r"norm1` \(GroupNorm", "group_norm"),
        ("conv model.norm=instance", r"norm1` \(InstanceNorm2d", "instance_norm"),
        ("conv model.activation=prelu", r"activation1` \(PReLU", "prelu"),
        (
            "recurrent model.norm=group",
            r"[a-z0-9.]*norm1` \(GroupNorm",
            "group_norm",
        ),
        (
            "squeeze model.norm=group model.views=5",
            r"norm1` \(GroupNorm",
            "group_norm",
        ),
    ],
)
def test_a_layer_that_has_no_whole_numbers_is_named(
    deployable, tmp_path, family, layer, what
):
    model = deployable(*f"model={family}".split())
    operation = rf"operation `.*{what}.*` cannot be written in C; use .*, or export without --int8 with --c"
    with pytest.raises(
        ExportError, match=rf"layer `{layer}\) cannot be exported: {operation}"
    ):
        write_c_int8(in_int8(model, tmp_path), model, files_in(tmp_path), "a test")


def test_a_value_without_a_finite_range_is_refused(deployable, tmp_path):
    """Inception pads with minus infinity before it pools."""
    said = (
        r"layer `[a-z0-9.]+` gives values without a finite range, .*; use finite "
        r"numbers, .* without --int8"
    )
    with pytest.raises(ExportError, match=said):
        in_int8(deployable("model=inception"), tmp_path)


def test_the_sizes_of_the_program_are_those_of_the_block_and_the_weights(written):
    separable = written("model=separable")
    ram, flash = separable.ram_bytes, separable.flash_bytes
    words = describe_program(separable.files).replace(",", "")
    text, data, stack = map(int, re.findall(r"\b\d+\b", words)[:3])

    assert text > flash
    assert ram <= data < ram + 100
    assert 0 < stack < 1000


@given(st.floats(1e-9, 1e6) | st.floats(-1e6, -1e-9))
def test_a_factor_is_next_to_its_multiplier_and_has_31_bits(multiplier):
    factor, shift = find_factor(multiplier)

    assert factor / 2**shift == pytest.approx(multiplier, rel=2e-9, abs=2**-62)
    assert abs(factor) <= 2**30
