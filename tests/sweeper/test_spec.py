"""What every process derives of the same options and arguments."""

from math import inf, nan

import numpy as np
import pytest
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.types import RunMode
from omegaconf import OmegaConf

from hydra_plugins.paretune_sweeper import RaceOptions
from hydra_plugins.paretune_sweeper._spec import SweepSpec
from hydra_plugins.paretune_sweeper.sweeper import ParetuneSweeper
from paretune import paths, schema
from paretune.errors import ConfigError
from paretune.overrides import quote
from paretune.search.defaults import UNKNOWN
from paretune.search.grammar import read_value
from shapes import draw


def spec_of(*arguments: str, **options: object) -> SweepSpec:
    """The spec of ``paretune train -m`` with these arguments."""
    schema.register()
    hydra = Hydra.create_main_hydra2(
        "train", create_config_search_path(str(paths.CONF))
    )
    config = hydra.compose_config(
        "train",
        [a for a in arguments if a.startswith("hydra")],
        run_mode=RunMode.MULTIRUN,
    )
    OmegaConf.update(config, "hydra.sweeper.cap.max", 20_000)
    fields = {
        name: value
        for name, value in config.hydra.sweeper.items()
        if not name.startswith("_")
    }
    sweeper = ParetuneSweeper(**fields | {"recorder": None, "storage": None} | options)
    return SweepSpec(
        sweeper.options,
        [a for a in arguments if not a.startswith("hydra")],
        hydra.config_loader,
        config,
    )


def test_a_count_does_not_depend_on_what_was_counted_before():
    """The head of one configuration is not left over for the next, which has none."""
    conditional = "model.head=tag('if model.norm == none',choice([16],[32]))"
    costs = spec_of(
        "model=conv", "model.widths=[8,8]", "model.norm=choice(none,batch)", conditional
    ).feasible.costs
    rest = {"model.kernel_size": 3, "model.dropout": 0.0, "optimizer.lr": 0.01}
    counts = [
        costs.count(rest | params)
        for params in (
            {"model.norm": "batch"},
            {"model.norm": "none", "model.head": "[32]"},
            {"model.norm": "batch"},
        )
    ]

    assert counts[0] == counts[2] != counts[1]


def test_a_model_that_takes_values_from_elsewhere_is_counted_with_them():
    widths = "model.widths=[${trainer.batch_size},${trainer.batch_size}]"
    feasible = spec_of(
        "model=conv", widths, "trainer.batch_size=int(interval(4,64))"
    ).feasible
    rest = {
        "model.kernel_size": 3,
        "model.norm": "none",
        "model.dropout": 0.0,
        "optimizer.lr": 0.01,
    }

    assert feasible.verify_fits(rest | {"trainer.batch_size": 8})
    assert not feasible.verify_fits(rest | {"trainer.batch_size": 64})


@pytest.mark.parametrize("typed", ["1.10", "1e3", "007", "true", "null and void"])
@pytest.mark.parametrize("quote", ["", "'"])
def test_a_study_is_called_as_typed(typed, quote):
    spec = spec_of(
        "model=dense",
        "model.widths=[4]",
        "space=null",
        f"hydra.sweeper.study_name={quote}{typed}{quote}",
    )

    assert spec.name == typed


def test_a_trial_is_composed_with_every_text_as_it_was_given():
    texts = [
        "a=b",
        "a(b",
        "it's",
        'a & "b" # c',
        "größe 😀",
        " a ",
        "1.10",
        "[x]",
        "",
        "a\nb",
        "a\\",
    ]
    spec = spec_of(
        "model=dense",
        "model.widths=[4]",
        "space=null",
        f"data.name=choice({','.join(map(quote, texts))})",
    )
    drawn = [{"data.name": choice} for choice in spec.space.common["data.name"].choices]

    assert [
        spec.composer.compose(spec.space.overrides(params)).data.name
        for params in drawn
    ] == texts


@pytest.mark.parametrize("name", ["augment", "optimizer.lr"])
def test_what_is_null_in_params_is_not_searched(name):
    """A sweep file that builds on another leaves a group or a parameter of it out."""
    params = {
        "augment": "choice(none,affine)",
        "optimizer.lr": "interval(0.001,0.1)",
        "trainer.batch_size": "choice(32,64)",
    }
    spec = spec_of("model=conv", "space=null", params=params | {name: None})

    assert set(spec.space.all_distributions()) == set(params) - {name}


FAMILIES = "model=choice(conv,squeeze)"
KNOWN = [{"model": "conv", "model.depth": 2, "model.widths.0": 5, "optimizer": "soap"}]


@pytest.fixture
def known(monkeypatch):
    monkeypatch.setattr("paretune.portfolio.read_portfolio", lambda: KNOWN)


@pytest.mark.parametrize(
    ("arguments", "start", "n_known"),
    [
        ((FAMILIES,), "auto", 1),
        ((FAMILIES,), None, 0),
        (("model=conv",), "auto", 0),
        (("model=conv",), "portfolio", 1),
        ((FAMILIES, "hydra/sweeper/sampler=random"), "auto", 1),
        (
            (
                "model=conv",
                "space=null",
                "seed=range(0,3)",
                "hydra/sweeper/sampler=grid",
            ),
            "auto",
            0,
        ),
    ],
)
def test_known_configurations_come_first_where_families_are_searched(
    known, arguments, start, n_known
):
    assert len(spec_of(*arguments, start=start).sampler.portfolio) == n_known


def test_a_known_configuration_keeps_its_values(known):
    [params] = spec_of(FAMILIES, start="auto").sampler.portfolio

    assert params["conv/model.depth"] == 2
    assert params["conv/model.widths.0"] == 5
    assert params["optimizer"] == "soap"


@pytest.mark.parametrize(
    ("start", "path", "message"),
    [
        ("best", None, "start `best` is invalid; write a list of configurations"),
        ("portfolio", None, "start `portfolio` needs known configurations"),
    ],
)
def test_a_start_of_another_form_is_refused(start, path, message):
    with pytest.raises(ConfigError, match=message):
        spec_of("model=conv", start=start, portfolio=path).read_starts()


def test_the_first_trials_are_quick_for_what_is_drawn_and_what_is_said():
    """Of a group its option counts, and the family that a trial draws."""
    spec = spec_of(FAMILIES, "trainer.max_epochs=3")
    guess = spec.sampler.guess_duration
    params = spec.feasible.draw_at_share(np.random.default_rng(0), 0.5)
    slow, quick = (params | {"optimizer": name} for name in ("soap", "adamw"))

    assert 0 < guess(quick) < guess(slow)


def test_any_first_trials_are_there_for_the_asking():
    assert spec_of("model=conv", duration=None).sampler.guess_duration is None


@pytest.mark.parametrize(
    "arguments",
    [
        ("space=null", "model=choice(conv,squeeze)"),
        ("space=null", "trainer=choice(default)"),
        ("+recipe=choice(era_11_honest,minimalist_841)", "space=null", "test=false"),
    ],
    ids=" ".join,
)
def test_a_guess_is_made_whichever_group_is_drawn(arguments):
    """A group that brings no parameters is no family, and may decide the model."""
    spec = spec_of(*arguments, "optimizer.lr=interval(0.001,0.1)")
    draws = [spec.feasible.draw_uniform(np.random.default_rng(n)) for n in range(6)]

    assert all(0 < spec.sampler.guess_duration(drawn) < inf for drawn in draws)


def test_the_defaults_of_draws_are_those_of_the_config():
    find = spec_of(FAMILIES, "augment=choice(none,affine)").feasible.defaults.find

    assert find("model.norm", "squeeze", {}) == "batch"
    assert find("model.norm", "conv", {}) == "none"
    assert find("augment", "conv", {}) == "none"
    assert find("optimizer", "conv", {}) is UNKNOWN  # auto is not searched
    assert find("optimizer.lr", "conv", {"optimizer": "adamw"}) == 0.005
    assert find("optimizer.lr", "conv", {"optimizer": "soap"}) == 0.01


def test_a_pause_without_a_race_is_refused():
    with pytest.raises(ConfigError, match=r"race\.pause `true` does nothing without"):
        spec_of("model=conv", race=RaceOptions(pause=True))


def test_a_sweep_that_nothing_ends_is_refused():
    with pytest.raises(ConfigError, match="n_trials `null` is a sweep without an end"):
        spec_of("model=dense", n_trials=None)


@pytest.mark.parametrize("ends", [{"timeout_s": 60.0}, {"flat_trials": 9}])
def test_a_sweep_without_a_total_ends_otherwise(ends):
    spec = spec_of("model=dense", n_trials=None, **ends)

    assert spec.sweep.limits.n_trials is None


def test_draws_of_any_value_are_there_for_the_asking():
    assert spec_of("model=conv", near_defaults=False).feasible.defaults is None


def test_a_configuration_that_cannot_be_built_takes_for_ever():
    spec = spec_of("model=conv", "space=null", "model.views=choice(1,4)")

    assert spec.sampler.guess_duration({"model.views": 4}) == inf


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("paretune.nothing", r"duration `paretune\.nothing`"),
        ("sweeper.test_spec.fail", r"duration `.*` fails for .*KeyError: 'trainer'"),
        ("sweeper.test_spec.guess_nothing", r"duration `.*` guesses `None` for"),
        ("sweeper.test_spec.guess_nan", r"duration `.*` guesses `nan` for"),
    ],
)
def test_a_duration_that_cannot_work_is_named_before_anything_runs(path, message):
    with pytest.raises(ConfigError, match=message):
        spec_of("model=conv", duration=path)


def fail(config):
    raise KeyError("trainer")


def guess_nothing(config):
    return lambda drawn: None


def guess_nan(config):
    return lambda drawn: nan


@pytest.mark.parametrize(
    ("key", "is_searched"),
    [
        ("trainer.restarts.starts", False),  # the file sets it
        ("trainer.label_smoothing", True),
        ("optimizer.lr", True),
    ],
)
def test_what_a_sweep_file_sets_is_not_searched(
    monkeypatch, tmp_path, key, is_searched
):
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "sweeps/mine.yaml").write_text(
        "# @package _global_\ntrainer: {restarts: {starts: 3}}\n"
    )
    monkeypatch.chdir(tmp_path)
    spec = spec_of("model=conv", "sweeps=mine")

    assert (key in spec.space.all_distributions()) == is_searched


def test_a_group_that_a_sweep_file_searches_is_not_set_by_it():
    """Its options are tried one after another; what depends on one is not searched
    beside the others.
    """
    params = {"augment": "choice(none, affine)"}
    spec = spec_of("model=conv", "sweeps=record", params=params)

    assert str(spec.space.conditions["augment.shift"]) == "if augment == affine"
    assert "augment.shift" not in spec.feasible.smallest_of({})


def test_a_family_that_is_the_only_choice_is_counted():
    """Which options of groups change no cost is told by trying; a single option is
    no other than itself.
    """
    spec = spec_of("model=choice(recurrent)")
    smallest = spec.feasible.smallest_of({})

    assert "model.steps" in smallest
    assert spec.feasible.costs.exact(smallest) == spec.feasible.smallest > 0


def test_what_params_leave_out_is_not_searched_where_a_family_brings_it():
    spec = spec_of("model=conv", params={"augment": None, "model.views": None})
    searched = spec.space.all_distributions()

    assert not {"augment", "augment.shift", "model.views"} & searched.keys()
    assert "trainer.label_smoothing" in searched


def test_conditions_on_what_a_recipe_sets_are_decided():
    """It augments by turns, so that shifts are searched and whether it augments is
    not.
    """
    arguments = ("+recipe=era_11", "selection.split=validation", "test=false")
    spec = spec_of("model=squeeze", *arguments, "data.splitting.val_size=10000")
    searched = spec.space.all_distributions()

    assert "augment" not in searched
    assert "augment.shift" in searched


def test_what_a_recipe_sets_is_not_searched():
    spec = spec_of("model=choice(conv,squeeze)", "+recipe=minimalist_841", "test=false")
    searched = spec.space.all_distributions()

    assert not {"optimizer", "scheduler", "model.init"} & searched.keys()
    assert "trainer.label_smoothing" in searched


def test_the_starts_of_the_documents_are_in_the_spaces():
    lines = [
        line.strip()[2:]
        for line in (paths.CONF.parent / "docs/sweeper.md").read_text().splitlines()
        if line.startswith("  - ") and "model=" in line
    ]

    assert (
        len(spec_of("model=choice(separable,squeeze)", start=lines).read_starts())
        == len(lines)
        == 2
    )


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (
            ["model=conv"],
            {"start": ["model=conv model.norm='x"]},
            r"start `.*` cannot be read \(No closing quotation\)",
        ),
        (
            [
                "model=conv",
                "model.widths.0=choice(4,5)",
                "space=null",
                "hydra/sweeper/sampler=grid",
            ],
            {"start": ["model=conv"]},
            r"start `model=conv` has no place in sampler `grid`",
        ),
        (
            ["model=conv"],
            {"start": ["model=conv model.depth=3 optimizer=adamw model.norm_eps=0.01"]},
            (
                r"start `.*` sets model.norm_eps `0.01`, which is not searched; add model.norm_eps"
            ),
        ),
        (
            ["model=conv", "model.widths=[8,8]", "space=null", "seed=range(0,9)"],
            {"start": ["model.widths=[9,9] seed=1"]},
            r"start `.*` sets model.widths `\[9, 9\]`, which is not searched",
        ),
        (
            ["model=conv", "space=null", "model.widths.0=range(4,9)"],
            {"start": ["model.widths=[8,9,8]"]},
            r"start `.*` sets model.widths `\[8, 9, 8\]`",
        ),
    ],
)
def test_a_start_that_cannot_be_is_refused(arguments, options, message):
    with pytest.raises(ConfigError, match=message):
        spec_of(*arguments, **options).read_starts()


def test_a_size_of_the_images_that_is_searched_counts(tmp_path):
    """A dense layer on the pixels of pictures has as many weights as they have; none
    over the cap is proposed.
    """
    draw(tmp_path, 30)
    pictures = (
        "data=folder",
        f"data.path={tmp_path}",
        "data.image_size=choice([8,12],[16,24],[32,48])",
        "model=dense",
    )
    feasible = spec_of(*pictures, "model.widths=[4]", "space=null").feasible
    costs = {
        feasible.costs.exact(feasible.draw_uniform(np.random.default_rng(seed)))
        for seed in range(20)
    }

    assert costs == {
        3 * height * width * 4 + 4 + 4 * 3 + 3
        for height, width in ((8, 12), (16, 24), (32, 48))
    }
    assert feasible.upper == max(costs)


def test_a_list_that_the_command_line_fixes_leaves_the_space_part_by_part():
    params = {"model.widths.0": "range(2,32)", "trainer.batch_size": "choice(32,64)"}
    spec = spec_of("model=conv", "space=null", "model.widths=[8,8]", params=params)

    assert set(spec.space.all_distributions()) == {"trainer.batch_size"}


@pytest.mark.parametrize(
    ("choice", "value"),
    [
        (False, False),
        (0.0, 0.0),
        ("[16]", [16]),
        ("null", None),
        ("{kind:a,width:4}", {"kind": "a", "width": 4}),
        ("on", "on"),
        ("0x10", "0x10"),
        ("a: b", "a: b"),
        ("'a,b'", "a,b"),
        ("${seed}", "${seed}"),
    ],
)
def test_a_choice_is_counted_as_what_hydra_reads(choice, value):
    """And false is not the number zero."""
    assert read_value(choice) == value
    assert type(read_value(choice)) is type(value)
