import re
import sys
import tomllib
from pathlib import Path

import pytest

from paretune import extras
from paretune.commands.entry_point import main
from paretune.commands.mistakes import exit_on_mistake
from paretune.commands.table import COMMANDS
from paretune.errors import ConfigError
from paretune.extras import EXTRAS, check_installed, describe_missing

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
DISTRIBUTIONS = {"PIL": "pillow", "lightning_fabric": "pytorch-lightning"}


def make_absent(monkeypatch, *packages):
    """Have ``packages`` looked for in vain."""

    def find(name):
        return None if name in packages else name

    monkeypatch.setattr(extras, "find_spec", find)


@pytest.mark.parametrize(("package", "extra"), EXTRAS.items())
def test_the_extra_that_is_named_brings_the_package(package, extra):
    project = tomllib.loads(PYPROJECT.read_text())["project"]
    lines = project["optional-dependencies"][extra]
    names = {re.match(r"[\w.-]+", line)[0] for line in lines}

    assert DISTRIBUTIONS.get(package, package.replace("_", "-")) in names


def test_a_command_without_its_package_names_the_extra(monkeypatch, capsys):
    make_absent(monkeypatch, "torch")
    monkeypatch.setattr(sys, "argv", ["paretune", "train", "data=digits"])
    with pytest.raises(SystemExit, match="2"):
        main()

    assert capsys.readouterr().err == (
        "paretune: train needs torch; install it with: pip install 'paretune[train]'\n"
    )


def test_its_help_is_there_all_the_same(monkeypatch, capsys):
    make_absent(monkeypatch, "onnx", "onnxruntime")
    monkeypatch.setattr(sys, "argv", ["paretune", "export", "--help"])
    with pytest.raises(SystemExit, match="0"):
        main()

    assert "usage: paretune export" in capsys.readouterr().out


@pytest.mark.parametrize("name", COMMANDS)
def test_what_a_command_needs_is_of_an_extra(name):
    assert set(COMMANDS[name].needs) <= set(EXTRAS)


def test_what_is_installed_is_not_imported():
    code_before = set(sys.modules)
    check_installed("it", ["onnxruntime"])

    assert not {"onnxruntime"} & (set(sys.modules) - code_before)


def test_a_package_that_is_found_missing_later_is_one_line(capsys):
    with pytest.raises(SystemExit, match="2"), exit_on_mistake("paretune pareto"):
        raise ModuleNotFoundError("No module named 'mlflow'", name="mlflow.entities")

    assert capsys.readouterr().err == (
        "paretune pareto: the package mlflow is not installed; install it with: pip "
        "install 'paretune[mlflow]'\n"
    )


def test_a_module_of_nobodys_is_an_error_as_ever():
    error = ModuleNotFoundError("No module named 'mine'", name="mine")

    assert describe_missing(error) is None
    with pytest.raises(ModuleNotFoundError), exit_on_mistake("paretune train"):
        raise error


def test_a_sampler_without_its_package_is_refused(monkeypatch):
    make_absent(monkeypatch, "torch")
    with pytest.raises(
        ConfigError, match=r"sampler=gp needs torch; .*paretune\[train\]"
    ):
        check_installed("hydra/sweeper/sampler=gp", ["torch"])
