import gc
import math
import weakref

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score

from paretune import models
from paretune.data.images import Scaling
from paretune.errors import ConfigError, StoreError
from paretune.schema import Restarts
from paretune.training import load, save, schedule
from paretune.training.epochs import DivergedError
from paretune.training.execution import Execution
from paretune.training.fit import (
    TensorBatches,
    choose_start,
    fit,
    seed_everything,
)
from paretune.training.settings import Training
from small_training import make_training

CONFIG = {"_target_": "paretune.models.dense.Dense", "widths": [16]}
SQUEEZE = {
    "_target_": "paretune.models.squeeze.Squeeze",
    "widths": [2],
    "padding": "same",
    "pool_after": [1],
}


def trained(data, **changes):
    seed_everything(changes.get("seed", 0))
    net = models.build(CONFIG)
    return net, fit(net, data, make_training(**changes))


def test_it_learns_what_is_there_to_learn(tiny_data):
    _, result = trained(tiny_data, max_epochs=8)

    assert result.best.val_f1 > 0.95


def test_the_scores_are_those_of_scikit_learn_for_the_weights_it_leaves(tiny_data):
    """Macro F1 and accuracy of the best epoch, recomputed from the restored network."""
    net, result = trained(tiny_data, max_epochs=3)
    normal = (tiny_data.val.pixels.float() - tiny_data.mean) / tiny_data.std
    predicted = net.eval()(normal).argmax(1)

    assert result.best.val_f1 == pytest.approx(
        f1_score(tiny_data.val.labels, predicted, average="macro")
    )
    assert result.best.val_accuracy == pytest.approx(
        accuracy_score(tiny_data.val.labels, predicted)
    )


def test_the_best_epoch_is_the_earliest_with_the_highest_f1(tiny_data):
    _, result = trained(tiny_data)
    scores = [epoch.val_f1 for epoch in result.epochs]

    assert result.best.number == scores.index(max(scores)) + 1


def test_the_same_seed_gives_the_same_numbers(tiny_data):
    first, second = (trained(tiny_data)[1] for _ in range(2))

    assert [e.val_loss for e in first.epochs] == [e.val_loss for e in second.epochs]


def test_training_stops_when_the_validation_loss_stops_falling(tiny_data):
    _, result = trained(
        tiny_data,
        max_epochs=50,
        patience=2,
        optimizer=lambda p: torch.optim.SGD(p, lr=0.0),
    )

    assert len(result.epochs) == 3


def test_the_listener_hears_every_epoch(tiny_data):
    heard = []
    seed_everything(0)
    result = fit(
        models.build(CONFIG), tiny_data, make_training(), listener=heard.append
    )

    assert heard == result.epochs
    assert [epoch.number for epoch in heard] == [1, 2, 3, 4]


def test_the_test_images_are_read_only_when_asked(tiny_data):
    read = []
    data = type(tiny_data)(
        "rows",
        tiny_data.train,
        tiny_data.val,
        load_test=lambda: read.append(1) or tiny_data.val,
    )
    seed_everything(0)

    trained = fit(models.build(CONFIG), data, make_training())
    assert (trained.test, trained.answers) == (None, None)
    assert read == []


def test_the_test_scores_are_those_of_the_best_weights(tiny_data):
    """With the validation images as test images, the scores must be the best
    epoch's.
    """
    seed_everything(0)
    result = fit(models.build(CONFIG), tiny_data, make_training(), test=True)

    assert result.test.f1 == pytest.approx(result.best.val_f1)
    assert result.test.loss == pytest.approx(result.best.val_loss, rel=1e-5)
    assert result.answers.confusion.f1 == pytest.approx(result.test.f1)
    assert result.answers.confusion.accuracy == pytest.approx(result.test.accuracy)


def test_a_training_that_diverges_says_so(tiny_data):
    seed_everything(0)
    with pytest.raises(
        DivergedError,
        match="training diverged: no epoch ended with a finite validation loss",
    ):
        fit(
            models.build(CONFIG),
            tiny_data,
            make_training(optimizer=lambda p: torch.optim.SGD(p, lr=1e30)),
        )


@pytest.mark.parametrize("name", ["max_epochs", "batch_size", "eval_batch_size"])
def test_settings_that_train_nothing_are_refused(name):
    with pytest.raises(
        ConfigError,
        match=rf"trainer.{name} `0` is invalid; expected a whole number of at least 1",
    ):
        make_training(**{name: 0})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "patience",
            0,
            "`0` is invalid; expected a whole number of at least 1, or null",
        ),
        (
            "threads",
            -1,
            "`-1` is invalid; expected a whole number of at least 1, or null",
        ),
        ("class_weights", "even", "`even` is unknown; expected null or balanced"),
        ("label_smoothing", 2, "`2` is invalid; expected a number from 0 to 1"),
        (
            "augment_rampdown_epochs",
            -1,
            "`-1` is invalid; expected a whole number of at least 0",
        ),
    ],
)
def test_settings_out_of_their_range_are_refused(name, value, message):
    with pytest.raises(
        ConfigError, match=rf"trainer.{name} {message}; set trainer.{name}"
    ):
        make_training(**{name: value})


def test_a_feed_gives_every_image_once_in_a_new_order_each_time(tiny_data):
    feed = TensorBatches(tiny_data.train, 64, torch.Generator().manual_seed(0))
    passes = [torch.cat([labels for _, labels in feed]) for _ in range(2)]

    assert len(feed) == len(list(feed)) == 4
    assert not torch.equal(passes[0], passes[1])
    assert torch.equal(passes[0].sort().values, tiny_data.train.labels.sort().values)


def test_a_feed_without_a_generator_keeps_the_order(tiny_data):
    pixels, _ = zip(*TensorBatches(tiny_data.val, 30), strict=True)

    assert torch.equal(torch.cat(pixels), tiny_data.val.pixels)


def rates(make, epochs=4, steps_per_epoch=5):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    made = make(optimizer, schedule.TrainingLength(steps_per_epoch, epochs))
    seen = []
    for _ in range(epochs * steps_per_epoch):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if made:
            made.after_step()
    return seen


def test_cosine_warms_up_and_falls_to_nothing():
    seen = rates(lambda o, n: schedule.cosine(o, n, warmup_epochs=1))

    assert seen[:4] == sorted(seen[:4])
    assert seen[5] == 1.0
    assert seen[5:] == sorted(seen[5:], reverse=True)
    assert seen[-1] < 0.02


def test_cosine_half_way_is_half_the_rate():
    assert rates(schedule.cosine)[10] == pytest.approx(
        0.5 * (1 + math.cos(math.pi / 2))
    )


def test_one_cycle_peaks_at_the_optimizers_rate():
    seen = rates(schedule.one_cycle)

    assert max(seen) == pytest.approx(1.0)
    assert seen[0] < 0.1 > seen[-1]


@pytest.mark.parametrize(("momentum", "seen"), [(0.0, {0.0}), (0.9, {0.95, 0.85})])
def test_one_cycle_moves_the_momentum_of_an_optimizer_that_has_one(momentum, seen):
    optimizer = torch.optim.SGD(
        [torch.zeros(1, requires_grad=True)], lr=1.0, momentum=momentum
    )
    made = schedule.one_cycle(optimizer, schedule.TrainingLength(10, 1))
    momenta = set()
    for _ in range(10):
        momenta.add(round(optimizer.param_groups[0]["momentum"], 9))
        optimizer.step()
        made.after_step()

    assert {min(momenta), max(momenta)} == seen


@pytest.mark.parametrize(
    ("steps", "share"), [(1, 0.3), (2, 0.3), (3, 0.3), (10, 0.1), (10, 0.0)]
)
def test_one_cycle_of_few_steps_learns(steps, share):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    made = schedule.one_cycle(
        optimizer, schedule.TrainingLength(steps, 1), warmup_share=share
    )
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if made:
            made.after_step()

    assert max(rates) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("name", "factor"), [("step", {"every_epochs": 1}), ("plateau", {"patience": 0})]
)
def test_schedules_by_epoch_cut_the_rate(tiny_data, name, factor):
    def make(optimizer, length):
        return getattr(schedule, name)(optimizer, length, factor=0.5, **factor)

    used = []
    trained(
        tiny_data,
        schedule=make,
        optimizer=lambda p: used.append(torch.optim.SGD(p, lr=1e-6)) or used[0],
    )

    assert used[0].param_groups[0]["lr"] < 1e-6


def test_a_file_that_is_not_a_checkpoint_is_refused(tmp_path):
    path = tmp_path / "weights.pt"
    path.write_bytes(b"no checkpoint")

    with pytest.raises(
        StoreError,
        match=r"checkpoint `.*weights.pt` cannot be read \(.*\); expected the weights.pt",
    ):
        load(path)


@pytest.mark.parametrize(
    "content", [torch.zeros(2), [], {"config": None}, {"config": {"model": 3}}]
)
def test_a_torch_file_of_another_program_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "weights.pt")

    with pytest.raises(
        StoreError,
        match=r"checkpoint `.*weights.pt` cannot be read \(.*\); expected the weights.pt",
    ):
        load(tmp_path / "weights.pt")


def test_a_schedule_of_no_epochs_is_refused():
    with pytest.raises(
        ConfigError,
        match=(
            r"scheduler.every_epochs `0` is invalid; expected a whole number of at "
            r"least 1"
        ),
    ):
        rates(lambda o, n: schedule.step(o, n, every_epochs=0, factor=0.5))


def restarted(data, **changes) -> Training:
    training = make_training(**{"restarts": Restarts(4, 1), "max_epochs": 3} | changes)
    return choose_start(
        lambda: models.build(CONFIG),
        data,
        training,
        training.choose_execution(models.build(CONFIG), data.train),
    )


def test_a_training_leaves_no_maps_in_memory(tiny_data, monkeypatch):
    """Python collects Lightning's circular references late: after a dozen trainings
    they held gigabytes.
    """
    programs, make_forward = [], Execution.make_forward

    def remembered(self, net, shape):
        programs.append(weakref.ref(program := make_forward(self, net, shape)))
        return program

    monkeypatch.setattr(Execution, "make_forward", remembered)
    net = models.build(SQUEEZE)
    gc.disable()
    try:
        fit(net, tiny_data, make_training(memory_format="batch_last"))
        assert [program() for program in programs] == [None]
    finally:
        gc.enable()


def test_of_several_starts_the_one_whose_first_epochs_score_best_goes_on(tiny_data):
    seeds = [0, *np.random.SeedSequence(0).generate_state(3).tolist()]
    firsts = {
        seed: trained(tiny_data, seed=seed, max_epochs=3, stop_after=1)[1].epochs
        for seed in seeds
    }

    assert {len(epochs) for epochs in firsts.values()} == {1}
    assert restarted(tiny_data).seed == max(
        firsts, key=lambda seed: firsts[seed][0].val_f1
    )


def test_without_restarts_the_seed_is_the_trainings_own(tiny_data):
    assert restarted(tiny_data, restarts=Restarts(), seed=5).seed == 5


def test_a_start_that_diverges_is_not_chosen(tiny_data):
    rates = iter([1e30, 0.01])
    training = restarted(
        tiny_data,
        restarts=Restarts(2, 1),
        optimizer=lambda p: torch.optim.SGD(p, lr=next(rates)),
    )

    assert training.seed != 0


@pytest.mark.parametrize("name", ["layers.0.weight", "mine.weight"])
def test_weights_whose_parameters_have_other_names_are_told_apart(tmp_path, name):
    said = "has other parameters than its network, such as conv1.bias"
    model = {"_target_": "paretune.models.conv.Conv", "widths": [2]}
    torch.save(
        {
            "state_dict": {name: torch.zeros(1)},
            "config": {"model": model},
            "scaling": (0.0, 1.0),
        },
        tmp_path / "weights.pt",
    )

    with pytest.raises(StoreError, match=rf"checkpoint `.*weights.pt` {said}"):
        load(tmp_path / "weights.pt")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_weights_that_were_cut_off_are_called_so(tmp_path, share):
    model = {"_target_": "paretune.models.conv.Conv", "widths": [2]}
    whole = tmp_path / "whole.pt"
    save(whole, models.build(model), {"model": model}, Scaling(0.0, 1.0))
    left = whole.read_bytes()[: int(share * whole.stat().st_size)]
    (tmp_path / "weights.pt").write_bytes(left)

    with pytest.raises(
        StoreError, match=rf"it is cut off or damaged, {len(left):,} bytes are left"
    ):
        load(tmp_path / "weights.pt")


def test_every_start_is_told_of_epoch_by_epoch(tiny_data):
    training = make_training(restarts=Restarts(3, 2), max_epochs=3)
    heard = []
    choose_start(
        lambda: models.build(CONFIG),
        tiny_data,
        training,
        training.choose_execution(models.build(CONFIG), tiny_data.train),
        heard.append,
    )
    assert [epoch.number for epoch in heard] == [1, 2] * 3
