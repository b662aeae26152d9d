"""Networks of signals, which are images of height one, leave Paretune as others do."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from deploy.test_deploy import FAMILIES
from paretune.data.images import Images
from paretune.deploy.c_files import CFiles
from paretune.deploy.c_float import write_c
from paretune.deploy.c_int8 import write_c_int8
from paretune.deploy.c_program import run_c
from paretune.deploy.int8 import write_int8
from paretune.deploy.onnx import write_onnx
from paretune.deploy.runtime import Runtime

SIGNAL = "model.image_shape=[2,1,41]"
VARIANTS = [
    *((family, "init=torch") for family in FAMILIES),
    ("conv", "norm=batch activation=silu"),
    ("squeeze", "image_pool=2"),
    ("separable", "views=5"),
    ("recurrent", "views=13 image_pool=3"),
]


@pytest.fixture
def signal(deployable):
    """A network of signals by its family and settings."""

    def make(family: str, settings: str):
        lines = [f"model.{setting}" for setting in settings.split()]
        return deployable(f"model={family}", SIGNAL, *lines)

    return make


@pytest.mark.parametrize(("family", "settings"), VARIANTS)
def test_the_c_program_says_what_torch_says(signal, tmp_path, family, settings):
    files = CFiles.beside(tmp_path / "model.onnx")

    assert write_c(signal(family, settings), files, "a test") < 1e-4


@pytest.mark.parametrize(("family", "settings"), VARIANTS)
def test_onnx_says_what_torch_says(signal, tmp_path, family, settings):
    model = signal(family, settings)
    write_onnx(model, tmp_path / "model.onnx", {"ink_share": 1.0})
    logits = Runtime(tmp_path / "model.onnx").logits(model.samples.numpy())

    assert np.allclose(logits, model.logits(), atol=1e-4)


@pytest.mark.parametrize(
    ("family", "settings"),
    [("conv", "norm=batch"), ("squeeze", "image_pool=2"), ("recurrent", "views=5")],
)
def test_in_whole_numbers_c_says_what_onnx_says(signal, tmp_path, family, settings):
    model = signal(family, settings)
    pixels = (model.samples * 255).byte()
    labels = torch.zeros(len(pixels), dtype=torch.int64)
    model = replace(model, training=Images(pixels, labels))
    write_onnx(model, tmp_path / "model.onnx", {"ink_share": 1.0})
    whole = tmp_path / "model.int8.onnx"
    quantised = write_int8(model, tmp_path / "model.onnx", whole)
    files = CFiles.beside(whole, is_whole=True)
    sizes = write_c_int8(quantised, model, files, "a test")
    expected = Runtime(whole).logits((pixels / 255).numpy()).argmax(1)
    classes = run_c(files, pixels.flatten(1).numpy()).argmax(1)

    assert (classes == expected).mean() > 0.9
    assert sizes.ram_bytes == model.point.costs.get("ram_bytes", sizes.ram_bytes)
