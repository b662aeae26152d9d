"""The commands of docs/your-data.md, on fewer pictures and epochs."""

import re
import shlex
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from paretune.commands.entry_point import main
from paretune.data.images import Scaling
from paretune.deploy.c_header import write_c
from paretune.deploy.model import Deployable, WithScaling
from paretune.front import Point
from paretune.tracking import Store, read_trials
from shapes import CLASSES, draw

PAGE = (Path(__file__).parents[1] / "docs/your-data.md").read_text()
COMMANDS = [
    line
    for line in re.findall(r"```\n(.*?)```", PAGE, re.DOTALL)[0].splitlines()
    if line
]
LESS = {
    "max_epochs=20": "max_epochs=3",
    "n_trials=24": "n_trials=3",
    "--seeds 3": "--seeds 1",
    "--min-f1 0.9": "--min-f1 0",
}


def run(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command of the page, with less to do."""
    for much, little in LESS.items():
        line = line.replace(much, little)
    monkeypatch.setattr(sys, "argv", shlex.split(line))
    with suppress(SystemExit):
        main()


@pytest.fixture
def working_folder(tmp_path, monkeypatch, migrated) -> Path:
    migrated(tmp_path / "mlruns/mlflow.db")
    draw(tmp_path / "pictures", 90)
    monkeypatch.setenv("PARETUNE_STORE", str(tmp_path / "mlruns"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_page_leads_from_pictures_to_a_c_header(working_folder, monkeypatch, capfd):
    for line in COMMANDS:
        run(line, monkeypatch)
    said = capfd.readouterr().out.splitlines()[-1]
    trials = read_trials(
        Store(f"sqlite:///{working_folder}/mlruns/mlflow.db"), "shapes"
    )

    assert list(trials["state"]) == ["complete"] * 3
    assert (trials["n_params"] <= 2000).all()
    assert (trials["ram_bytes"] <= 16_384).all()
    assert re.fullmatch(
        rf"pictures/disc/0000.png: ({'|'.join(CLASSES)}) \(.*; as it is\)", said
    )
    assert "model_int8_class(pixels)" in Path("model.int8.h").read_text()


def test_the_code_of_the_page_brings_a_cameras_image_into_order(tmp_path):
    """Red, green and blue of every pixel side by side: the class of the network, and
    its name.
    """
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 2 * 4, 3))
    samples = (torch.rand(30, 3, 2, 4) * 255).round() / 255
    model = Deployable(
        WithScaling(net, Scaling(127.0, 60.0)).eval(),
        Point(costs={"params": 1}, f1=0.5),
        samples,
        1.0,
        "resize",
        CLASSES,
    )
    write_c(model, tmp_path / "model.int8.h", "a test")
    code = re.findall(r"```c\n(.*?)```", PAGE, re.DOTALL)[0]
    main = (
        "int main(void) { uint8_t image[24]; while (fread(image, 1, 24, stdin)) "
        "puts(seen(image)); return 0; }"
    )
    (tmp_path / "main.c").write_text(f"#include <stdio.h>\n{code}\n{main}\n")
    subprocess.run(
        ["gcc", "-Wall", "-Werror", "main.c", "-o", "main", "-lm"],
        cwd=tmp_path,
        check=True,
    )

    camera = (samples.permute(0, 2, 3, 1) * 255).byte().numpy().tobytes()
    said = subprocess.run(
        [tmp_path / "main"], input=camera, stdout=subprocess.PIPE, check=True
    ).stdout.decode()
    assert said.split() == [CLASSES[number] for number in model.logits().argmax(1)]
