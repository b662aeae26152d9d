"""The published recipes: they compose, count as published, and are compared fairly."""

from dataclasses import replace

import pytest
from studies.recipes import (
    Published,
    Result,
    _train_all,
    published,
    read_results,
    verdict,
    write_page,
    write_results,
)
from torch import nn

from paretune import models, paths
from paretune.models.tracing import count_parameters

NAMES = sorted(path.stem for path in (paths.CONF / "recipe").glob("*.yaml"))
PUBLISHED = {
    1_199_882,
    300_426,
    115_114,
    39_322,
    16_298,
    841,
    8_580,
    4_879,
    3_077,
    7_850,
    50_890,
    101_770,
    152_650,
    55_050,
    118_282,
    189_706,
    59_210,
    134_794,
    226_762,
    63_370,
    151_306,
    263_818,
    431_080,
    1_248_960,
    671_510,
    459_860,
    40_202,
    8_442,
    8_582,
    7_836,
    5_854,
    6_254,
    6_054,
    409_642,
}


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_counts_what_was_published(name, composed):
    """1,199,882 stands where the source of ``minimalist_baseline`` prints 1,119,882: no
    flatten size gives that.
    """
    config = composed(f"+recipe={name}")
    net, said = models.build(dict(config.model)), config.published
    norms = [
        layer
        for layer in net.modules()
        if isinstance(layer, nn.modules.batchnorm._BatchNorm)
    ]

    assert count_parameters(net) == said.params
    assert said.params in PUBLISHED
    assert 2 * sum(norm.num_features for norm in norms) == said.non_trainable


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_pins_its_precision_and_says_where_it_comes_from(name, composed):
    config = composed(f"+recipe={name}")

    assert config.trainer.precision == "fp32"
    assert config.recipe == name
    assert config.published.source.startswith(("github.com/", "jamesgeo.com/"))
    assert config.selection.split == "test" or config.test


def test_a_training_that_fails_is_named(capfd):
    failed = _train_all([(replace(published("minimalist_841"), name="nothing"), 0)], 1)

    assert failed == ["nothing seed 0"]
    assert "nothing seed 0 failed:" in capfd.readouterr().err


def test_there_is_a_recipe_for_every_published_count():
    lines = [path.read_text() for path in (paths.CONF / "recipe").glob("*.yaml")]

    assert {int(line.split("params: ")[1].split()[0]) for line in lines} == PUBLISHED


def test_a_recipe_knows_what_was_published_of_it():
    recipe = published("minimalist_841")

    assert (recipe.params, recipe.counted, recipe.metric, recipe.value) == (
        841,
        841,
        "f1",
        0.9005,
    )


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        ([], "not run yet"),
        ([0.9790], "as published"),
        ([0.95], "below"),
        ([0.99, 0.991], "above"),
        ([0.97, 0.99], "as published"),
    ],
)
def test_a_verdict_allows_two_deviations_or_two_thousandths(scores, said):
    source = Published(
        "x", 1, 0, "accuracy", 0.98, "test", "last", "github.com/x", counted=1
    )

    assert verdict(source, scores) == said


def test_a_verdict_on_one_training_allows_two_deviations_of_the_source():
    source = Published(
        "x",
        1,
        0,
        "accuracy",
        0.98,
        "test",
        "mean of 60 runs",
        "github.com/x",
        counted=1,
        sd=0.0015,
    )

    assert [verdict(source, [score]) for score in (0.9771, 0.9769)] == [
        "as published",
        "below",
    ]


def test_results_survive_the_table(tmp_path):
    results = [
        Result("b", 0, 0.5, 0.25, 3, 12.0, "last epoch, test once"),
        Result("a", 1, 0.125, 0.5, 3, 12.0, "x"),
    ]
    write_results(results, tmp_path / "docs" / "recipes.csv")

    assert read_results(tmp_path / "docs" / "recipes.csv") == results[::-1]


def test_the_page_has_a_line_for_each_recipe_with_what_came_out(tmp_path):
    source = Published(
        "x",
        1100,
        0,
        "f1",
        0.98,
        "test",
        "last",
        "github.com/x",
        counted=1100,
        notes=["It is odd."],
    )
    write_page(
        [source],
        [
            Result("x", seed, 0.97 + seed / 1000, 0.9, 1, 10.0, "last epoch")
            for seed in (0, 1)
        ],
        tmp_path / "p.md",
    )
    page = (tmp_path / "p.md").read_text()

    assert (
        "| `x` | 1,100 | 1,100 | f1 | 0.9800 | last | 0.9705 ± 0.0007 | 2 | 10 | "
        "last epoch | **below** | github.com/x |"
    ) in page
    assert "* `x`: It is odd." in page
    assert "1 of 1 recipes were run; 0 of them are as published or above." in page


def test_a_recipe_trains_and_is_recorded_under_its_name(command, tmp_path):
    """On the digits, with fewer epochs; the result is read from the store."""
    from studies.recipes import _result_of

    small = (
        "data=digits",
        "data.splitting.val_size=200",
        "trainer.max_epochs=1",
        "trainer.autotune=false",
    )
    answer = command("+recipe=minimalist_841", "seed=1", *small)
    result = _result_of(published("minimalist_841"), 1)

    assert answer.code == 0, answer.err
    assert (result.recipe, result.seed, result.rule) == (
        "minimalist_841",
        1,
        "last epoch, test once",
    )
    assert paths.store().is_dir()


def test_a_recipe_read_on_the_test_set_is_refused_in_a_sweep(command):
    answer = command(
        "-m",
        "+recipe=era_11",
        "seed=range(0,2)",
        "data=digits",
        "hydra.sweeper.n_trials=1",
    )

    assert (
        "selection.split `test` would let a sweep see the test set"
        in answer.out + answer.err
    )
