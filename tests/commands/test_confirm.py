import pytest
from omegaconf import OmegaConf

from paretune.commands.confirm import changed, confirmation
from paretune.confirmation import Confirmation
from paretune.errors import ConfigError
from stored_config import CONFIG


def test_a_confirmation_is_not_tuned_so_that_it_runs_in_fp32():
    trainer = confirmation(CONFIG, 1, None, "train")["trainer"]

    assert trainer == {**CONFIG["trainer"], "autotune": False}
    assert CONFIG["trainer"]["autotune"]


def test_a_confirmation_keeps_a_precision_that_the_config_pins():
    pinned = {**CONFIG, "trainer": {**CONFIG["trainer"], "precision": "bf16"}}

    assert confirmation(pinned, 1, None, "train")["trainer"]["precision"] == "bf16"


def test_a_confirmation_has_the_seed_and_the_epochs_asked_for():
    config = confirmation(CONFIG, 7, 9, "train")

    assert (config["seed"], config["trainer"]["max_epochs"]) == (7, 9)
    assert (
        str(Confirmation.of(config, "train")) == "9 epochs on train, best on validation"
    )


def test_on_all_images_the_last_epoch_is_kept_and_patience_has_no_end():
    config = confirmation(CONFIG, 1, None, "train+val")

    assert config["data"]["splitting"] == {"val_size": 360, "train_on_val": True}
    assert (config["trainer"]["patience"], config["selection"]["epoch"]) == (
        None,
        "last",
    )
    assert (
        str(Confirmation.of(config, "train+val")) == "2 epochs on train+val, the last"
    )
    assert (
        str(Confirmation.of(config, "train+val", int8=True))
        == "2 epochs on train+val, the last, in int8"
    )


def test_data_without_a_splitting_cannot_be_trained_on_whole():
    with pytest.raises(
        ConfigError,
        match=(
            r"data `x.load` has no splitting; expected one to train on train\+val; "
            r"use --train-on"
        ),
    ):
        confirmation({**CONFIG, "data": {"_target_": "x.load"}}, 1, None, "train+val")


def test_a_teacher_is_part_of_how_a_model_was_trained(tmp_path):
    weights = tmp_path / "weights.pt"
    weights.write_bytes(b"teacher")
    config = confirmation(CONFIG, 1, None, "train", str(weights))

    assert config["trainer"]["distillation"]["teacher"] == str(weights)
    assert (
        str(Confirmation.of(config, "train"))
        == "2 epochs on train, best on validation, taught by 1057a960"
    )


def test_a_teacher_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(
        ConfigError,
        match=r"teacher `.*` is not there; give the weights.pt of a Paretune run",
    ):
        Confirmation.of(
            confirmation(CONFIG, 1, None, "train", str(tmp_path / "weights.pt")),
            "train",
        )


@pytest.fixture
def member(composed) -> dict:
    """The config of a run."""
    return OmegaConf.to_container(
        composed("data=digits", "model=conv", "optimizer=adamw"), resolve=True
    )


def test_settings_of_the_training_can_be_others_than_the_sweep_had(member):
    config = changed(
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

    assert changed(member, ("trainer.restarts.starts=8",))["trainer"]["restarts"] == {
        "starts": 8
    }


def test_settings_are_part_of_how_a_model_was_trained(member):
    config = confirmation(member, 1, 9, "train")

    assert (
        str(Confirmation.of(config, "train", lines=("b=2", "a=1")))
        == "9 epochs on train, best on validation, with a=1 b=2"
    )


def test_of_a_setting_that_is_given_twice_the_last_counts(member):
    lines = ("trainer.batch_size=64", "trainer.batch_size=32")

    assert changed(member, lines)["trainer"]["batch_size"] == 32
    assert str(Confirmation.of(member, "train", lines=lines)).endswith(
        ", with trainer.batch_size=32"
    )


def test_a_setting_without_a_value_is_refused(member):
    with pytest.raises(
        ConfigError,
        match="--set `augment` has no value; expected SETTING=VALUE, such as",
    ):
        changed(member, ("augment",))


@pytest.mark.parametrize(
    "line", ["model.depth=3", "data=mnist", "trainer.batchsize=4", "augment.tilt=1"]
)
def test_only_settings_of_a_training_can_be_set(member, line):
    with pytest.raises(
        ConfigError,
        match=(
            f"--set `{line}` is no setting of a training; expected one of trainer, "
            "optimizer,"
        ),
    ):
        changed(member, (line,))
