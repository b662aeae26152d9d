"""Headers in the programs of other people: what they say of their input, and several of
them side by side.
"""

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from deploy.test_int8 import in_int8
from paretune.data.images import Scaling
from paretune.deploy.c_header import write_c
from paretune.deploy.c_int8 import run_c_int8, write_c_int8
from paretune.deploy.c_program import run_c
from paretune.deploy.card import describe_costs, write_card
from paretune.deploy.model import Deployable, WithScaling
from paretune.front import Point
from paretune.models.views import Views

STRICT = ("-Wall", "-Wextra", "-Wpedantic", "-Werror")
LANGUAGES = [
    (compiler, language, standard)
    for compiler in ("gcc", "clang")
    for language, standard in (("c", "c99"), ("c++", "c++11"), ("c++", "c++17"))
    if shutil.which(compiler)
]
NAMES = ("1", "10", '2 "*/ ??/ é')


def of_shape(
    channels: int, height: int, width: int, fits_by: str = "resize"
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


def output_of(
    source: str,
    folder: Path,
    compiler: str = "gcc",
    language: str = "c",
    standard: str = "c99",
) -> str:
    """What a program says that this compiler takes without a warning."""
    (folder / "main.c").write_text(source)
    command = [
        compiler,
        "-x",
        language,
        f"-std={standard}",
        *STRICT,
        "main.c",
        "-o",
        "main",
        "-lm",
    ]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return subprocess.run(
        [folder / "main"], capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.parametrize(
    ("channels", "height", "width"), [(1, 4, 6), (3, 5, 4), (4, 3, 3)]
)
def test_the_header_says_where_each_value_of_the_image_is(
    tmp_path, channels, height, width
):
    model, pixels = (
        of_shape(channels, height, width),
        np.empty((20, channels * height * width), np.float32),
    )
    write_c(model, tmp_path / "net.h", "a test")
    place = re.findall(r"pixels\[(.*)\]\.", (tmp_path / "net.h").read_text())[0]
    for channel, row, column in np.ndindex(channels, height, width):
        where = eval(place, {"channel": channel, "row": row, "column": column})
        pixels[:, where] = model.samples[:, channel, row, column]

    assert np.allclose(
        run_c(tmp_path / "net.h", "net", pixels), model.logits(), atol=1e-4
    )


@pytest.mark.parametrize(
    ("channels", "fits_by", "words"),
    [
        (
            1,
            "ink",
            "0 to 255, white on black:\n * grey, row by row from the top (5 rows of 4),",
        ),
        (1, "resize", "0 to 255:\n * grey, row by row from the top (5 rows of 4),"),
        (
            3,
            "resize",
            (
                "0 to 255:\n * channel after channel (red, green, blue), each row by "
                "row from the top (5 rows of 4),"
            ),
        ),
        (
            3,
            "ink",
            (
                "0 to 255:\n * channel after channel (red, green, blue), each row by "
                "row from the top (5 rows of 4),"
            ),
        ),
        (
            4,
            "resize",
            (
                "0 to 255:\n * channel after channel (in the order of the training "
                "images), each row by row"
            ),
        ),
    ],
)
def test_header_and_card_say_the_order_of_the_channels(
    tmp_path, channels, fits_by, words
):
    model = of_shape(channels, 5, 4, fits_by)
    write_c(model, tmp_path / "net.h", "a test")
    write_card(model, tmp_path / "net.md", {}, [])
    header, card = ((tmp_path / name).read_text() for name in ("net.h", "net.md"))

    assert words in header
    assert words.partition("* ")[2].strip(",") in card
    assert ("white on black" in card) == ("white on black" in header)
    assert ("as cameras give it" in header) == (channels > 1)


@pytest.mark.parametrize(("compiler", "language", "standard"), LANGUAGES)
def test_sizes_and_class_names_are_macros_in_the_order_of_the_classes(
    tmp_path, compiler, language, standard
):
    model, sizes = (
        of_shape(3, 5, 4),
        ("CHANNELS", "HEIGHT", "WIDTH", "PIXELS", "CLASSES"),
    )
    write_c(model, tmp_path / "net.h", "trained on pics/*.png ??/")
    write_card(model, tmp_path / "net.md", {}, [])
    printed = ", ".join(f"NET_{size}" for size in sizes)
    main = f"""#include <stdio.h>
#include "net.h"
static const char *const names[] = NET_CLASS_NAMES;
int main(void) {{
  static const uint8_t pixels[NET_PIXELS] = {{ 0 }};
  printf("%d %d %d %d %d %d", net_class(pixels) < 3, {printed});
  for (int i = 0; i < NET_CLASSES; i++) printf("|%s", names[i]);
  return 0;
}}
"""
    assert output_of(
        main, tmp_path, compiler, language, standard
    ) == "1 3 5 4 60 3|" + "|".join(NAMES)
    assert (
        'the class: 0 "1", 1 "10", 2 "2 \\"*/ ??/ é".'
        in (tmp_path / "net.md").read_text()
    )


def test_a_class_without_a_name_has_its_number(deployable, tmp_path):
    write_c(deployable("model=dense"), tmp_path / "net.h", "a test")

    assert '/* 0 */ "0", \\\n  /* 1 */ "1", \\\n' in (tmp_path / "net.h").read_text()


def test_several_models_are_one_program(deployable, tmp_path):
    """Also those whose names begin with the name of another, and of one of its
    functions.
    """
    leaky, model = (
        deployable("model=conv", f"model.activation={name}")
        for name in ("leaky_relu", "relu")
    )
    write_c(leaky, tmp_path / "net.h", "a test")
    write_c(model, tmp_path / "net_leaky.h", "a test")
    write_c_int8(in_int8(model, tmp_path), model, tmp_path / "net.int8.h", "a test")
    headers = ("net.h", "net_leaky.h", "net.int8.h", "net.h")
    main = f"""#include <stdio.h>
{"".join(f'#include "{header}"' + chr(10) for header in headers)}
int main(void) {{
  static const uint8_t pixels[NET_PIXELS] = {{ 0 }};
  printf("%d %d %d", (int)net_class(pixels), (int)net_leaky_class(pixels), (int)net_int8_class(pixels));
  return 0;
}}
"""
    classes = [
        int(one.net(torch.zeros(1, 1, 28, 28)).argmax()) for one in (leaky, model)
    ]
    classes.append(
        int(
            run_c_int8(
                tmp_path / "net.int8.h", np.zeros((1, 784), np.uint8), 10
            ).argmax()
        )
    )

    for language in LANGUAGES:
        assert output_of(main, tmp_path, *language) == " ".join(map(str, classes))


@pytest.mark.parametrize(
    ("one", "other"), [("net-1", "net_1"), ("Net", "net"), ("é", "ü"), ("1", "_1")]
)
def test_a_prefix_that_is_taken_is_an_error(tmp_path, one, other):
    """Were it not, the second model would be left out without a word."""
    write_c(of_shape(1, 4, 4), tmp_path / f"{one}.h", "a test")
    write_c(of_shape(1, 4, 5), tmp_path / f"{other}.h", "a test")
    (tmp_path / "main.c").write_text(
        f'#include "{one}.h"\n#include "{other}.h"\nint main(void) {{ return 0; }}\n'
    )
    done = subprocess.run(
        ["gcc", "main.c"], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert "is taken by another model" in done.stderr
    assert done.returncode


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """The headers ``net.h`` and ``net_int8.h`` of a network that looks five times, by
    the prefixes of their names.
    """
    folder, model = tmp_path_factory.mktemp("headers"), of_shape(1, 28, 28)
    net = WithScaling(Views(model.net.net, 5), Scaling(90.0, 50.0)).eval()
    model = replace(model, net=net)
    write_c(model, folder / "net.h", "a test")
    write_c_int8(in_int8(model, folder), model, folder / "net_int8.h", "a test")
    return {
        prefix: (folder / f"{prefix}.h").read_text() for prefix in ("net", "net_int8")
    }


def test_no_name_of_one_model_can_be_a_name_of_another(texts):
    """A name that ends with another one would be that of a model with a longer
    prefix.
    """
    names = {
        name
        for prefix, text in texts.items()
        for name in re.findall(rf"(?i)\b{prefix}_(\w+)", text)
    }

    assert {
        "logits",
        "class",
        "once",
        "CLASSES",
        "op_conv2d",
        "op_linear_sums",
    } <= names
    assert [
        (one, other)
        for one in names
        for other in names
        if one.lower().endswith(f"_{other.lower()}")
    ] == []


def test_a_header_has_types_of_fixed_width_alone_and_ends_with_a_line(texts):
    for text in texts.values():
        assert not re.search(
            r"\b(int|short|long|unsigned|signed|size_t)\b",
            re.sub(r"(?s)/\*.*?\*/", "", text),
        )
        assert text.endswith("#endif\n")


def test_the_card_calls_flash_what_the_weights_take_of_it():
    assert list(describe_costs(of_shape(1, 4, 4))) == [
        "MACs per image",
        "RAM",
        "flash for weights",
    ]
