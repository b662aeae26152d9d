"""Programs on a processor whose ``int`` has 16 bits, and on one without floating point,
pass their own tests: they give what they give here.
"""

from dataclasses import replace

import pytest

from deploy import avr, cortex
from deploy.test_int8 import PIXELS, files_in, in_int8
from deploy.test_int8_graphs import WRITTEN, hand_made
from paretune.data.images import Scaling
from paretune.deploy.c_files import CFiles
from paretune.deploy.c_float import write_c
from paretune.deploy.c_int8 import write_c_int8
from paretune.deploy.model import Deployable, WithScaling

NEEDS_AVR = pytest.mark.skipif(
    bool(avr.missing()),
    reason=f"needs {avr.missing()} (Debian: gcc-avr, avr-libc, simavr)",
)
NEEDS_CORTEX = pytest.mark.skipif(
    bool(cortex.missing()),
    reason=(
        f"needs {cortex.missing()} (Debian: gcc-arm-none-eabi, "
        "libnewlib-arm-none-eabi, qemu-system-arm)"
    ),
)
CHIPS = [
    pytest.param(avr, marks=NEEDS_AVR, id="ATmega1284P"),
    pytest.param(cortex, marks=NEEDS_CORTEX, id="Cortex-M3"),
]
WHOLE = (
    "separable",
    "squeeze model.activation=silu model.widths=[3,3,3,3,3,3,3]",
    "squeeze model.widths=[2,2,2,2,2] model.views=5",
    "squeeze model.image_pool=2",
    "conv model.widths=[2] model.pool_after=[1] model.image_pool=3 model.views=5",
    (
        "recurrent model.stem=3 model.width=5 model.norm=scalar model.bias=false "
        "model.activation=leaky_relu"
    ),
)
FLOATS = (
    "dense model.widths=[2]",
    "dense model.widths=[2] model.image_pool=2",
    "recurrent model.stem=1 model.width=2",
)
GRAPHS = (
    "a gate by other maps",
    "a residual",
    "a factor for each map",
    "means of maps as the last",
)


def with_one_sample(model: Deployable) -> Deployable:
    """The model with norms' factors that are not 1, summands that are not 0, and one
    reference input, which takes an emulator long enough.
    """
    for parameter in model.net.parameters():
        parameter.data += 0.1
    return replace(model, samples=PIXELS[:1] / 255)


@pytest.mark.slow
@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("family", WHOLE)
def test_a_family_in_whole_numbers_passes_its_test(deployable, tmp_path, family, chip):
    model = with_one_sample(deployable(*f"model={family}".split()))
    files = files_in(tmp_path)
    write_c_int8(in_int8(model, tmp_path), model, files, "a test")
    code, said = chip.run(files, tmp_path)

    assert "model_int8: 1 of 1 reference inputs give their outputs" in said
    assert code == 0


@pytest.mark.slow
@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("graph", GRAPHS)
def test_any_network_in_whole_numbers_passes_its_test(
    deployable, tmp_path, graph, chip
):
    net = WithScaling(hand_made(WRITTEN[graph]), Scaling(33.0, 78.0)).eval()
    model = with_one_sample(replace(deployable("model=conv"), net=net))
    files = files_in(tmp_path)
    write_c_int8(in_int8(model, tmp_path), model, files, "a test")

    assert chip.run(files, tmp_path)[0] == 0


@pytest.mark.slow
@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("family", FLOATS)
def test_a_network_in_floats_passes_its_test(deployable, tmp_path, family, chip):
    model = with_one_sample(deployable(*f"model={family}".split()))
    files = CFiles.beside(tmp_path / "model.onnx")
    write_c(model, files, "a test")

    assert chip.run(files, tmp_path)[0] == 0


@pytest.mark.slow
@pytest.mark.parametrize("chip", CHIPS)
def test_another_weight_fails_the_test(deployable, tmp_path, chip):
    model = with_one_sample(deployable("model=dense", "model.widths=[2]"))
    files = CFiles.beside(tmp_path / "model.onnx")
    write_c(model, files, "a test")
    code = files.code.read_text()
    weights = code.index("] = {\n") if "] = {\n" in code else code.index("FLASH = {\n")
    changed = code.index("\n", weights) + 1
    files.code.write_text(f"{code[:changed]}  9.0f +{code[changed:]}")

    assert chip.run(files, tmp_path)[0] == 1


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("language", ["c", "c++"])
def test_no_compiler_of_a_chip_warns(deployable, tmp_path, chip, language):
    model = with_one_sample(deployable("model=conv", "model.norm=batch"))
    floats, whole = CFiles.beside(tmp_path / "model.onnx"), files_in(tmp_path)
    write_c(model, floats, "a test")
    write_c_int8(in_int8(model, tmp_path), model, whole, "a test")

    for files in (floats, whole):
        for source in (files.code, files.test):
            chip.build(source, tmp_path / "object.o", language=language)
            assert (tmp_path / "object.o").stat().st_size > 0


@pytest.mark.parametrize("chip", CHIPS)
def test_ram_is_the_block_alone(deployable, tmp_path, chip):
    """Constants stay in flash, also where an AVR would copy them."""
    model = with_one_sample(deployable("model=squeeze"))
    files = files_in(tmp_path)
    sizes = write_c_int8(in_int8(model, tmp_path), model, files, "a test")
    text, data, bss = chip.sizes(files, tmp_path)

    assert text > sizes.flash_bytes
    assert (data, bss) == (0, sizes.ram_bytes)
