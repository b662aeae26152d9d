"""Programs in those of other people: what they say of their input, several of them side by
side, and their own tests.
"""

import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from deploy.c_folders import output_of, read_size
from deploy.test_int8 import in_int8
from paretune.data.images import Scaling
from paretune.deploy.c_files import CFiles
from paretune.deploy.c_float import write_c
from paretune.deploy.c_images import encode
from paretune.deploy.c_input import DEFAULT_INPUT, CInput, Numbers, Order
from paretune.deploy.c_int8 import write_c_int8
from paretune.deploy.c_program import run_c
from paretune.deploy.card import describe_costs, write_card
from paretune.deploy.model import Deployable, WithScaling
from paretune.errors import ExportError
from paretune.front import Point
from paretune.models.views import Views

LANGUAGES = [
    (compiler, language, standard)
    for compiler in ("gcc", "clang")
    for language, standard in (("c", "c99"), ("c++", "c++11"), ("c++", "c++17"))
    if shutil.which(compiler)
]
NAMES = ("1", "10", '2 "*/ ??/ é')


def of_shape(
    channels: int, height: int, width: int, fits_by: str = "stretch"
) -> Deployable:
    """A small network on such images, and three classes with :data:`NAMES`."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(channels, 2, 3),
        nn.Flatten(),
        nn.Linear(2 * (height - 2) * (width - 2), 3),
    )
    samples = torch.rand(20, channels, height, width)
    return Deployable(
        WithScaling(net, Scaling(90.0, 50.0)).eval(),
        Point(costs={"params": 1}, f1=0.5),
        samples,
        1.0,
        fits_by,
        NAMES,
    )


def files_of(folder, name="net", c_input=DEFAULT_INPUT, **how) -> CFiles:
    return CFiles.beside(folder / f"{name}.onnx", c_input, **how)


@pytest.mark.parametrize("order", [Order.CHW, Order.HWC])
@pytest.mark.parametrize("shape", [(1, 4, 6), (3, 5, 4), (4, 3, 3)])
def test_the_header_says_where_each_value_of_the_image_is(tmp_path, order, shape):
    model, files = of_shape(*shape), files_of(tmp_path, c_input=CInput(order))
    write_c(model, files, "a test")
    inputs = np.empty((20, np.prod(shape)), np.uint8)
    place = re.findall(r"image\[(.*)\]\.", files.header.read_text())[0]
    pixels = (model.samples * 255).round() / 255
    for channel, row, column in np.ndindex(shape):
        where = eval(place, {"channel": channel, "row": row, "column": column})
        inputs[:, where] = (pixels[:, channel, row, column] * 255).round()

    assert np.allclose(run_c(files, inputs), model.logits_of(pixels), atol=1e-4)


INK = "0 to 255, white on black:\n * grey, row by row from the top (5 rows of 4),"
GREY = "0 to 255:\n * grey, row by row from the top (5 rows of 4),"
COLOURS = (
    "0 to 255:\n * channel after channel (red, green, blue), each row by row from the "
    "top (5 rows of 4),"
)
OTHERS = (
    "0 to 255:\n * channel after channel (in the order of the training images), each "
    "row by row"
)


@pytest.mark.parametrize(
    ("channels", "fits_by", "words"),
    [
        (1, "ink", INK),
        (1, "stretch", GREY),
        (3, "stretch", COLOURS),
        (3, "ink", COLOURS),
        (4, "stretch", OTHERS),
    ],
)
def test_header_and_card_say_the_order_of_the_channels(
    tmp_path, channels, fits_by, words
):
    model, files = of_shape(channels, 5, 4, fits_by), files_of(tmp_path)
    write_c(model, files, "a test")
    write_card(model, tmp_path / "net.md", {}, [])
    header, card = files.header.read_text(), (tmp_path / "net.md").read_text()

    assert words in header
    assert words.partition("* ")[2].strip(",") in card
    assert ("white on black" in card) == ("white on black" in header)


@pytest.mark.parametrize("language", LANGUAGES, ids=str)
def test_sizes_and_class_names_are_macros_in_the_order_of_the_classes(
    tmp_path, language
):
    model, files = of_shape(3, 5, 4), files_of(tmp_path)
    sizes = ("CHANNELS", "HEIGHT", "WIDTH", "INPUT_SIZE", "CLASSES", "MEMORY_BYTES")
    write_c(model, files, "trained on pics/*.png ??/")
    write_card(model, tmp_path / "net.md", {}, [])
    printed = ", ".join(f"NET_{size}" for size in sizes)
    main = f"""#include <stdio.h>
#include "net.h"
static const char *const names[] = NET_CLASS_NAMES;
int main(void) {{
  static const uint8_t image[NET_INPUT_SIZE] = {{ 0 }};
  float logits[NET_CLASSES];
  printf("%d %d %d %d %d %d %d", net_predict(image, logits, 0) < 3, {printed});
  for (int i = 0; i < NET_CLASSES; i++) printf("|%s", names[i]);
  return 0;
}}
"""
    said = output_of(main, [files], language).decode()

    assert said == "|".join(["1 3 5 4 60 3 288", *NAMES])
    card = (tmp_path / "net.md").read_text()
    assert r'the class: 0 "1", 1 "10", 2 "2 \\"\*/ ??/ é".' in card


def test_a_class_without_a_name_has_its_number(deployable, tmp_path):
    files = files_of(tmp_path)
    write_c(deployable("model=dense"), files, "a test")

    assert '/* 0 */ "0", \\\n  /* 1 */ "1", \\\n' in files.header.read_text()


SEVERAL = """#include <stdio.h>
#include "net.h"
#include "net_leaky.h"
#include "net_int8.h"
#include "net.h"
int main(void) {
  static const uint8_t image[NET_INPUT_SIZE] = { 0 };
  float logits[NET_CLASSES];
  int32_t whole[NET_CLASSES];
  printf("%d ", (int)net_predict(image, logits, 0));
  printf("%d ", (int)net_leaky_predict(image, logits, 0));
  printf("%d", (int)net_int8_predict(image, whole, 0));
  return 0;
}
"""


def test_several_models_are_one_program(deployable, tmp_path):
    """Also those whose names begin with the name of another, and of one of its
    functions.
    """
    leaky, model = (
        deployable("model=conv", f"model.activation={name}")
        for name in ("leaky_relu", "relu")
    )
    net, other = files_of(tmp_path), files_of(tmp_path, "net_leaky")
    whole = files_of(tmp_path, "net.int8", is_whole=True)
    write_c(leaky, net, "a test")
    write_c(model, other, "a test")
    write_c_int8(in_int8(model, tmp_path), model, whole, "a test")
    black = torch.zeros(1, 1, 28, 28)
    classes = [int(one.net(black).argmax()) for one in (leaky, model)]
    classes.append(int(run_c(whole, np.zeros((1, 784))).argmax()))

    for language in LANGUAGES:
        said = output_of(SEVERAL, [net, other, whole], language)
        assert said.decode() == " ".join(map(str, classes))


@pytest.mark.parametrize(
    ("one", "other"), [("net-1", "net_1"), ("Net", "net"), ("é", "ü"), ("1", "model_1")]
)
def test_a_prefix_that_is_taken_is_an_error(tmp_path, one, other):
    """Were it not, the second model would be left out without a word."""
    files = [files_of(tmp_path, name) for name in (one, other)]
    write_c(of_shape(1, 4, 4), files[0], "a test")
    write_c(of_shape(1, 4, 5), files[1], "a test")
    includes = "".join(f'#include "{file.header}"\n' for file in files)
    (tmp_path / "main.c").write_text(f"{includes}int main(void) {{ return 0; }}\n")
    done = subprocess.run(
        ["gcc", "main.c"], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert "is taken by another model" in done.stderr
    assert done.returncode


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """Header and code of the programs ``net`` and ``net_int8`` of a network that looks
    five times, by the prefixes of their names.
    """
    folder, model = tmp_path_factory.mktemp("programs"), of_shape(1, 28, 28)
    net = WithScaling(Views(model.net.net, 5), Scaling(90.0, 50.0)).eval()
    model = replace(model, net=net)
    floats = files_of(folder)
    whole = files_of(folder, "net.int8", is_whole=True)
    write_c(model, floats, "a test")
    write_c_int8(in_int8(model, folder), model, whole, "a test")
    return {
        files.name: files.header.read_text() + files.code.read_text()
        for files in (floats, whole)
    }


def test_no_name_of_one_model_can_be_a_name_of_another(texts):
    """A name that ends with another one would be that of a model with a longer
    prefix.
    """
    names = {
        name
        for prefix, text in texts.items()
        for name in re.findall(rf"(?i)\b{prefix}_(\w+)", text)
        if not name.startswith("int8_")
    }

    assert {"predict", "CLASSES", "op_network", "op_linear_sums"} <= names
    assert [
        (one, other)
        for one in names
        for other in names
        if one.lower().endswith(f"_{other.lower()}")
    ] == []


def test_a_program_has_types_of_fixed_width_alone(texts):
    for text in texts.values():
        assert not re.search(
            r"\b(int|short|long|unsigned|signed|size_t)\b",
            re.sub(r"(?s)/\*.*?\*/", "", text),
        )


FORMS = [
    CInput(order, numbers)
    for order in Order
    for numbers in Numbers
    if (order, numbers) != (Order.RGB565, Numbers.FLOATS)
]


@pytest.mark.parametrize("c_input", FORMS, ids=str)
@pytest.mark.parametrize("views", [1, 5])
def test_a_program_passes_its_own_test_in_every_form_of_input(tmp_path, c_input, views):
    model = of_shape(3, 6, 5)
    if views > 1:
        looking = WithScaling(Views(model.net.net, views), Scaling(90.0, 50.0))
        model = replace(model, net=looking.eval())
    files = files_of(tmp_path, c_input=c_input)
    write_c(model, files, "a test")

    said = output_of(files.test.read_text(), [files])
    assert said == b"net: 10 of 10 reference inputs give their outputs\n"


@pytest.mark.parametrize("language", LANGUAGES, ids=str)
def test_a_program_passes_its_own_test_in_every_language(tmp_path, language):
    files = files_of(tmp_path)
    write_c(of_shape(3, 6, 5), files, "a test")

    assert b"net: 10 of 10" in output_of(files.test.read_text(), [files], language)


def make_test(files: CFiles) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "-C", files.folder, "test"],
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_makefile_runs_the_test(tmp_path):
    files = files_of(tmp_path, "2 nets")
    write_c(of_shape(1, 4, 4), files, "a test")
    done = make_test(files)

    assert "model_2_nets: 10 of 10 reference inputs" in done.stdout
    assert done.returncode == 0


def test_a_changed_weight_fails_the_test(tmp_path):
    files = files_of(tmp_path)
    write_c(of_shape(1, 4, 4), files, "a test")
    code = files.code.read_text()
    files.code.write_text(code.replace("FLASH = {\n  ", "FLASH = {\n  9.0f + ", 1))
    done = make_test(files)

    assert "net: 0 of 10 reference inputs" in done.stdout
    assert done.returncode


def test_an_image_in_colours_has_one_class_in_every_order(tmp_path):
    """50 of 50 pictures: what is drawn in one order agrees with every other one."""
    model = of_shape(3, 6, 5)
    generator = torch.Generator().manual_seed(3)
    pictures = torch.randint(0, 256, (50, 3, 6, 5), generator=generator) / 255
    logits = {}
    for order in (Order.CHW, Order.HWC):
        files = files_of(tmp_path, order, CInput(order))
        write_c(model, files, "a test")
        logits[order] = run_c(files, encode(pictures.numpy(), files.c_input))
    expected = model.logits_of(pictures).argmax(1)

    assert (logits[Order.CHW] == logits[Order.HWC]).all(axis=1).sum() == 50
    assert (logits[Order.HWC].argmax(1) == expected).sum() == 50


def test_rgb565_keeps_the_upper_bits_and_spreads_them_over_all(tmp_path):
    model = of_shape(3, 6, 5)
    files = files_of(tmp_path, c_input=CInput(Order.RGB565))
    write_c(model, files, "a test")
    white, red = np.full((1, 30), 0xFFFF), np.full((1, 30), 0xF800)
    ones = torch.ones(1, 3, 6, 5)
    reds = ones * torch.tensor([1.0, 0.0, 0.0]).reshape(1, 3, 1, 1)

    assert np.allclose(run_c(files, white), model.logits_of(ones), atol=1e-4)
    assert np.allclose(run_c(files, red), model.logits_of(reds), atol=1e-4)


@pytest.mark.parametrize(
    ("channels", "signal", "what"),
    [(1, False, "grey pictures"), (4, False, "other pictures"), (3, True, "signals")],
)
def test_rgb565_is_for_pictures_in_colours(channels, signal, what):
    said = rf"rgb565` is for pictures in red, green and blue, .* takes {what}; choose"
    with pytest.raises(ExportError, match=said):
        CInput(Order.RGB565).require_shape((channels, 1, 9), is_signal=signal)


CPP_MAIN = """
#include <cstdio>
#include "net.h"
int main() {
  static const uint8_t image[NET_INPUT_SIZE] = { 0 };
  float logits[NET_CLASSES];
  std::printf("%d", net_predict(image, logits, nullptr) < NET_CLASSES);
}
"""


def test_a_program_in_cpp_links_with_the_code_in_c(tmp_path):
    files = files_of(tmp_path)
    write_c(of_shape(1, 4, 4), files, "a test")
    (tmp_path / "main.cpp").write_text(CPP_MAIN)
    for command in (
        f"gcc -std=c99 -c {files.code} -o net.o",
        f"g++ -I{files.folder} main.cpp net.o -o main -lm",
    ):
        subprocess.run(command.split(), cwd=tmp_path, check=True)
    said = subprocess.run([tmp_path / "main"], capture_output=True, check=True).stdout

    assert said == b"1"


CALLER = """
#include <stdio.h>
#include "net.h"
static float blocks[2][NET_MEMORY_BYTES / sizeof(float)];
int main(void) {
  static const uint8_t image[NET_INPUT_SIZE] = { 9 };
  static float logits[2][NET_CLASSES];
  const int32_t classes[] = {
    net_predict(image, logits[0], blocks[0]), net_predict(image, logits[1], blocks[1])
  };
  printf("%d %d", classes[0] == classes[1], (int)net_predict(image, logits[0], 0));
  return 0;
}
"""


def test_the_memory_may_be_the_callers(tmp_path):
    """Then there is no static block, and a call without any memory says so."""
    files = files_of(tmp_path)
    write_c(of_shape(1, 4, 4), files, "a test")
    options = ("-DNET_CALLER_MEMORY",)

    assert output_of(CALLER, [files], options=options) == b"1 -1"
    said = output_of(files.test.read_text(), [files], options=options)
    assert said.startswith(b"net: 10 of 10")


@pytest.mark.skipif(not shutil.which("objdump"), reason="needs objdump")
def test_the_memory_may_be_in_a_section(tmp_path):
    files = files_of(tmp_path)
    write_c(of_shape(1, 4, 4), files, "a test")
    section = '-DNET_MEMORY_SECTION=".fast"'
    gcc = ["gcc", "-std=c99", section, "-c", files.code, "-o", tmp_path / "net.o"]
    subprocess.run(gcc, check=True)
    said = subprocess.run(
        ["objdump", "-h", tmp_path / "net.o"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    [size] = re.findall(r" \.fast +(\w+) ", said)

    assert int(size, 16) == read_size(files, "MEMORY_BYTES")


def test_the_card_calls_flash_what_the_weights_take_of_it():
    assert list(describe_costs(of_shape(1, 4, 4))) == [
        "MACs per image",
        "RAM",
        "flash for weights",
    ]
