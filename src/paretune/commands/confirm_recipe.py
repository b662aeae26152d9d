"""``paretune confirm --recipe``: a recipe trained with several seeds, the test set read
once a seed.
"""

from dataclasses import replace
from math import nan
from typing import TYPE_CHECKING

from paretune import paths
from paretune.commands.parsing import format_count
from paretune.commands.recipes import Recipe
from paretune.commands.retrain import ConfirmSettings, Wanted, list_missing
from paretune.commands.retraining import Retraining
from paretune.confirmation import TRAIN, TRAIN_AND_VAL
from paretune.errors import ConfigError
from paretune.tracking.schema import N_PARAMS, VAL_F1

if TYPE_CHECKING:
    from pandas import DataFrame

    from paretune.front import Candidate
    from paretune.tracking import Store


def confirm_recipe(name: str, train_on: str | None, settings: ConfirmSettings) -> None:
    """Train the recipe of this name, as often as the store has not got it yet, and
    print how it did. ``train_on``: other images than the recipe says, if any.

    Raises :class:`~paretune.errors.ConfigError` for what the recipe cannot have.
    """
    from paretune.start import prepare_candidate

    recipe = Recipe.compose(name)
    images = _choose_images(recipe, train_on)
    settings = replace(settings, changes=replace(settings.changes, train_on=images))
    config = settings.changes.make_config(recipe.config, _first_seed(recipe))
    candidate = prepare_candidate(config, recipe.data)
    store = _open_store(settings)
    missing = _list_missing(recipe, settings, store)
    if missing:
        settings.train(missing, store, recipe=recipe)
    _report(recipe, candidate, store)


def _choose_images(recipe: Recipe, train_on: str | None) -> str:
    """The images to train on: those asked for, else those of the recipe."""
    if recipe.sees_validation and train_on == TRAIN:
        raise ConfigError(
            f"--train-on `{train_on}` is not how recipe `{recipe.name}` trains: it "
            "learns from the validation images, too; leave it out"
        )
    if recipe.sees_validation:
        return TRAIN_AND_VAL
    return train_on or TRAIN


def _open_store(settings: ConfirmSettings) -> "Store":
    """The store to read, made if it is not there: a recipe needs no sweep before it."""
    from paretune.tracking import Store

    store = Store(
        settings.store_uri, artifacts=str(settings.store_folder / "artifacts")
    )
    if store.file and not store.file.exists():
        store.create()
    return store.open_for_reading()


def _first_seed(recipe: Recipe) -> int:
    """The seed that the recipe has was there when it was made, and tells nothing."""
    return int(recipe.config["seed"]) + 1


def _list_missing(
    recipe: Recipe, settings: ConfirmSettings, store: "Store"
) -> list[Retraining]:
    from paretune.tracking import read_confirmations_of

    return list_missing(
        [Wanted(recipe.digest, recipe.config, is_recipe=True)],
        [settings.changes],
        settings.n_seeds,
        _first_seed(recipe),
        done=read_confirmations_of(store, recipe.digest),
    )


def _report(recipe: Recipe, candidate: "Candidate", store: "Store") -> None:
    """Print what is known of the recipe, each way of training it in a row."""
    from rich.console import Console

    from paretune.reports.confirmed import (
        INTERVAL,
        format_mean_and_sd,
        read_references,
    )
    from paretune.reports.terminal import (
        build_confirmed_table,
        format_beaten_references,
    )
    from paretune.reports.wrong import format_mixups, read_answers_of
    from paretune.tracking import read_confirmations_of
    from paretune.tracking.trial_table import records

    runs = read_confirmations_of(store, recipe.digest)
    models = _summarize(recipe, candidate, runs)
    seeds = format_count(int(models["seeds"].sum()), "training")
    console = Console()
    console.print(build_confirmed_table(models, f"{recipe.name}: {seeds}"))
    for model in records(models):
        line = f"test accuracy {format_mean_and_sd(model, 'test_accuracy')}"
        if model["seeds"] > 1:
            low, high = model["test_accuracy_low"], model["test_accuracy_high"]
            line += f", {INTERVAL} {low:.4f} to {high:.4f}"
        console.print(f"{line} ({model['how']})", soft_wrap=True, highlight=False)
        wrong = read_answers_of(model, runs, store)
        if wrong and (mixups := format_mixups(wrong)):
            console.print(mixups, soft_wrap=True, highlight=False, markup=False)
    references = read_references(paths.CONF / f"references/{recipe.data}.yaml")
    for line in format_beaten_references(models, references):
        console.print(line, soft_wrap=True)


def _summarize(
    recipe: Recipe, candidate: "Candidate", runs: "DataFrame"
) -> "DataFrame":
    """The scores of the recipe over the seeds of its ``runs``, a row for each way of
    training it.
    """
    from pandas import DataFrame

    from paretune.reports.confirmed import summarize_trainings

    model = DataFrame(
        {
            "run_id": [recipe.digest],
            N_PARAMS: [candidate.params],
            "family": [candidate.family],
            VAL_F1: [nan],  # of no search
        }
    )
    return summarize_trainings(model, runs)
