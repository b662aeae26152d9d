"""The models of the repository as recipes: each composes to what its card says."""

from collections.abc import Mapping

import pytest
from omegaconf import OmegaConf
from safetensors.torch import load_file
from studies.recipes import published_recipes
from studies.zoo import FOLDER, Card, describe, read_cards, write_command
from torch import Tensor

from paretune import models, paths
from paretune.commands.recipe_writing import format_recipe
from paretune.nested import list_leaves
from paretune.start import TRAINED_BY
from paretune.tracking import Store
from paretune.tracking.runs import find_runs

CARDS = read_cards()
# What a recipe leaves to the caller.
LEFT_OUT = ("seed", "cap", "trainer.distillation.teacher")
SMALLEST = sorted(CARDS, key=lambda name: int(CARDS[name].path.stem))[:3]


def shapes_of(weights: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {
        name.removeprefix("net."): tuple(value.shape) for name, value in weights.items()
    }


@pytest.mark.parametrize("name", CARDS)
def test_a_recipe_composes_to_the_config_of_its_card(name, composed):
    config = OmegaConf.to_container(composed(f"+recipe=zoo/{name}"), resolve=True)
    said = dict(list_leaves(CARDS[name].config))
    got = dict(list_leaves({section: config[section] for section in TRAINED_BY}))

    assert {key: got[key] for key in said if not key.startswith(LEFT_OUT)} == {
        key: value for key, value in said.items() if not key.startswith(LEFT_OUT)
    }


@pytest.mark.parametrize("name", CARDS)
def test_a_recipe_builds_the_network_whose_weights_are_kept(name, composed):
    net = models.build(composed(f"+recipe=zoo/{name}").model)
    kept = load_file(CARDS[name].path.with_suffix(".safetensors"))

    assert shapes_of(net.state_dict()) == shapes_of(kept)


@pytest.mark.parametrize("name", CARDS)
def test_a_recipe_counts_what_its_card_says(name, composed):
    config = composed(f"+recipe=zoo/{name}")

    assert models.count(config.model) == config.published.params
    assert f"{CARDS[name].f1:.4f}" == f"{config.published.value:.4f}"
    assert config.recipe == f"zoo/{name}"


def test_the_recipes_and_the_commands_in_the_cards_are_as_the_program_writes_them():
    written = {path.stem: path.read_text() for path in FOLDER.glob("*.yaml")}
    trainings = {name: describe(name, card) for name, card in CARDS.items()}

    assert written == {name: format_recipe(one) for name, one in trainings.items()}
    for name, card in CARDS.items():
        text = write_command(card, trainings[name].command)
        assert text == card.path.read_text()
        assert f"paretune train +recipe=zoo/{name} seed=" in text


def test_a_recipe_without_its_teacher_says_how_to_have_it():
    text = (FOLDER / "mnist_4766.yaml").read_text().replace("\n# ", " ")

    assert "set trainer.distillation.teacher=weights.pt." in text
    assert "teacher:" not in text


def test_the_zoo_is_none_of_the_published_recipes():
    names = {recipe.name for recipe in published_recipes()}

    assert len(names) == 40
    assert not any(name.startswith(("zoo", "mnist")) for name in names)


def interval(card: Card) -> tuple[float, float]:
    """The confirmed interval of the mean, wider by two deviations of a training."""
    low, high = float(card.scores["test_f1_low"]), float(card.scores["test_f1_high"])
    return low - 2 * card.sd, high + 2 * card.sd


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALLEST)
def test_a_recipe_trains_to_the_confirmed_f1(name, command, known_data, monkeypatch):
    monkeypatch.setenv("PARETUNE_DATA", str(known_data("mnist")))
    answer = command(f"+recipe=zoo/{name}", "seed=1", "test=true")
    store = Store(paths.tracking_uri(paths.store()))
    (run,) = find_runs(store, {"kind": "run", "recipe": f"zoo/{name}"})
    low, high = interval(CARDS[name])

    assert answer.code == 0, answer.err
    assert low <= run.data.metrics["test_f1"] <= high
