"""What is other when a run is trained again."""

from dataclasses import replace

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from paretune.commands.retraining import Changes, Retraining, change_settings
from paretune.confirmation import TRAIN, TRAIN_AND_VAL, Confirmation
from paretune.errors import ConfigError
from stored_config import CONFIG


def test_a_confirmation_is_not_tuned_so_that_it_runs_in_fp32():
    trainer = Changes().make_config(CONFIG, seed=1)["trainer"]

    assert trainer == {**CONFIG["trainer"], "autotune": False}
    assert CONFIG["trainer"]["autotune"]


def test_a_confirmation_keeps_a_precision_that_the_config_pins():
    pinned = {**CONFIG, "trainer": {**CONFIG["trainer"], "precision": "bf16"}}

    assert Changes().make_config(pinned, seed=1)["trainer"]["precision"] == "bf16"


def test_a_confirmation_has_the_seed_and_the_epochs_asked_for():
    changes = Changes(epochs=9)
    config = changes.make_config(CONFIG, seed=7)

    assert (config["seed"], config["trainer"]["max_epochs"]) == (7, 9)
    assert str(changes.describe(config)) == "9 epochs on train, best on validation"


def test_on_all_images_the_last_epoch_is_kept_and_patience_has_no_end():
    changes = Changes(train_on=TRAIN_AND_VAL)
    config = changes.make_config(CONFIG, seed=1)

    assert config["data"]["splitting"] == {"val_size": 360, "train_on_val": True}
    assert (config["trainer"]["patience"], config["selection"]["epoch"]) == (
        None,
        "last",
    )
    assert str(changes.describe(config)) == "2 epochs on train+val, the last"
    in_int8 = replace(changes, int8=True)
    assert str(in_int8.describe(config)) == "2 epochs on train+val, the last, in int8"


def test_data_without_a_splitting_cannot_be_trained_on_whole():
    with pytest.raises(
        ConfigError,
        match=r"data `x.load` has no splitting, so that there is no train\+val; use --train-",
    ):
        Changes(train_on=TRAIN_AND_VAL).make_config(
            {**CONFIG, "data": {"_target_": "x.load"}}, seed=1
        )


def test_a_teacher_is_part_of_how_a_model_was_trained(tmp_path):
    weights = tmp_path / "weights.pt"
    weights.write_bytes(b"teacher")
    changes = Changes(teacher=str(weights))
    config = changes.make_config(CONFIG, seed=1)

    assert config["trainer"]["distillation"]["teacher"] == str(weights)
    assert (
        str(changes.describe(config))
        == "2 epochs on train, best on validation, taught by 1057a960"
    )


def test_a_teacher_that_is_not_there_is_refused(tmp_path):
    changes = Changes(teacher=str(tmp_path / "weights.pt"))
    config = changes.make_config(CONFIG, seed=1)
    with pytest.raises(
        ConfigError,
        match=r"teacher `.*` is not there; give the weights.pt of a Paretune run",
    ):
        changes.describe(config)


@pytest.fixture
def member(composed) -> dict:
    """The config of a run."""
    return OmegaConf.to_container(
        composed("data=digits", "model=conv", "optimizer=adamw"), resolve=True
    )


def test_settings_of_the_training_can_be_others_than_the_sweep_had(member):
    config = change_settings(
        member,
        ("augment.rotation_deg=9", "augment=affine", "trainer.restarts.starts=8"),
    )

    assert (config["augment"]["rotation_deg"], config["augment"]["scale"]) == (9, 0.0)
    assert config["trainer"]["restarts"] == {"starts": 8, "epochs": 3}
    assert {**config, "augment": {}, "trainer": {}} == {
        **member,
        "augment": {},
        "trainer": {},
    }


def test_a_setting_that_the_sweep_did_not_have_yet_can_be_set(member):
    del member["trainer"]["restarts"]

    assert change_settings(member, ("trainer.restarts.starts=8",))["trainer"][
        "restarts"
    ] == {"starts": 8}


def test_settings_are_part_of_how_a_model_was_trained(member):
    changes = Changes(epochs=9, settings=("trainer.batch_size=2", "augment=affine"))
    config = changes.make_config(member, seed=1)

    assert (
        str(changes.describe(config))
        == "9 epochs on train, best on validation, with augment=affine "
        "trainer.batch_size=2"
    )


def test_of_a_setting_that_is_given_twice_the_last_counts(member):
    lines = ("trainer.batch_size=64", "trainer.batch_size=32")

    assert change_settings(member, lines)["trainer"]["batch_size"] == 32
    assert str(Confirmation.of(member, "train", lines=lines)).endswith(
        ", with trainer.batch_size=32"
    )


def test_a_setting_without_a_value_is_refused(member):
    with pytest.raises(
        ConfigError,
        match="--set `augment` has no value; write SETTING=VALUE, such as",
    ):
        change_settings(member, ("augment",))


@pytest.mark.parametrize(
    "line", ["model.depth=3", "data=mnist", "trainer.batchsize=4", "augment.tilt=1"]
)
def test_only_settings_of_a_training_can_be_set(member, line):
    with pytest.raises(
        ConfigError,
        match=(
            f"--set `{line}` is no setting of a training; these are below optimizer, "
            "scheduler, augment, trainer, such as"
        ),
    ):
        change_settings(member, (line,))


@given(
    st.builds(
        Retraining,
        st.from_regex(r"[0-9a-f]{32}", fullmatch=True),
        st.integers(0, 2**32),
        st.integers(0, 99),
        st.booleans(),
    )
)
def test_a_training_is_read_from_its_text(training):
    assert Retraining.parse(str(training)) == training


def test_a_training_is_written_as_earlier_versions_did():
    """Studies hold this text: an interrupted confirmation goes on by it."""
    assert str(Retraining("0a1b", 7)) == "run0a1b-seed7"
    assert str(Retraining("0a1b", 7, way=2)) == "run0a1b-seed7-way2"
    assert str(Retraining("0a1b", 7, is_recipe=True)) == "recipe0a1b-seed7"


@pytest.mark.parametrize("text", ["", "run-seed1", "run0a1b-seedx", "0a1b"])
def test_another_text_is_no_training(text):
    with pytest.raises(ConfigError, match=f"training `{text}` cannot be read"):
        Retraining.parse(text)


CHANGES = st.builds(
    Changes,
    epochs=st.none() | st.integers(1, 10**6),
    train_on=st.sampled_from([TRAIN, TRAIN_AND_VAL]),
    teacher=st.none() | st.text(min_size=1),
    settings=st.lists(st.text()).map(tuple),
    int8=st.booleans(),
)


@given(st.lists(CHANGES, min_size=1, max_size=3))
def test_ways_are_read_from_the_line_that_hydra_gets(ways):
    line = f"ways=[{','.join(way.write() for way in ways)}]"
    (override,) = OverridesParser.create().parse_overrides([line])
    config = OmegaConf.create({"ways": override.value()})

    assert [Changes.read(way) for way in config.ways] == ways


def test_a_mapping_of_settings_leaves_the_others_as_they_are(member):
    config = change_settings(member, ("trainer.restarts={starts:8}",))

    assert config["trainer"]["restarts"] == {"starts": 8, "epochs": 3}
    assert member["trainer"]["restarts"]["starts"] == 1
