"""Averaged weights, smoothed labels, faded augmentation, and the rules by which a
result is read.
"""

from dataclasses import replace
from math import inf, log

import pytest
import torch
from torch import nn

from paretune import models
from paretune.augment import Affine
from paretune.errors import ConfigError
from paretune.schema import Averaging, Selection
from paretune.training.distillation import Distillation
from paretune.training.epochs import BestWeights, Epoch
from paretune.training.fit import fit, seed_everything
from paretune.training.module import Average
from paretune.training.settings import Training
from small_training import make_training

CONFIG = {"_target_": "paretune.models.dense.Dense", "widths": [16]}


def trained(data, config=CONFIG, **changes):
    seed_everything(0)
    net = models.build(config)
    return net, fit(net, data, make_training(**changes))


def moved(net: nn.Linear, to: float, average: Average) -> None:
    with torch.no_grad():
        net.weight.fill_(to)
    average.after_step()


def test_ema_moves_to_the_weights_by_what_the_decay_leaves():
    net = nn.Linear(1, 1)
    average = Average(net, Averaging("ema", decay=0.9), max_epochs=4)
    moved(net, 0.0, average)
    average.steps = 100
    moved(net, 1.0, average)

    assert average.scored.weight.item() == pytest.approx(0.1)


def test_in_the_beginning_ema_follows_the_weights():
    """After the second step by 9 / 11, so that a race does not judge the first
    weights.
    """
    net = nn.Linear(1, 1)
    average = Average(net, Averaging("ema", decay=0.999), max_epochs=4)
    moved(net, 0.0, average)
    moved(net, 1.0, average)

    assert average.scored.weight.item() == pytest.approx(9 / 11)


def test_swa_is_the_mean_of_the_last_epochs():
    net = nn.Linear(1, 1)
    average = Average(net, Averaging("swa", start=0.5), max_epochs=4)
    for epoch, weight in enumerate((5.0, 7.0, 1.0, 2.0)):
        moved(net, weight, average)
        average.after_epoch(epoch)
        assert average.scored.weight.item() == pytest.approx(
            [5.0, 7.0, 1.0, 1.5][epoch]
        )


@pytest.mark.parametrize("kind", ["ema", "swa"])
def test_an_average_is_scored_and_kept(tiny_data, kind):
    """The scores are those of the network that fit leaves behind."""
    net, result = trained(
        tiny_data,
        averaging=Averaging(kind, decay=0.9, start=0.0),
        selection=Selection("last"),
    )
    plain, _ = trained(tiny_data, selection=Selection("last"))
    normal = (tiny_data.val.pixels.float() - tiny_data.mean) / tiny_data.std
    accuracy = (
        (net.eval()(normal).argmax(1) == tiny_data.val.labels).float().mean().item()
    )

    assert result.best.val_accuracy == pytest.approx(accuracy)
    assert not torch.equal(net.dense1.weight, plain.dense1.weight)


def test_smoothed_labels_raise_the_training_loss_only(tiny_data):
    _, plain = trained(tiny_data, max_epochs=8)
    _, smooth = trained(tiny_data, max_epochs=8, label_smoothing=0.3)

    assert smooth.epochs[-1].train_loss > plain.epochs[-1].train_loss + 0.3
    assert smooth.epochs[-1].val_f1 > 0.9


def test_balanced_classes_weigh_the_same_in_the_training_loss_however_many_images_they_have(
    tiny_data,
):
    # Of class 3 twenty more than of others.
    rows = torch.cat([torch.arange(200)[tiny_data.train.labels == 3], torch.arange(30)])
    uneven = replace(tiny_data, train=tiny_data.train.take(rows))
    training = Training(optimizer=None, schedule=None, class_weights="balanced")
    counts, weights = (
        torch.bincount(uneven.train.labels),
        training.weigh_classes(uneven),
    )

    assert weights * counts == pytest.approx(torch.full((10,), len(rows) / 10))
    _, plain = trained(uneven, max_epochs=2)
    _, balanced = trained(uneven, max_epochs=2, class_weights="balanced")
    assert balanced.epochs[-1].train_loss != plain.epochs[-1].train_loss


def test_a_class_weighs_its_weight_also_in_a_batch_of_itself_alone():
    logits, labels, weights = (
        torch.zeros(2, 2),
        torch.tensor([1, 1]),
        torch.tensor([0.5, 10.0]),
    )
    loss = Distillation().compute_loss(logits, labels, weights=weights)

    assert loss.item() == pytest.approx(10 * log(2))


def test_a_last_batch_of_one_image_that_a_norm_cannot_use_is_one_line(tiny_data):
    config = {
        "_target_": "paretune.models.conv.Conv",
        "widths": [2],
        "head": [4],
        "norm": "batch",
        "head_norm": True,
    }
    rows = tiny_data.train.take(slice(33))
    with pytest.raises(
        ConfigError,
        match=(
            r"trainer.batch_size leaves one image to a last batch, which a norm "
            r"cannot use"
        ),
    ):
        trained(replace(tiny_data, train=rows), config, memory_format="contiguous")


def test_augmentation_fades_out_over_the_last_epochs():
    training = Training(
        optimizer=None, schedule=None, max_epochs=5, augment_rampdown_epochs=2
    )

    assert [training.compute_augment_strength(epoch) for epoch in range(5)] == [
        1.0,
        1.0,
        1.0,
        0.5,
        0.0,
    ]


def test_an_augmentation_without_strength_changes_nothing():
    images = torch.rand(3, 1, 28, 28) * 255
    affine = Affine(rotation_deg=20, shift=0.2)

    assert torch.allclose(affine(images, torch.Generator(), 0.0), images, atol=1e-2)


def test_the_last_epoch_is_kept_if_asked(tiny_data):
    _, result = trained(tiny_data, selection=Selection("last"))

    assert result.best == result.epochs[-1]


@pytest.mark.parametrize("epoch", ["best", "last"])
def test_an_epoch_that_diverged_displaces_none(epoch):
    keeper = BestWeights(Selection(epoch=epoch))
    keeper.best = Epoch(1, 0.1, 1.0, 0.5, 0.5, 1.0)

    assert keeper._is_best(Epoch(2, 0.1, 0.9, 0.6, 0.6, 1.0))
    assert not keeper._is_best(Epoch(2, 0.1, inf, 0.6, 0.6, 1.0))


def test_the_best_epoch_may_be_chosen_by_accuracy(tiny_data):
    _, result = trained(tiny_data, selection=Selection(by="accuracy"))
    scores = [epoch.val_accuracy for epoch in result.epochs]

    assert result.best.number == scores.index(max(scores)) + 1


def test_a_rule_says_what_it_is():
    assert (
        Selection("best", "accuracy", "test").rule == "best epoch by accuracy on test"
    )
    assert Selection("last").rule == "last epoch"


def test_unit_scaling_leaves_pixels_between_0_and_1(tiny_data):
    images = tiny_data.train.pixels.float()

    assert 0 <= tiny_data.make_scaling("unit")(images).min() < images.max() <= 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Averaging("mean"),
            (
                r"trainer.averaging.kind `mean` is unknown; expected one of ema, swa, "
                r"null; set trainer.averaging.kind"
            ),
        ),
        (
            lambda: Averaging("ema", decay=1.5),
            r"trainer.averaging.decay `1.5` is invalid; expected at least 0 and below 1",
        ),
        (
            lambda: Averaging("ema", decay=None),
            (
                r"trainer.averaging.decay `None` is invalid; expected at least 0 and "
                r"below 1"
            ),
        ),
        (
            lambda: Selection("first"),
            r"selection.epoch `first` is unknown; expected best or last",
        ),
        (
            lambda: Selection(split="train"),
            r"selection.split `train` is unknown; expected validation or test",
        ),
    ],
)
def test_settings_that_are_unknown_are_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
