"""Programs of networks that pool the image first: it comes in row by row."""

import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from deploy.c_folders import output_of, read_size
from paretune import models
from paretune.data.images import Images, Scaling
from paretune.deploy.c_files import CFiles
from paretune.deploy.c_float import write_c
from paretune.deploy.c_images import encode
from paretune.deploy.c_input import CInput, Order
from paretune.deploy.c_int8 import write_c_int8
from paretune.deploy.c_kernels import read_kernels
from paretune.deploy.c_program import run_c
from paretune.deploy.int8 import write_int8
from paretune.deploy.model import Deployable, WithScaling
from paretune.deploy.onnx import write_onnx
from paretune.deploy.runtime import Runtime
from paretune.errors import ExportError
from paretune.front import Point
from paretune.models.image_pool import Pooled
from paretune.models.views import Views

# A camera's: the channels of a pixel lie side by side, and the last row and the last columns fill no square.
SHAPE = (3, 11, 13)
PIXELS = (
    torch.rand(50, *SHAPE, generator=torch.Generator().manual_seed(2)) * 255
).byte()
FAMILY = {
    "_target_": "paretune.models.conv.Conv",
    "widths": [3],
    "pool_after": [],
    "image_shape": list(SHAPE),
    "num_classes": 4,
}
DENSE = {
    "_target_": "paretune.models.dense.Dense",
    "widths": [2],
    "image_shape": list(SHAPE),
    "num_classes": 4,
}
LANGUAGES = [
    (compiler, language, standard)
    for compiler in ("gcc", "clang")
    for language, standard in (("c", "c99"), ("c++", "c++11"))
    if shutil.which(compiler)
]
# Channels of a planar program take turns; of any other one call takes a row.
MAINS = {
    Order.CHW: """
      for (int32_t channel = 0; channel < 3; channel++)
        net_row(row, channel, line + channel, 3, 0);""",
    Order.HWC: "net_row(row, line, 0);",
}
MAIN = """
#include <stdio.h>
#include "net.h"
int main(void) {{
  static uint8_t image[11][13 * 3];
  static {logit} logits[4];
  while (fread(image, 1, sizeof image, stdin) == sizeof image) {{
    for (int32_t row = 0; row < 11; row++) {{
      uint8_t line[13 * 3];
      for (int32_t i = 0; i < 13 * 3; i++) line[i] = image[row][i];
      {rows}
    }}
    const int32_t number = net_finish(logits, 0);
    fwrite(logits, sizeof *logits, 4, stdout);
    fwrite(&number, sizeof number, 1, stdout);
  }}
  return 0;
}}
"""


def of_net(net: nn.Module, shape: tuple[int, ...] = SHAPE) -> Deployable:
    """A network on images of this shape, with images to quantise it by."""
    pixels = PIXELS[:, : shape[0], : shape[1], : shape[2]]
    return Deployable(
        WithScaling(net, Scaling(90.0, 50.0)).eval(),
        Point(costs={"params": 1}, f1=0.5),
        pixels / 255,
        1.0,
        training=Images(pixels, torch.zeros(len(pixels), dtype=torch.int64)),
    )


def of_settings(**settings: object) -> Deployable:
    torch.manual_seed(0)
    return of_net(models.build({**FAMILY, **settings}))


# What is replaced in the function for a program that takes bytes.
BYTES = """#include <stdint.h>
#define INPUT uint8_t
#define PIXEL(number, channel) (number)
"""


def floats_in(folder: Path, order: Order = Order.CHW) -> CFiles:
    """The program in floats beside ``folder/net.onnx``."""
    return CFiles.beside(folder / "net.onnx", CInput(order))


def whole_in(folder: Path, order: Order = Order.CHW) -> CFiles:
    """The program in whole numbers beside ``folder/net.onnx``."""
    return CFiles.beside(folder / "net.onnx", CInput(order), is_whole=True)


def write_whole(model: Deployable, files: CFiles):
    """The program in whole numbers of a model; returns its sizes."""
    folder = files.folder.parent
    write_onnx(model, folder / "model.onnx", {})
    network = write_int8(model, folder / "model.onnx", folder / "model.int8.onnx")
    return write_c_int8(network, model, files, "a test")


def run_rows(files: CFiles, language: tuple[str, str, str]):
    """Logits and classes of the images by the functions that take rows of cameras."""
    rows = MAINS[files.c_input.order]
    main = MAIN.format(logit=files.logit, rows=rows)
    side_by_side = np.ascontiguousarray(PIXELS.permute(0, 2, 3, 1).numpy())
    output = output_of(main, [files], language, data=side_by_side.tobytes())
    words = np.frombuffer(output, np.int32).reshape(len(PIXELS), 5)
    return words[:, :4].copy().view(files.logit_dtype), words[:, 4]


@pytest.mark.parametrize("order", MAINS)
@pytest.mark.parametrize("image_pool", [2, 3])
@pytest.mark.parametrize("language", LANGUAGES, ids=str)
def test_rows_of_a_camera_give_torchs_logits_in_floats(
    tmp_path, order, image_pool, language
):
    model = of_settings(image_pool=image_pool)
    files = floats_in(tmp_path, order)
    write_c(model, files, "a test")

    logits, classes = run_rows(files, language)

    assert np.allclose(logits, model.logits(), atol=1e-4)
    assert np.array_equal(classes, model.logits().argmax(axis=1))


@pytest.mark.parametrize("order", MAINS)
@pytest.mark.parametrize("image_pool", [2, 3])
@pytest.mark.parametrize("language", LANGUAGES, ids=str)
def test_rows_of_a_camera_give_the_whole_numbers_of_the_whole_image(
    tmp_path, order, image_pool, language
):
    files = whole_in(tmp_path, order)
    write_whole(of_settings(image_pool=image_pool), files)
    whole = run_c(files, encode((PIXELS / 255).numpy(), files.c_input))

    logits, classes = run_rows(files, language)

    assert np.array_equal(logits, whole)
    assert np.array_equal(classes, whole.argmax(axis=1))


@pytest.mark.parametrize("image_pool", [2, 3])
@pytest.mark.parametrize("views", [1, 5])
def test_whole_numbers_are_those_of_the_onnx_file(tmp_path, image_pool, views):
    files = whole_in(tmp_path)
    sizes = write_whole(of_settings(image_pool=image_pool, views=views), files)
    logits = Runtime(tmp_path / "model.int8.onnx").logits((PIXELS / 255).numpy())
    whole = run_c(files, PIXELS.flatten(1).numpy())

    assert np.abs(whole * sizes.logit_scale - logits).max() < 0.05 * logits.std()


@pytest.mark.parametrize("image_pool", [2, 3])
@pytest.mark.parametrize("views", [1, 5, 13])
@pytest.mark.parametrize("family", [FAMILY, DENSE], ids=["conv", "dense"])
def test_the_code_works_in_the_counted_bytes(tmp_path, family, image_pool, views):
    """The block has the small image alone; several looks need a copy of the full one,
    and a sum for each class.
    """
    config = {**family, "image_pool": image_pool, "views": views}
    model = of_net(models.build(config))
    floats, whole = (models.measure(config, d).costs for d in ("float32", "int8"))

    sizes = write_whole(model, whole_in(tmp_path))
    assert sizes.ram_bytes == whole["ram_bytes"]
    assert sizes.flash_bytes <= whole["flash_bytes"]
    write_c(model, floats_in(tmp_path), "a test")
    sums_bytes = 4 * 4 if views > 1 else 0
    block = read_size(floats_in(tmp_path), "MEMORY_BYTES")
    assert block == floats["ram_bytes"] + sums_bytes


def test_the_counted_ram_is_that_of_the_small_image():
    pooled, small, full = (
        models.measure({**FAMILY, **settings}).costs["ram_bytes"]
        for settings in ({"image_pool": 2}, {"image_shape": [3, 5, 6]}, {})
    )

    assert pooled == small < full / 3


def test_whole_numbers_count_the_sums_of_a_row_where_these_are_the_most():
    """Two bytes a square; later values take less than these here, and more above."""
    dense = {**DENSE, "widths": [], "image_pool": 2}

    assert models.measure(dense, "int8").costs["ram_bytes"] == 3 * 5 * 6 + 2 * 3 * 6
    assert models.measure(dense).costs["ram_bytes"] == 4 * (3 * 5 * 6 + 4)


def foreign() -> nn.Module:
    """A network that no layers describe."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(24, 4))


@pytest.mark.parametrize("views", [1, 5])
def test_a_network_of_ones_own_is_pooled_too(tmp_path, views):
    net = Pooled(foreign(), 2)
    model = of_net(net if views == 1 else Views(net, views))
    files = whole_in(tmp_path)
    sizes = write_whole(model, files)
    logits = Runtime(tmp_path / "model.int8.onnx").logits((PIXELS / 255).numpy())
    whole = run_c(files, PIXELS.flatten(1).numpy())

    assert np.abs(whole * sizes.logit_scale - logits).max() < 0.05 * logits.std()
    assert ("net_row(" in files.header.read_text()) == (views == 1)
    assert write_c(model, floats_in(tmp_path), "a test") < 1e-4


TURNS = """
#include <stdio.h>
#include "net.h"
static float blocks[2][NET_MEMORY_BYTES / sizeof(float)];
static uint8_t images[2][NET_INPUT_SIZE];
static float logits[2][NET_CLASSES];
int main(void) {
  if (fread(images, 1, sizeof images, stdin) != sizeof images) return 1;
  for (int32_t row = 0; row < NET_HEIGHT; row++)
    for (int32_t i = 0; i < 2; i++)
      net_row(row, images[i] + row * NET_WIDTH * NET_CHANNELS, blocks[i]);
  for (int32_t i = 0; i < 2; i++) net_finish(logits[i], blocks[i]);
  fwrite(logits, 1, sizeof logits, stdout);
  return 0;
}
"""


def test_two_images_may_come_in_turns_into_blocks_of_the_callers(tmp_path):
    files = floats_in(tmp_path, Order.HWC)
    write_c(of_settings(image_pool=2), files, "a test")
    inputs = encode((PIXELS[:2] / 255).numpy(), files.c_input)
    options = ("-DNET_CALLER_MEMORY",)
    said = output_of(TURNS, [files], options=options, data=inputs.tobytes())

    expected = run_c(files, inputs)
    assert np.array_equal(np.frombuffer(said, np.float32).reshape(2, -1), expected)


def read_header(folder: Path, order: Order = Order.CHW, **settings: object) -> str:
    files = floats_in(folder, order)
    write_c(of_settings(**settings), files, "a test")
    return files.header.read_text()


def test_a_header_says_how_to_give_rows(tmp_path):
    planar = read_header(tmp_path, image_pool=2)
    pixels = read_header(tmp_path, Order.HWC, image_pool=2)
    packed = read_header(tmp_path, Order.RGB565, image_pool=2)

    assert "Give net_row each of the 11 rows of each channel, from the top" in planar
    assert "net_row(int32_t row, const uint8_t *numbers, void *memory)" in pixels
    assert "net_row(int32_t row, const uint16_t *numbers, void *memory)" in packed
    assert "net_finish fills the logits, as above" in planar


@pytest.mark.parametrize("settings", [{}, {"image_pool": 2, "views": 5}])
def test_other_networks_take_whole_images_alone(tmp_path, settings):
    assert "net_row" not in read_header(tmp_path, **settings)


def test_a_mean_pool_behind_a_layer_is_written_in_floats_alone(tmp_path):
    net = nn.Sequential(
        nn.Conv2d(3, 2, 2), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(60, 4)
    )
    model = of_net(net)

    assert write_c(model, floats_in(tmp_path), "a test") < 1e-4
    with pytest.raises(
        ExportError, match=r"layer `1` \(AvgPool2d\) .* operation `mean_pool2d` cannot"
    ):
        write_whole(model, whole_in(tmp_path))


@pytest.fixture(scope="module")
def squares(tmp_path_factory):
    """The function in whole numbers that takes a row, compiled."""
    folder = tmp_path_factory.mktemp("squares")
    kernels = read_kernels("kernels_int8.c")
    sources = [kernels[name] for name in ("clipped", "squares")]
    text = "\n".join([BYTES, *sources]).replace("static void", "void")
    (folder / "kernels.c").write_text(text)
    subprocess.run(
        ["gcc", "-O1", "-shared", "-fPIC", "kernels.c", "-o", "kernels.so"],
        cwd=folder,
        check=True,
    )
    function = ctypes.CDLL(str(folder / "kernels.so")).KERNEL_squares
    whole, address = ctypes.c_int32, ctypes.c_void_p
    function.argtypes = [address, *[whole] * 3, address, address, *[whole] * 5]
    function.argtypes += [ctypes.c_int64, whole]
    function.restype = None
    return function


@given(
    st.tuples(st.integers(1, 3), st.integers(3, 9), st.integers(3, 9)),
    st.sampled_from([(2, 2), (3, 3), (1, 2), (1, 3)]),
    st.integers(1, 3),
    st.integers(0, 2**32 - 1),
)
def test_a_mean_is_the_exact_sum_rounded_once(squares, shape, window, step, seed):
    """In steps of 1/2^8 of the sum, half upwards; rows and columns left over add
    nothing.
    """
    channels, height, width = shape
    down, across = window
    rows, columns = height // down, width // across
    pixels = np.random.default_rng(seed).integers(
        0, 256, (height, channels, width, step), np.uint8
    )
    out = np.full((channels, rows, columns), 99, np.int8)
    sums = np.full((channels, 2, columns), 99, np.int8)
    factor, shift, zero = 255 // (down * across), 8, -128
    offset = (zero << shift) + (1 << (shift - 1))
    for row in range(height):
        for channel in range(channels):
            line = pixels[row, channel].ctypes.data
            sides = (rows, columns, *window, factor, offset, shift)
            places = (out.ctypes.data, sums.ctypes.data)
            squares(line, step, row, channel, *places, *sides)

    used = pixels[: rows * down, :, : columns * across, 0].astype(int)
    parts = used.reshape(rows, down, channels, columns, across)
    expected = (parts.sum(axis=(1, 4)).transpose(1, 0, 2) * factor + offset) >> shift
    assert np.array_equal(out, expected.clip(-128, 127))
