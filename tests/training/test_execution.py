import json
from dataclasses import asdict

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from paretune import models
from paretune.errors import ConfigError
from paretune.schema import Averaging
from paretune.training import schedule
from paretune.training.execution import (
    Execution,
    TimingBudget,
    autotune,
    count_choices,
    count_threads_at_start,
    find_formats,
    keep_freed_memory,
)
from paretune.training.fit import fit, seed_everything
from paretune.training.programs import load_kernels
from paretune.training.settings import Training
from small_training import make_training

SQUEEZE = {
    "_target_": "paretune.models.squeeze.Squeeze",
    "widths": [4, 4, 4, 4, 4],
    "padding": ["same", "same", "same", "same", "valid"],
}
IMAGES, LABELS = torch.rand(16, 1, 28, 28) * 255, torch.arange(16) % 10
CHOICES = {
    "memory_format": ["contiguous", "channels_last"],
    "precision": ["fp32", "bf16"],
}

needs_cuda = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="needs a CUDA device"
)


def training(**changes) -> Training:
    settings = {
        "optimizer": lambda p: torch.optim.AdamW(p, lr=0.01),
        "schedule": schedule.cosine,
        "max_epochs": 2,
        "seed": 5,
    }
    return make_training(**settings | changes)


def bare_loop(net: nn.Module, data, batch_size: int, epochs: int) -> list[float]:
    """The plainest PyTorch there is: mean training loss of each epoch."""
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.01)
    made = schedule.cosine(
        optimizer, schedule.TrainingLength(-(-len(data.train) // batch_size), epochs)
    )
    shuffle, losses = torch.Generator().manual_seed(5), []
    for _ in range(epochs):
        total = 0.0
        for rows in torch.randperm(len(data.train), generator=shuffle).split(
            batch_size
        ):
            images = (data.train.pixels[rows].float() - data.mean) / data.std
            loss = nn.functional.cross_entropy(net(images), data.train.labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            made.scheduler.step()
            total += loss.item() * len(rows)
        losses.append(total / len(data.train))
    return losses


@pytest.mark.parametrize(
    "model", [SQUEEZE, {"_target_": "paretune.models.dense.Dense", "widths": [8]}]
)
def test_the_losses_are_those_of_the_bare_loop(tiny_data, model):
    seed_everything(5)
    expected = bare_loop(models.build(model), tiny_data, 32, 3)
    seed_everything(5)
    result = fit(models.build(model), tiny_data, training(max_epochs=3))

    assert [epoch.train_loss for epoch in result.epochs] == pytest.approx(
        expected, rel=1e-5
    )


@pytest.mark.parametrize("memory_format", ["contiguous", "channels_last"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_every_execution_learns_about_the_same(tiny_data, memory_format, precision):
    seed_everything(5)
    plain = fit(models.build(SQUEEZE), tiny_data, training())
    seed_everything(5)
    other = fit(
        models.build(SQUEEZE),
        tiny_data,
        training(memory_format=memory_format, precision=precision),
    )

    assert other.best.val_loss == pytest.approx(plain.best.val_loss, abs=0.3)


def test_autotune_times_every_choice_and_takes_the_fastest():
    best, seconds = autotune(
        models.build(SQUEEZE), IMAGES, LABELS, Execution(), CHOICES
    )

    assert {(tried.memory_format, tried.precision) for tried in seconds} == {
        (f, p) for f in CHOICES["memory_format"] for p in CHOICES["precision"]
    }
    plain = seconds[Execution()]
    assert best == Execution() or seconds[best] == min(seconds.values()) < 0.95 * plain


def test_a_budget_that_is_used_up_leaves_the_usual_execution():
    best, seconds = autotune(
        models.build(SQUEEZE), IMAGES, LABELS, Execution(), CHOICES, TimingBudget(0)
    )

    assert best == Execution()
    assert set(seconds) == {Execution()}


@given(
    st.integers(1, 10_000),
    st.floats(1, 1000),
    st.floats(1e-4, 10),
    st.none() | st.floats(1, 1e5),
)
def test_timing_takes_less_than_a_training_and_a_small_share_of_all_of_them(
    n_steps, n_alike, step_s, timeout_s
):
    limit_s = TimingBudget(n_steps, n_alike, timeout_s).limit_s(step_s)

    assert limit_s <= n_steps * step_s
    assert limit_s <= 0.03 * n_steps * n_alike * step_s * (1 + 1e-9)
    assert timeout_s is None or limit_s <= 0.03 * timeout_s


def test_executions_are_counted_before_any_is_timed():
    choices = {**CHOICES, "threads": [1, 2]}
    _, seconds = autotune(models.build(SQUEEZE), IMAGES, LABELS, Execution(), choices)

    assert len(seconds) == 5
    assert count_choices(choices) + 1 == len(seconds)
    assert TimingBudget(100, 50).allows(10)
    assert not TimingBudget(100, 49 / 3).allows(5)
    assert not TimingBudget(49, 1000).allows(5)


def test_autotune_changes_neither_the_network_nor_the_random_state():
    net = models.build(SQUEEZE | {"dropout": 0.5})
    before = {key: value.clone() for key, value in net.state_dict().items()}
    state = torch.get_rng_state()
    autotune(net, IMAGES, LABELS, Execution(), CHOICES)

    assert all(
        torch.equal(value, before[key]) for key, value in net.state_dict().items()
    )
    assert torch.equal(torch.get_rng_state(), state)


def test_what_is_pinned_is_not_tuned(tiny_data):
    settings = training(
        autotune=True, memory_format="channels_last", precision="fp32", threads=1
    )

    assert settings.choose_execution(
        models.build(SQUEEZE), tiny_data.train
    ) == Execution("channels_last", "fp32", 1)


def test_without_autotune_an_execution_is_batch_last_where_it_can_be_and_else_plain(
    tiny_data,
):
    unknown = nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.Hardswish())

    kept = Execution("batch_last" if load_kernels() else "contiguous")
    assert training().choose_execution(models.build(SQUEEZE), tiny_data.train) == kept
    assert training().choose_execution(unknown, tiny_data.train) == Execution()


def test_autotune_says_what_it_chose(tiny_data, caplog):
    caplog.set_level("INFO")
    execution = training(autotune=True).choose_execution(
        models.build(SQUEEZE), tiny_data.train
    )

    assert f"autotune chose {execution} a step (" in caplog.text


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=needs_cuda)])
def test_an_execution_chosen_and_stored_before_the_training_is_used_as_it_is(
    tiny_data, device, caplog
):
    caplog.set_level("INFO")
    settings, net = training(autotune=True, device=device), models.build(SQUEEZE)
    stored = json.loads(
        json.dumps(asdict(settings.choose_execution(net, tiny_data.train)))
    )
    caplog.clear()
    result = fit(net, tiny_data, settings, execution=Execution(**stored))

    assert asdict(result.execution) == stored
    assert "autotune chose" not in caplog.text


def test_a_given_execution_comes_before_what_is_pinned(tiny_data):
    execution = Execution("channels_last", "fp32", 1)

    assert (
        fit(
            models.build(SQUEEZE), tiny_data, training(threads=2), execution=execution
        ).execution
        == execution
    )


def test_choosing_before_the_training_changes_none_of_its_numbers(tiny_data):
    results = []
    for autotune_first in (False, True):
        seed_everything(5)
        net = models.build(SQUEEZE | {"dropout": 0.5})
        if autotune_first:
            training(autotune=True).choose_execution(net, tiny_data.train)
        results.append(fit(net, tiny_data, training(), execution=Execution(threads=1)))

    assert [epoch.val_loss for epoch in results[0].epochs] == [
        epoch.val_loss for epoch in results[1].epochs
    ]


def test_a_given_number_of_threads_leaves_the_others_to_choose_from():
    """A process that trained with one thread may still choose all of them for the next
    network.
    """
    before = count_threads_at_start()
    Execution(threads=1).set_threads()

    assert count_threads_at_start() == before


def test_threads_are_tried_after_the_rest():
    best, seconds = autotune(
        models.build(SQUEEZE),
        IMAGES,
        LABELS,
        Execution(),
        CHOICES | {"threads": [1, 2]},
    )

    assert len(seconds) == 4 + 1  # the best of four had two threads already
    assert best.threads in (1, 2)


def test_augmentation_reaches_the_training_images_only(tiny_data):
    """An augmentation that blanks every image leaves a network that has learnt nothing
    to tell classes by.
    """
    seed_everything(5)
    blind = fit(
        models.build(SQUEEZE),
        tiny_data,
        training(augment=lambda images, *_: images * 0),
    )

    assert blind.best.val_f1 < 0.5


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("memory_format", "nhwc", "one of contiguous, channels_last, batch_last"),
        ("precision", "fp16", "one of fp32, bf16, null"),
    ],
)
def test_an_unknown_execution_is_refused(field, value, expected):
    with pytest.raises(
        ConfigError, match=rf"trainer.{field} `{value}` is unknown; expected {expected}"
    ):
        training(**{field: value})


def test_the_allocator_is_asked_without_harm():
    assert keep_freed_memory() in (True, False)


@needs_cuda
def test_a_gpu_learns_the_same(tiny_data):
    losses = []
    for device in ("cpu", "cuda"):
        seed_everything(5)
        losses.append(
            fit(models.build(SQUEEZE), tiny_data, training(device=device)).best.val_loss
        )

    assert losses[0] == pytest.approx(losses[1], abs=1e-2)


needs_kernels = pytest.mark.skipif(
    load_kernels() is None, reason="needs a C++ compiler"
)


@needs_kernels
@pytest.mark.parametrize("averaging", [None, "ema"])
def test_batch_last_trains_as_plain_fp32_does(tiny_data, averaging):
    """Over three epochs whose last batch is smaller; the average is scored by the
    kernels, too.
    """
    curves = []
    for memory_format in ("contiguous", "batch_last"):
        seed_everything(5)
        settings = training(
            max_epochs=3,
            memory_format=memory_format,
            averaging=Averaging(averaging, decay=0.9),
        )
        result = fit(models.build(SQUEEZE), tiny_data, settings)
        curves.append(
            [
                value
                for epoch in result.epochs
                for value in (epoch.train_loss, epoch.val_loss)
            ]
        )

    assert curves[1] == pytest.approx(curves[0], rel=1e-4)


@needs_kernels
def test_autotune_tries_batch_last_in_fp32(tiny_data, caplog):
    caplog.set_level("INFO")
    training(autotune=True, threads=1).choose_execution(
        models.build(SQUEEZE), tiny_data.train
    )

    assert "batch_last/fp32/1 threads" in caplog.text
    assert "batch_last/bf16" not in caplog.text


def test_batch_last_is_not_offered_for_layers_that_it_does_not_know():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Hardswish(), nn.Flatten())

    assert find_formats(net, (1, 8, 8), torch.device("cpu")) == [
        "contiguous",
        "channels_last",
    ]
    with pytest.raises(
        ConfigError,
        match=r"trainer.memory_format `batch_last` cannot run this network \(.*Hardswish",
    ):
        Execution("batch_last").make_forward(net, (1, 8, 8))


def test_batch_last_in_bf16_is_refused():
    with pytest.raises(
        ConfigError,
        match="`bf16` does not go with the memory format batch_last, which computes in fp32",
    ):
        Execution("batch_last", "bf16")
