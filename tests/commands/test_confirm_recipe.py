"""``paretune confirm --recipe``: a recipe trained with several seeds."""

import re
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from paretune import paths
from paretune.commands import confirm
from paretune.commands.recipes import Recipe
from paretune.errors import ConfigError
from paretune.overrides import quote
from paretune.tracking import Store, find_sweeps, read_confirmations_of
from paretune.tracking.runs import find_runs
from paretune.tracking.schema import RunKind, Tag

RECIPE = """
# @package _global_
defaults: [override /model: conv, override /data: digits, override /optimizer: adamw]
recipe: small
model: {widths: [4, 4], depth: 2}
data: {splitting: {train_size: 300}}
trainer: {max_epochs: 1}
"""


@pytest.fixture
def recipe(monkeypatch, tmp_path, migrated) -> Path:
    """The file of a recipe, in the working folder."""
    migrated(paths.store() / "mlflow.db")
    monkeypatch.chdir(tmp_path)
    Path("conf/recipe").mkdir(parents=True)
    path = Path("conf/recipe/small.yaml")
    path.write_text(RECIPE)
    return path


@pytest.fixture
def ask(answered, recipe):
    """Runs ``paretune confirm`` there."""

    def run(*arguments: str):
        return answered(lambda: confirm.cli(arguments))

    return run


def open_store() -> Store:
    return Store(paths.tracking_uri(paths.store()))


def read_done():
    return read_confirmations_of(open_store(), Recipe.compose("small").digest)


def test_a_recipe_is_trained_with_so_many_seeds_and_no_oftener(ask):
    answers = [ask("--recipe", "small", "--seeds", seeds) for seeds in "112"]
    done = read_done()

    assert [answer.code for answer in answers] == [0, 0, 0], answers[0].err
    assert ["1 training to go" in answer.out for answer in answers] == [1, 0, 1]
    assert list(done["seed"]) == [1, 2]
    assert set(done["how"]) == {"1 epoch on train, best on validation"}
    mean = done["test_accuracy"].mean()
    assert f"test accuracy {mean:.4f} ± " in answers[-1].out
    assert re.search(r"2,\d{3} +2 +0\.\d{4} ± 0\.\d{4} ", answers[-1].out)


def test_a_confirmed_recipe_is_no_trial_of_any_sweep(ask):
    assert ask("--recipe", "small", "--seeds", "1").code == 0
    (run,) = find_runs(open_store(), {Tag.RECIPE: "small"})

    assert run.tags[Tag.KIND] == RunKind.CONFIRM
    assert run.tags[Tag.RUN_NAME] == "small-confirm-1"
    assert not {Tag.SWEEP, Tag.TRIAL, Tag.PARENT_RUN} & run.tags.keys()
    assert find_sweeps(open_store()) == []


def test_ways_of_training_a_recipe_are_told_apart(ask):
    ways = ("--train-on", "train+val", "--set", "trainer.batch_size=64", "--int8")
    answer = ask("--recipe", "small", "--seeds", "1", *ways)
    (how,) = read_done()["how"]

    assert answer.code == 0, answer.err
    assert how == (
        "1 epoch on train+val, the last, in int8, with trainer.batch_size=64"
    )
    assert f"({how})" in answer.out
    assert re.search(r"Most mistakes: \d taken for \d \(\d+\.\d%\), ", answer.out)


def test_a_recipe_that_was_changed_is_another_one(recipe):
    before = Recipe.compose("small")
    recipe.write_text(RECIPE.replace("[4, 4]", "[4, 5]"))

    assert Recipe.compose("small").digest != before.digest


def test_where_the_data_lie_and_under_which_cap_make_no_other_recipe(
    recipe, monkeypatch
):
    before = Recipe.compose("zoo/mnist_193").digest
    monkeypatch.setenv("PARETUNE_DATA", "/elsewhere")

    assert Recipe.compose("zoo/mnist_193").digest == before


@given(st.text(), st.text(), st.dictionaries(st.text(), st.text() | st.integers()))
def test_a_recipe_is_read_from_the_line_that_hydra_gets(name, data, section):
    recipe = Recipe(name, data, {"model": section})
    line = f"from_recipe={quote(recipe.write())}"
    (override,) = OverridesParser.create().parse_overrides([line])

    assert Recipe.read(override.value()) == recipe


def test_a_recipe_needs_no_store_before(ask):
    (paths.store() / "mlflow.db").unlink()

    assert ask("--recipe", "small", "--seeds", "1", "storage=null").code == 0
    assert len(read_done()) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "neither a sweep nor a recipe is named; write paretune confirm SWEEP, or"),
        (
            ("a", "--recipe", "small"),
            "sweep `a` and --recipe `small` are both given; confirm one after the other",
        ),
        (("--recipe", "smal"), "recipe `smal` is unknown; .*; did you mean small?"),
        (
            ("--recipe", "small", "--run", "a", "--max-params", "4"),
            (
                "--recipe `small` is a single model, and models of a sweep are chosen "
                "by --run, --max-params; leave out --run, --max-params"
            ),
        ),
        (
            ("--recipe", "era_11"),
            (
                "recipe `era_11` chooses by the test set (selection.split `test`), so that "
                "its scores there confirm nothing; train it as it is: paretune train "
                "+recipe=era_11"
            ),
        ),
        (
            ("--recipe", "zoo/mnist_685", "--train-on", "train"),
            (
                "--train-on `train` is not how recipe `zoo/mnist_685` trains: it learns "
                "from the validation images, too; leave it out"
            ),
        ),
        (("--recipe", "small", "foo=1"), "argument `foo=1` is no setting of Hydra, "),
        (
            ("--recipe", "small", "--set", "model.depth=1"),
            "--set `model.depth=1` is no setting of a training; ",
        ),
        (
            ("--recipe", "zoo/mnist_4766", "--teacher", "no.pt"),
            "teacher `.*no.pt` is not there; give the weights.pt of a Paretune run",
        ),
    ],
)
def test_what_a_recipe_cannot_have_is_one_line(ask, arguments, said):
    answer = ask(*arguments)
    pattern = re.escape(said).replace(r"\.\*", ".*")

    assert (answer.code, len(answer.err.splitlines())) == (2, 1)
    assert re.match(f"paretune confirm: {pattern}", answer.err)


def test_the_recipe_of_a_model_with_a_teacher_can_be_confirmed_with_another(recipe):
    zoo = Recipe.compose("zoo/mnist_4766")

    assert zoo.sees_validation
    assert zoo.config["trainer"]["distillation"] == {
        "teacher": None,
        "weight": 0.9,
        "temperature": 2.0,
    }


def test_a_recipe_that_would_choose_by_images_it_trained_on_is_refused(recipe):
    recipe.write_text(RECIPE.replace("train_size: 300", "train_on_val: true"))

    with pytest.raises(ConfigError, match="would choose by images that were trained"):
        Recipe.compose("small")
