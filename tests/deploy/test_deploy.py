"""Every family, norm and activation leaves Paretune and still says the same."""

import json
import re
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open

from deploy.c_folders import read_size
from paretune import models
from paretune.commands.export_files import file_names, is_agreement
from paretune.data.images import Images, Scaling
from paretune.deploy.c_files import CFiles
from paretune.deploy.c_float import write_c
from paretune.deploy.card import describe_costs, write_card, write_safetensors
from paretune.deploy.ink import measure_ink_share
from paretune.deploy.model import Deployable, WithScaling
from paretune.deploy.onnx import write_onnx
from paretune.deploy.picture import Placing
from paretune.deploy.runtime import Runtime
from paretune.errors import ExportError, StoreError
from paretune.front import Point

FAMILIES = ("dense", "conv", "squeeze", "separable", "inception", "recurrent")
EVERY = [
    "norm=none activation=leaky_relu",
    "norm=instance activation=prelu",
    "norm=group activation=silu",
    "norm=scalar activation=relu",
]
DEEP = [
    ("separable", "norm=batch bias=false activation=silu"),
    ("squeeze", "class_kernel=1 depth=3"),
    ("recurrent", "pool_after_steps=[2] norm_each_step=false activation=silu"),
    ("squeeze", "views=5"),
    ("squeeze", "padding=same image_pool=2"),
    ("squeeze", "padding=same image_pool=2 views=5"),
    ("dense", "image_pool=3"),
    (
        "recurrent",
        (
            "stem=2 width=13 depthwise_kernels=3 widen=repeat class_maps=true "
            "norm=scalar bias=false"
        ),
    ),
]
VARIANTS = (
    [(family, "activation=relu") for family in FAMILIES]
    + [("conv", variant) for variant in EVERY]
    + DEEP
)


@pytest.mark.parametrize(("family", "settings"), VARIANTS)
def test_the_c_program_says_what_torch_says(deployable, tmp_path, family, settings):
    model = deployable(
        f"model={family}", *(f"model.{setting}" for setting in settings.split())
    )
    files = CFiles.beside(tmp_path / "model.onnx")

    assert write_c(model, files, "a test") < 1e-4
    assert [path.name for path in tmp_path.iterdir()] == ["model_c"]
    names = {path.name for path in files.folder.iterdir()}
    assert names == {"model.h", "model.c", "model_test.c", "Makefile"}


@pytest.mark.parametrize("family", FAMILIES)
def test_onnx_says_what_torch_says_for_a_batch_of_any_size(
    deployable, tmp_path, family
):
    model = deployable(f"model={family}")
    write_onnx(model, tmp_path / "model.onnx", {"ink_share": 0.7})
    runtime = Runtime(tmp_path / "model.onnx")

    for size in (1, 3, 40):
        assert np.allclose(
            runtime.logits(model.samples[:size].numpy()),
            model.logits()[:size],
            atol=1e-4,
        )
    assert (runtime.placing, runtime.class_names[3]) == (
        Placing((1, 28, 28), "ink", 0.7),
        "3",
    )


@pytest.mark.parametrize(
    "forward",
    [
        lambda x: torch.linalg.svdvals(x.reshape(-1, 4, 4)),
        lambda x: x.flatten(1) if x.sum() > 0 else -x.flatten(1),
    ],
    ids=["an operation that ONNX has not", "a choice by values"],
)
def test_a_network_that_onnx_cannot_hold_is_refused_in_one_line(tmp_path, forward):
    net = torch.nn.Module()
    net.forward = forward
    model = Deployable(
        WithScaling(net, Scaling(0.0, 1.0)).eval(),
        Point(costs={"params": 1}, f1=0.5),
        torch.rand(2, 1, 4, 4),
        1.0,
    )

    with pytest.raises(
        ExportError,
        match=r"network cannot be written as ONNX \(.+\); use operations that torch.onnx",
    ) as said:
        write_onnx(model, tmp_path / "model.onnx", {})
    assert "\n" not in str(said.value)
    assert list(tmp_path.iterdir()) == []


def test_onnx_holds_no_path_of_this_machine(deployable, tmp_path):
    write_onnx(deployable("model=conv"), tmp_path / "model.onnx", {})
    proto = onnx.load(tmp_path / "model.onnx")

    assert "/" + "paretune/" not in str(proto)
    assert proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"


def test_a_model_that_says_something_else_is_not_kept(
    deployable, tmp_path, monkeypatch
):
    model = deployable("model=conv")
    monkeypatch.setattr(
        Deployable, "logits", lambda self: np.zeros((40, 10), np.float32)
    )

    with pytest.raises(
        ExportError,
        match=r"ONNX differs from torch by .* of 40 images another class; .* not kept",
    ):
        write_onnx(model, tmp_path / "model.onnx", {})
    assert list(tmp_path.iterdir()) == []


def test_an_operation_that_c_has_not_is_named(tmp_path):
    class Odd(torch.nn.Module):
        def forward(self, images):
            return torch.sort(images.flatten(1))[0][:, :10]

    model = Deployable(
        WithScaling(Odd(), Scaling(0.0, 1.0)).eval(),
        Point(costs={"params": 1}, f1=0.5),
        torch.rand(2, 1, 4, 4),
        1.0,
    )
    with pytest.raises(
        ExportError,
        match=r"operation `sort` cannot be written in C; .* export without --c",
    ):
        write_c(model, CFiles.beside(tmp_path / "model.onnx"), "odd")
    assert describe_costs(model)["MACs per image"] == "0"


@pytest.mark.parametrize(
    ("forward", "operation"),
    [
        (
            lambda x: (x * x.mean(dim=(2, 3), keepdim=True)).flatten(1),
            r"mul_values of \[\(1, 4, 4\), \(1, 1, 1\)\]",
        ),
        (lambda x: x[..., ::2].flatten(1), "slice with a step"),
        (
            lambda x: torch.nn.functional.max_pool2d(x, 2, 1, dilation=2).flatten(1),
            "max_pool2d with dilation",
        ),
    ],
)
def test_a_form_of_an_operation_that_c_has_not_is_named(tmp_path, forward, operation):
    layer = torch.nn.Module()
    layer.forward = forward
    net = torch.nn.Sequential(OrderedDict(odd=layer))
    model = Deployable(
        WithScaling(net, Scaling(0.0, 1.0)).eval(),
        Point(costs={"params": 1}, f1=0.5),
        torch.rand(2, 1, 4, 4),
        1.0,
    )
    said = rf"layer `odd` \(Module\) cannot be exported: operation `{operation}` cannot be written in C"
    with pytest.raises(ExportError, match=said):
        write_c(model, CFiles.beside(tmp_path / "model.onnx"), "odd")


def test_without_a_compiler_no_program_is_kept(deployable, tmp_path, monkeypatch):
    files = CFiles.beside(tmp_path / "model.onnx")
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(
        ExportError, match=r"C compiler `gcc` is not on the PATH; .* leave out --c"
    ):
        write_c(deployable("model=dense"), files, "a test")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("family", FAMILIES)
def test_the_program_works_in_the_counted_bytes(deployable, tmp_path, family):
    """Those that the network has before it is trained, on the meta device."""
    model = deployable(f"model={family}")
    files = CFiles.beside(tmp_path / "model.onnx")
    write_c(model, files, "a test")
    costs = models.measure(model.point.config["model"]).costs

    assert read_size(files, "MEMORY_BYTES") == costs["ram_bytes"]
    assert read_size(files, "FLASH_BYTES") == costs["flash_bytes"]


def test_the_constants_of_the_code_take_the_bytes_that_the_header_says(
    deployable, tmp_path
):
    files = CFiles.beside(tmp_path / "model.onnx")
    write_c(deployable("model=squeeze"), files, "a test")
    arrays = re.findall(r"static const float \w+\[(\d+)\]", files.code.read_text())

    assert 4 * sum(map(int, arrays)) == read_size(files, "FLASH_BYTES")


def test_a_program_that_looks_several_times_has_the_code_of_one_look(
    deployable, tmp_path
):
    model = deployable("model=squeeze", "model.views=13")
    often, once = (CFiles.beside(tmp_path / f"{n}.onnx") for n in ("often", "once"))
    write_c(model, often, "a test")
    write_c(model.single_view, once, "a test")
    calls = [files.code.read_text().count("_conv2d(") for files in (often, once)]
    copy_and_sums = 4 * (28 * 28 + 10)

    assert calls[0] == calls[1]
    difference = read_size(often, "MEMORY_BYTES") - read_size(once, "MEMORY_BYTES")
    assert difference == copy_and_sums


def test_the_card_and_the_weights_stand_for_themselves(deployable, tmp_path):
    model = deployable("model=dense")
    write_card(
        model,
        tmp_path / "model.md",
        {"parameters": "7"},
        ["paretune export x model.onnx"],
    )
    write_safetensors(model, tmp_path / "model.safetensors")
    text = (tmp_path / "model.md").read_text()

    assert "| parameters | 7 |" in text
    assert "paretune export x model.onnx" in text
    with safe_open(tmp_path / "model.safetensors", "pt") as file:
        assert json.loads(file.metadata()["config"]) == dict(model.point.config)
        assert set(file.keys()) == set(model.net.net.state_dict())


def test_a_file_that_is_no_model_is_one_line(tmp_path):
    (tmp_path / "model.onnx").write_text("no model")

    with pytest.raises(
        StoreError,
        match=(
            r"model `.*model.onnx` was not written by paretune export \(.*\); check "
            r"the path"
        ),
    ):
        Runtime(tmp_path / "model.onnx")
    info = onnx.helper.make_tensor_value_info("x", 1, [1])
    graph = onnx.helper.make_graph([], "g", [info], [info])
    onnx.save(
        onnx.helper.make_model(
            graph, ir_version=10, opset_imports=[onnx.helper.make_opsetid("", 20)]
        ),
        tmp_path / "model.onnx",
    )
    with pytest.raises(
        StoreError,
        match=r"model `.*model.onnx` was not written by paretune export \(it is of",
    ):
        Runtime(tmp_path / "model.onnx")


@given(st.integers(1, 28), st.integers(1, 28))
def test_the_ink_share_is_the_longer_side_of_what_is_shown(height, width):
    pixels = torch.zeros(3, 1, 28, 28, dtype=torch.uint8)
    pixels[:, :, :height, :width] = 200

    assert measure_ink_share(Images(pixels, torch.zeros(3))) == max(height, width) / 28
    wide = torch.nn.functional.pad(pixels, [0, 28])
    assert measure_ink_share(Images(wide, torch.zeros(3))) == max(height, width) / 28


def test_nothing_that_is_shared_names_a_folder_of_this_machine(deployable, tmp_path):
    model = deployable("model=dense")
    trainer = {"distillation": {"teacher": "/home/me/teacher.pt"}}
    config = {
        **model.point.config,
        "data": {"root": "/home/me/data", "name": "mnist"},
        "trainer": trainer,
    }
    model = replace(model, point=replace(model.point, config=config))
    write_card(model, tmp_path / "m.md", {}, [])
    write_safetensors(model, tmp_path / "m.safetensors")

    assert "name: mnist" in (tmp_path / "m.md").read_text()
    assert "teacher: teacher.pt" in (tmp_path / "m.md").read_text()
    assert "/home/me" not in (tmp_path / "m.md").read_text()
    assert b"/home/me" not in (tmp_path / "m.safetensors").read_bytes()


def test_a_point_without_a_family_is_still_a_card(deployable, tmp_path):
    model = deployable("model=dense")
    write_card(
        replace(model, point=replace(model.point, family="")),
        Path(tmp_path / "m.md"),
        {},
        [],
    )

    assert (tmp_path / "m.md").read_text().startswith("# , ")


def test_a_norm_of_one_number_is_not_stored_value_by_value(deployable, tmp_path):
    """Its ones would be most of the file: a number for each value of the maps."""
    model = deployable("model=recurrent", "model.norm=scalar")
    write_onnx(model, tmp_path / "model.onnx", {})

    assert (tmp_path / "model.onnx").stat().st_size < 20_000 + 4 * model.point.params


@pytest.mark.parametrize(
    ("same", "images", "is_enough"),
    [
        (360, 360, True),
        (359, 360, True),
        (358, 360, False),
        (9990, 10000, True),
        (9989, 10000, False),
    ],
)
def test_one_image_in_a_thousand_may_get_another_class_in_int8(same, images, is_enough):
    assert is_agreement(same, images) == is_enough


def test_members_of_equal_parameters_have_files_of_their_own():
    """On a front over multiply-accumulates, say."""
    points = [
        Point(costs={"params": 100}, f1=0.8, run_id="a" * 32),
        Point(costs={"params": 200}, f1=0.9, run_id="b" * 32),
        Point(costs={"params": 200}, f1=0.95, run_id="c" * 32),
    ]

    assert [path.name for path in file_names(Path(), points)] == [
        "100.onnx",
        "200-bbbbbbbb.onnx",
        "200-cccccccc.onnx",
    ]
