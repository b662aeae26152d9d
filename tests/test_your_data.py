"""The commands of docs/your-data.md, on fewer pictures and epochs."""

import re
import shlex
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from deploy.c_folders import output_of
from paretune.commands.entry_point import main
from paretune.data.images import Scaling
from paretune.deploy.c_files import CFiles
from paretune.deploy.c_float import write_c
from paretune.deploy.c_input import CInput, Order
from paretune.deploy.model import Deployable, WithScaling
from paretune.front import Point
from paretune.pareto import front
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
    # So little of it has learned nothing, which nobody would take by himself.
    if line.startswith("paretune export"):
        line += f" --run {front('shapes')['run_id'].iloc[-1]}"
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


def test_the_page_leads_from_pictures_to_a_c_program(
    working_folder, monkeypatch, capfd
):
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
    header = Path("model.int8_c/model_int8.h").read_text()
    assert "int32_t model_int8_predict(const uint8_t *image, int32_t *" in header
    assert "the channels of each pixel side by side (red, green, blue)" in header


def test_the_code_of_the_page_takes_a_cameras_image(tmp_path):
    """Red, green and blue of every pixel side by side: the name of the network's
    class.
    """
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 2 * 4, 3))
    samples = (torch.rand(30, 3, 2, 4) * 255).round() / 255
    model = Deployable(
        WithScaling(net, Scaling(127.0, 60.0)).eval(),
        Point(costs={"params": 1}, f1=0.5),
        samples,
        1.0,
        "stretch",
        CLASSES,
    )
    files = CFiles.beside(tmp_path / "model.onnx", CInput(Order.HWC))
    write_c(model, files, "a test")
    code = re.findall(r"```c\n(.*?)```", PAGE, re.DOTALL)[0]
    code = code.replace("int32_t logits", "float logits").replace("model_int8", "model")
    code = code.replace("MODEL_INT8", "MODEL")  # a network in floats is soon made
    main = (
        "int main(void) { uint8_t image[24]; while (fread(image, 1, 24, stdin)) "
        "puts(seen(image)); return 0; }"
    )
    camera = (samples.permute(0, 2, 3, 1) * 255).byte().numpy().tobytes()
    said = output_of(f"#include <stdio.h>\n{code}\n{main}\n", [files], data=camera)

    names = [CLASSES[number] for number in model.logits().argmax(1)]
    assert said.decode().split() == names
