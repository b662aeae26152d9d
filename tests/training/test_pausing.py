"""A training that is paused and goes on has the numbers of one that never stopped."""

import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import nn

import paused_training
from paretune import models
from paretune.augment import Affine
from paretune.data.images import ImageData
from paretune.paths import CONF
from paretune.schema import Averaging, Restarts, Selection
from paretune.training import fit as fitting
from paretune.training import save, schedule
from paretune.training.distillation import Distillation
from paretune.training.epochs import DivergedError
from paretune.training.fit import choose_start, resume
from paretune.training.state import StateError
from paretune.training.state_file import load_state, save_state
from paused_training import (
    ALL_AT_ONCE,
    CONFIG,
    MODEL,
    go_on,
    list_scores,
    load_few_digits,
    pause,
    train,
)
from small_training import make_training

OPTIMIZERS = sorted(path.stem for path in (CONF / "optimizer").glob("*.yaml"))
FAMILIES = sorted(path.stem for path in (CONF / "model").glob("*.yaml"))
DENSE = {"_target_": "paretune.models.dense.Dense", "widths": [4]}


@pytest.fixture(scope="module")
def digits() -> ImageData:
    return load_few_digits()


def assert_goes_on(
    data: ImageData, folder: Path, model=MODEL, after: int = 2, **changes
) -> None:
    """Paused after an epoch and kept in a file, it ends as it does in one go."""
    training = make_training(**changes)
    whole_net, whole = train(data, training, model)
    save_state(folder / "state.pt", pause(data, training, after, model), CONFIG)
    state = load_state(folder / "state.pt", CONFIG)
    net, rest = go_on(data, training, state, model)

    assert list_scores(rest) == list_scores(whole)
    assert rest.best.number == whole.best.number
    assert rest.execution == whole.execution
    assert_equal_weights(net, whole_net)


def assert_equal_weights(net: nn.Module, other: nn.Module) -> None:
    weights = other.state_dict()
    for name, weight in net.state_dict().items():
        assert torch.equal(weight, weights[name]), name


@pytest.mark.parametrize("memory_format", ["batch_last", "contiguous"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_with_every_optimizer(digits, tmp_path, name, memory_format):
    optimizer = instantiate(OmegaConf.load(CONF / "optimizer" / f"{name}.yaml"))
    assert_goes_on(digits, tmp_path, optimizer=optimizer, memory_format=memory_format)


@pytest.mark.parametrize("after", [1, 2, 3])
def test_after_any_epoch_with_all_at_once(digits, tmp_path, after):
    assert_goes_on(digits, tmp_path, after=after, **ALL_AT_ONCE)


SETTINGS = {
    "ema": {"averaging": Averaging("ema", decay=0.9)},
    "swa": {"averaging": Averaging("swa", start=0.25)},
    "late swa": {"averaging": Averaging("swa", start=0.75)},
    "plateau": {"schedule": partial(schedule.plateau, patience=0, factor=0.5)},
    "step": {"schedule": partial(schedule.step, every_epochs=1, factor=0.5)},
    "cosine": {"schedule": partial(schedule.cosine, warmup_epochs=2.5)},
    "channels last": {"memory_format": "channels_last"},
    "bends": {"augment": Affine(elastic=0.05), "augment_rampdown_epochs": 3},
    "bf16": {"precision": "bf16"},
    "loss": {"label_smoothing": 0.1, "class_weights": "balanced"},
    "last epoch": {"selection": Selection("last")},
    "seed": {"seed": 5, "threads": 1},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_with_every_setting(digits, tmp_path, name):
    assert_goes_on(digits, tmp_path, **SETTINGS[name])


@pytest.mark.parametrize("name", FAMILIES)
def test_with_every_family(digits, tmp_path, composed, name):
    model = OmegaConf.to_container(composed(f"model={name}").model)
    assert_goes_on(digits, tmp_path, model, after=1, max_epochs=2)


@pytest.mark.parametrize("augment", [None, Affine(shift=0.1)])
def test_with_a_teacher(digits, tmp_path, augment):
    model = {**DENSE, "image_shape": [1, 28, 28], "num_classes": 10}
    file = tmp_path / "weights.pt"
    save(file, models.build(model), {"model": model}, digits.make_scaling("standard"))
    distillation = Distillation(str(file))

    assert_goes_on(digits, tmp_path, distillation=distillation, augment=augment)


def test_it_stops_where_it_would_have_stopped(digits):
    """Without a step the first epoch stays the best, and patience ends in epoch 4."""
    optimizer = partial(torch.optim.SGD, lr=0.0)
    training = make_training(patience=3, max_epochs=9, optimizer=optimizer)
    state = pause(digits, training, after=3, model=DENSE)
    _, rest = go_on(digits, training, state, DENSE)

    assert [epoch.number for epoch in rest.epochs] == [1, 2, 3, 4]


def test_with_restarts_the_chosen_seed_goes_on(digits):
    training = make_training(restarts=Restarts(3, 1))
    execution = training.choose_execution(models.build(MODEL), digits.train)
    chosen = choose_start(lambda: models.build(MODEL), digits, training, execution)
    whole_net, whole = train(digits, chosen)
    net, rest = go_on(digits, training, pause(digits, chosen, after=2))

    assert list_scores(rest) == list_scores(whole)
    assert_equal_weights(net, whole_net)


def test_a_training_may_be_paused_again(digits):
    training = make_training(**ALL_AT_ONCE)
    whole_net, _ = train(digits, training)
    state = pause(digits, training, after=1)
    for _ in range(2):
        _, paused = go_on(digits, training, state, listener=lambda epoch: True)
        state = paused.state
    net, _ = go_on(digits, training, state)

    assert len(state.epochs) == 3
    assert_equal_weights(net, whole_net)


def test_a_state_may_be_gone_on_from_twice(digits):
    training = make_training(**ALL_AT_ONCE)
    state = pause(digits, training, after=1)
    first, second = (go_on(digits, training, state)[0] for _ in range(2))

    assert_equal_weights(first, second)


@pytest.mark.slow
def test_in_another_process(digits, tmp_path):
    training = make_training(**ALL_AT_ONCE)
    whole_net, whole = train(digits, training)
    state, weights = tmp_path / "state.pt", tmp_path / "weights.pt"
    save_state(state, pause(digits, training, after=2), CONFIG)
    script = paused_training.__file__
    subprocess.run([sys.executable, script, str(state), str(weights)], check=True)
    left = torch.load(weights)

    assert left["f1"] == whole.best.val_f1
    for name, weight in whole_net.state_dict().items():
        assert torch.equal(left["weights"][name], weight)


def test_a_paused_training_leaves_its_best_weights_and_scores(digits):
    training = make_training()
    expected_net, expected = train(digits, replace(training, stop_after=2))
    net, paused = train(digits, training, listener=lambda epoch: epoch.number == 2)

    assert list_scores(paused) == list_scores(expected)
    assert_equal_weights(net, expected_net)


def test_the_listener_hears_of_further_epochs_only(digits):
    training = make_training()
    heard = []
    state = pause(digits, training, after=3)
    _, rest = go_on(digits, training, state, listener=heard.append)

    assert [epoch.number for epoch in heard] == [4]
    assert [epoch.number for epoch in rest.epochs] == [1, 2, 3, 4]


def test_seconds_are_those_of_all_parts(digits):
    training = make_training()
    state = replace(pause(digits, training, after=3), seconds=1000.0)
    _, rest = go_on(digits, training, state)

    assert 1000 < rest.seconds < 2000
    trained_s = sum(epoch.seconds for epoch in rest.epochs)
    assert rest.images_per_s == pytest.approx(4 * len(digits.train) / trained_s)


def test_the_test_set_is_read_at_the_end_only(digits):
    training = make_training()
    _, paused = train(
        digits, training, test=True, listener=lambda epoch: epoch.number == 1
    )
    _, whole = train(digits, training, test=True)
    _, rest = go_on(digits, training, paused.state, test=True)

    assert paused.test is None
    assert rest.test == whole.test


@pytest.mark.parametrize(
    "changes",
    [
        {"max_epochs": 2},
        {"stop_after": 2},
        {"patience": 1, "optimizer": lambda p: torch.optim.SGD(p, lr=0.0)},
    ],
    ids=["last", "stopped", "patience"],
)
def test_a_training_that_is_over_is_not_paused(digits, changes):
    training = make_training(**changes)
    _, trained = train(
        digits, training, DENSE, listener=lambda epoch: epoch.number == 2
    )

    assert len(trained.epochs) == 2
    assert trained.state is None


def test_a_training_that_diverged_is_not_paused(digits):
    training = make_training(optimizer=lambda p: torch.optim.SGD(p, lr=1e30))
    with pytest.raises(DivergedError):
        train(digits, training, listener=lambda epoch: True)


def test_starts_are_not_paused(digits):
    training = make_training(restarts=Restarts(2, 2))
    execution = training.choose_execution(models.build(DENSE), digits.train)
    heard = []
    choose_start(
        lambda: models.build(DENSE),
        digits,
        training,
        execution,
        lambda epoch: heard.append(epoch.number) or True,
    )

    assert heard == [1, 2] * 2


def test_a_training_that_is_not_paused_takes_no_state(digits, monkeypatch):
    monkeypatch.setattr(fitting, "take_state", None)
    _, trained = train(digits, make_training(), listener=lambda epoch: False)

    assert trained.state is None


def test_the_threads_of_a_process_stay(digits):
    training = make_training()
    state = replace(pause(digits, training, after=3), threads=3)
    torch.set_num_threads(2)
    seen = []
    go_on(digits, training, state, listener=lambda _: seen.append(_count_threads()))

    assert (seen, _count_threads()) == ([3], 2)


def _count_threads() -> int:
    return torch.get_num_threads()


@pytest.mark.parametrize(
    ("model", "changes"),
    [
        ({**MODEL, "widths": [3, 3]}, {}),
        (DENSE, {}),
        (MODEL, {"optimizer": partial(torch.optim.SGD, lr=0.1)}),
        (MODEL, {"schedule": schedule.constant}),
        (MODEL, {"patience": None}),
    ],
    ids=["sizes", "family", "optimizer", "schedule", "patience"],
)
def test_the_state_of_another_training_is_refused(digits, model, changes):
    state = pause(digits, make_training(**ALL_AT_ONCE), after=1)
    other = make_training(**ALL_AT_ONCE | changes)

    with pytest.raises(StateError, match=r"its state is that of another one \(.+\)"):
        go_on(digits, other, state, model)


def test_another_device_is_refused(digits):
    training = make_training()
    state = replace(pause(digits, training, after=1), device="cuda")

    with pytest.raises(
        StateError,
        match="paused on `cuda` and cannot go on on `cpu` with the same numbers",
    ):
        resume(models.build(MODEL), digits, training, state)


def test_a_machine_without_the_kernels_is_refused(digits, monkeypatch):
    training = make_training(memory_format="batch_last")
    state = pause(digits, training, after=1)
    monkeypatch.setattr(fitting, "find_formats", lambda *_: ["contiguous"])

    with pytest.raises(StateError, match="memory format `batch_last`, which this mach"):
        resume(models.build(MODEL), digits, training, state)
