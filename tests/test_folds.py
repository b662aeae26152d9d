"""A training in several folds, for few images."""

import json

import pytest
from omegaconf import OmegaConf

from paretune.errors import ConfigError, Paused
from paretune.experiment import Experiment, train_recorded
from paretune.front import Point
from paretune.search import TrialHandle, make_current
from paretune.start import prepare_candidate

EPOCHS = 4
FOLDS = 3


@pytest.fixture
def experiment(composed, tmp_path) -> Experiment:
    """A training of digits in folds."""
    config = OmegaConf.to_container(
        composed(
            "data=digits",
            "data.splitting.train_size=150",
            "data.splitting.val_size=60",
            "model=conv",
            "model.widths=[4,4]",
            f"trainer.max_epochs={EPOCHS}",
            "trainer.patience=null",
            "trainer.autotune=false",
            f"selection.folds={FOLDS}",
            "selection.epoch=last",
        ),
        resolve=True,
    )
    return Experiment(prepare_candidate(config, "digits"), tmp_path)


def attempt(experiment: Experiment, *, waits_at: int, waited_at: int = 0):
    """The point, and the epochs that the sweep heard of."""
    heard: list[int] = []

    def hear(epoch, values):
        heard.append(epoch)
        return epoch == waits_at

    handle = TrialHandle("s", 0, 0, {}, pauses=hear, waited_at=waited_at)
    with make_current(handle):
        return train_recorded(experiment, None), heard


def scores_of(point: Point) -> tuple[float, float, float]:
    return point.f1, point.accuracy, point.loss


def test_a_sweep_hears_of_each_epoch_of_the_first_fold_and_of_the_end_of_the_others(
    experiment,
):
    point, heard = attempt(experiment, waits_at=0)

    assert heard == [1, 2, 3, 4, 8, 12]
    assert point.best_epoch == EPOCHS
    assert experiment.weights.exists()
    assert not experiment.folds.exists()


def test_a_training_has_the_same_numbers_however_often_it_waits(experiment):
    whole, _ = attempt(experiment, waits_at=0)
    waited_at = 0
    for epoch in (2, 4, 8):
        with pytest.raises(Paused) as paused:
            attempt(experiment, waits_at=epoch, waited_at=waited_at)
        where = paused.value.where
        assert (where.epoch, where.epochs) == (epoch, EPOCHS * FOLDS)
        waited_at = epoch
    point, heard = attempt(experiment, waits_at=0, waited_at=waited_at)

    assert heard == [12]
    assert scores_of(point) == scores_of(whole)


@pytest.mark.parametrize("content", [None, "", "{}", '{"config": {}, "folds": []}'])
def test_without_what_it_left_it_begins_anew_with_the_same_numbers(experiment, content):
    whole, _ = attempt(experiment, waits_at=0)
    with pytest.raises(Paused):
        attempt(experiment, waits_at=8)
    if content is None:
        experiment.weights.unlink()
    else:
        experiment.folds.write_text(content)
    point, heard = attempt(experiment, waits_at=0, waited_at=8)

    assert heard == [1, 2, 3, 4, 8, 12]
    assert scores_of(point) == scores_of(whole)


def test_every_image_is_scored_once(experiment):
    with pytest.raises(Paused):
        attempt(experiment, waits_at=8)
    folds = json.loads(experiment.folds.read_text())["folds"]

    assert [len(fold["labels"]) for fold in folds] == [70, 70]


def test_the_number_of_images_is_recorded(command, tmp_path):
    from paretune.tracking import Store, read_trials

    command(
        "-m",
        "name=small",
        "data=digits",
        "data.splitting.train_size=150",
        "model=dense",
        "trainer.max_epochs=1",
        "selection.folds=2",
        "hydra.sweeper.n_trials=1",
    )
    trials = read_trials(Store(f"sqlite:///{tmp_path}/store/mlflow.db"), "small")

    assert trials["val_images"].tolist() == [510]
    assert trials["val_effective_images"].between(450, 510).all()


def test_folds_and_a_look_at_the_test_set_do_not_go_together(command):
    answer = command("data=digits", "selection.folds=5", "test=true")

    assert answer.code == 2
    assert "selection.folds `5` gives as many networks, and test `true`" in answer.err


def test_folds_of_the_test_images_are_refused(command):
    answer = command("data=digits", "selection.folds=5", "selection.split=test")

    assert answer.code == 2
    assert "selection.folds `5` are of the training images" in answer.err


def test_more_folds_than_images_of_a_class_are_refused(experiment):
    from paretune.data import load

    data = load(experiment.candidate.config["data"])
    with pytest.raises(ConfigError, match="`100` leave a fold without images"):
        data.make_folds(100)


def test_a_card_says_how_it_was_scored(experiment):
    from paretune.schema import Selection

    rule = Selection(**experiment.candidate.config["selection"]).rule

    assert rule == "last epoch, scored in 3 folds"
