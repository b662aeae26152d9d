"""A training written as a recipe composes to the same training."""

import shlex
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paretune.commands.composing import compose_again
from paretune.commands.recipe_writing import (
    RECIPE_GROUPS,
    RECIPE_SECTIONS,
    Described,
    find_changes,
    format_recipe,
)
from paretune.start import read_sections

MODELS = """
from torch import nn


class MyNet(nn.Sequential):
    def __init__(self, *, units=8, image_shape=(1, 28, 28), num_classes=10):
        super().__init__(nn.Flatten(), nn.Linear(784, num_classes))
"""
MODEL = """
# @package _global_
model: {_target_: my_models.MyNet, units: 8, image_shape: null, num_classes: null}
"""
LINES = {
    "model": ("conv", "dense", "squeeze", "recurrent", "separable", "inception"),
    "data": ("mnist", "digits", "cifar10"),
    "optimizer": ("adam", "adamw", "auto", "full_matrix", "momentum", "sgd"),
    "scheduler": ("constant", "cosine", "plateau"),
    "augment": ("affine", "none"),
    "optimizer.lr": ("0.03", "1e-05"),
    "trainer.batch_size": ("64", "128"),
    "trainer.averaging.kind": ("ema", "null"),
    "selection.epoch": ("best", "last"),
    "model.image_pool": ("1", "2"),
}


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A working folder with recipes of its own."""
    monkeypatch.chdir(tmp_path)
    Path("conf/recipe").mkdir(parents=True)
    return tmp_path


def compose_training(*lines: str) -> dict:
    config = compose_again("train", lines)
    return read_sections(config, (*RECIPE_GROUPS, *RECIPE_SECTIONS, "seed", "recipe"))


def compose_recipe(training: Described) -> dict:
    """What the recipe composes to, put into ``conf/recipe``."""
    path = Path("conf/recipe") / f"{training.name}.yaml"
    path.write_text(format_recipe(training))
    return compose_training(f"+recipe='{training.name}'")


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.fixed_dictionaries(
        {}, optional={k: st.sampled_from(v) for k, v in LINES.items()}
    )
)
def test_a_recipe_composes_to_the_training_that_it_was_written_from(folder, choices):
    config = compose_training(*[f"{key}={value}" for key, value in choices.items()])

    assert compose_recipe(Described("mine", config)) == {**config, "recipe": "mine"}


@pytest.mark.parametrize("name", ["193", "true", "it is, mine", "v1.2", "é"])
def test_a_recipe_may_have_any_name_of_a_file(folder, name):
    config = compose_training("model=conv")

    assert compose_recipe(Described(name, config))["recipe"] == name


@pytest.mark.parametrize("has_option", [True, False])
def test_a_recipe_holds_a_family_of_ones_own(folder, monkeypatch, has_option):
    monkeypatch.syspath_prepend(folder)
    (folder / "my_models.py").write_text(MODELS)
    Path("conf/model").mkdir()
    Path("conf/model/mine.yaml").write_text(MODEL)
    training = Described("own", compose_training("model=mine", "model.units=5"))
    if not has_option:
        Path("conf/model/mine.yaml").unlink()
    text = format_recipe(training)

    assert f"override /model: {'mine' if has_option else 'null'}\n" in text
    assert compose_recipe(training) == {**training.config, "recipe": "own"}


def test_a_recipe_names_the_nearest_option(folder):
    text = format_recipe(Described("x", compose_training("optimizer=momentum")))

    assert "override /optimizer: momentum\n" in text
    assert "optimizer:" not in text.partition("recipe: x")[2]


def test_what_a_model_has_from_the_data_is_left_to_the_data(folder):
    config = compose_training("model=conv")
    config["model"] |= {"image_shape": [1, 28, 28], "num_classes": 10}

    assert "image_shape" not in format_recipe(Described("x", config))


def test_a_teacher_stays_where_it_is(folder):
    config = compose_training("model=conv", "trainer.distillation.weight=0.9")
    config["trainer"]["distillation"]["teacher"] = "/home/me/teacher.pt"
    training = Described("x", config, about=["Mine."])
    text = format_recipe(training)

    assert "/home/me" not in text
    assert "# Mine. The teacher that it learnt from is not brought along: set" in text
    assert training.command == (
        "paretune train +recipe=x seed=0 trainer.distillation.teacher=teacher.pt"
    )


def test_a_name_that_hydra_cannot_read_is_in_quotes_for_it_and_for_a_shell(folder):
    config = compose_training()
    command = shlex.split(Described("a, b", config).command)

    assert command == ["paretune", "train", "+recipe='a, b'", "seed=0"]


def test_changes_are_nested_as_the_settings_are():
    usual = {"a": 1, "b": {"c": 2, "d": [1]}, "e": None}
    changed = {"a": 1, "b": {"c": 3, "d": [1]}, "e": {"f": 1}}

    assert find_changes(changed, usual) == {"b": {"c": 3}, "e": {"f": 1}}
