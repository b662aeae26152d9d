"""How long a training will take, guessed from its config."""

from collections.abc import Callable

import pytest

from paretune.commands.counting import guess_duration
from paretune.duration import Guess
from paretune.errors import ConfigError


@pytest.fixture
def make_guess(composed) -> Callable[..., Guess]:
    return lambda *lines: guess_duration(composed("model=conv", *lines))


@pytest.mark.parametrize(
    "drawn",
    [
        {"model.widths": [16, 16, 16, 16, 16]},
        {"model.depth": 5},
        {"model.views": 13},
        {"trainer.batch_size": 32},
        {"trainer.max_epochs": 20},
        {"trainer.restarts.starts": 2},
        {"optimizer": "soap"},
        {"optimizer": "full_matrix"},
        {"augment": "affine"},
    ],
    ids=str,
)
def test_a_training_with_more_to_do_takes_longer(make_guess, drawn):
    guess = make_guess("optimizer=adamw", "model.depth=3", "model.image_pool=2")

    assert guess(drawn) > 1.05 * guess({})


def test_further_networks_take_the_epochs_that_they_are_trained_for(make_guess):
    guess = make_guess("trainer.max_epochs=10", "trainer.restarts.epochs=5")

    assert guess({"trainer.restarts.starts": 4}) == pytest.approx(3 * guess({}))


@pytest.mark.parametrize(
    ("group", "option"),
    [
        ("optimizer", "soap"),
        ("optimizer", "full_matrix"),
        ("optimizer", "auto"),
        ("augment", "affine"),
    ],
)
def test_what_the_command_says_takes_as_long_as_what_is_drawn(
    make_guess, group, option
):
    said = make_guess(f"{group}={option}")

    assert said({}) == pytest.approx(make_guess()({group: option}))
    assert said({f"{group}.unknown": 3}) == said({})


@pytest.mark.parametrize(
    ("width", "option"), [(4, "full_matrix"), (48, "adamw")], ids=["small", "large"]
)
def test_the_automatic_optimizer_takes_as_long_as_the_one_it_is(
    make_guess, width, option
):
    guess = make_guess()
    widths = {"model.widths": [width] * 5}

    assert guess(widths | {"optimizer": "auto"}) == guess(
        widths | {"optimizer": option}
    )


def test_the_guess_for_a_model_that_cannot_be_built_says_why(make_guess):
    with pytest.raises(ConfigError, match="views"):
        make_guess()({"model.views": 4})
