import sys

import pytest

from paretune.commands.arguments import command_line


def test_hydra_reads_the_arguments_and_finds_its_own_again(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["paretune", "confirm", "path"])
    with command_line(["-m", "seed=1"]):
        inside = [*sys.argv]

    assert inside == ["paretune", "-m", "seed=1"]
    assert sys.argv == ["paretune", "confirm", "path"]


def test_they_are_back_after_an_error_too(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["paretune", "train"])
    with pytest.raises(SystemExit), command_line(["seed=1"]):
        raise SystemExit(2)

    assert sys.argv == ["paretune", "train"]
