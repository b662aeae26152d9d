"""The commands of docs/your-data.md, on fewer pictures and epochs."""

import re
import shlex
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from paretune.__main__ import main
from paretune.tracking import Store, read_trials
from shapes import CLASSES, draw

PAGE = (Path(__file__).parents[1] / "docs/your-data.md").read_text()
COMMANDS = [line for line in re.findall(r"```\n(.*?)```", PAGE, re.DOTALL)[0].splitlines() if line]
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
    trials = read_trials(Store(f"sqlite:///{working_folder}/mlruns/mlflow.db"), "shapes")

    assert list(trials["state"]) == ["complete"] * 3
    assert (trials["n_params"] <= 2000).all()
    assert (trials["ram_bytes"] <= 16_384).all()
    assert re.fullmatch(rf"pictures/disc/0000.png: ({'|'.join(CLASSES)}) \(.*; as it is\)", said)
    assert "model_int8_class(pixels)" in Path("model.int8.h").read_text()
