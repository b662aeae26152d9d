"""Signals: one's own as arrays, and those of MNIST-1D."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from scipy.io import wavfile

from contracts.dataset import DatasetContract
from paretune.augment import Affine
from paretune.commands import data as data_command
from paretune.commands import export
from paretune.data import folder, mnist1d, npz
from paretune.data.images import Splitting
from paretune.data.signal_files import read_signal
from paretune.data.signals import ValueRange
from paretune.errors import ConfigError, DataError
from paretune.pareto import front

RNG = np.random.default_rng(0)
EVEN = Splitting(val_size=6, how="stratified")


def keep(folder, **named) -> str:
    """The path of an ``.npz`` file with these arrays, and labels of two classes."""
    path = folder / "signals.npz"
    labels = {
        name.replace("x", "y"): np.arange(len(x)) % 2 for name, x in named.items()
    }
    np.savez(path, **named, **labels)
    return str(path)


class TestMnist1d(DatasetContract):
    @pytest.fixture
    def make(self):
        pytest.importorskip("mnist1d")
        return lambda splitting: mnist1d.load(splitting=splitting)

    def test_it_is_as_published(self, make):
        data = make(Splitting(val_size=800, how="stratified"))

        assert (len(data.train), len(data.val), len(data.load_test())) == (
            3200,
            800,
            1000,
        )
        assert data.train.pixels.shape[1:] == (1, 1, 40)
        assert torch.bincount(data.load_test().labels).min() > 80


class TestSignals(DatasetContract):
    @pytest.fixture
    def make(self, tmp_path):
        path = keep(tmp_path, x_train=RNG.normal(size=(40, 25)))
        return lambda splitting: npz.load(path=path, splitting=splitting, test_size=8)


@pytest.mark.parametrize(
    ("shape", "signals", "expected"),
    [
        ((40, 25), False, (1, 1, 25)),
        ((40, 3, 25), True, (3, 1, 25)),
        ((40, 6, 25), True, (6, 1, 25)),
    ],
)
def test_signals_are_images_of_height_one(tmp_path, shape, signals, expected):
    path = keep(tmp_path, x_train=RNG.normal(size=shape))
    data = npz.load(path=path, splitting=EVEN, signals=signals)

    assert data.train.pixels.shape[1:] == expected
    assert data.fits_by == "signal"


def test_arrays_of_three_axes_are_images_unless_told_otherwise(tmp_path):
    path = keep(tmp_path, x_train=RNG.random((40, 6, 25)))
    data = npz.load(path=path, splitting=EVEN)

    assert data.train.pixels.shape[1:] == (1, 6, 25)
    assert data.values is None


def test_the_range_is_that_of_the_training_signals(tmp_path):
    x_train = np.linspace(-3, 5, 1000).reshape(40, 25)
    x_test = np.full((10, 25), 9.0)
    path = keep(tmp_path, x_train=x_train, x_test=x_test)
    data = npz.load(path=path, splitting=EVEN)

    assert data.values.low == pytest.approx([-3.0], abs=0.02)
    assert data.values.high == pytest.approx([5.0], abs=0.02)
    assert data.load_test().pixels.unique().tolist() == [255]


@given(arrays(np.float64, (4, 2, 5), elements=st.floats(-1e6, 1e6)))
def test_a_byte_is_within_half_a_step_of_the_value(signals):
    values = ValueRange.of(signals)
    low, high = (np.array(end)[:, None] for end in (values.low, values.high))
    step = (high - low) / 255
    back = low + values.to_bytes(signals) * step

    assert (np.abs(back - signals.clip(low, high)) <= step * 0.501 + 1e-9).all()


def test_each_channel_has_its_own_range_and_a_spike_takes_no_steps():
    signals = RNG.normal(size=(100, 2, 50)) * [[1.0], [500.0]]
    signals[0, 0, 0] = 1e6
    levels = ValueRange.of(signals).to_bytes(signals)

    assert len(np.unique(levels[:, 0])) > 200
    assert len(np.unique(levels[:, 1])) > 200


def test_values_that_share_a_few_steps_are_told(answered, tmp_path):
    x_train = RNG.normal(size=(100, 25))
    x_train[::10] *= 1000
    answer = answered(data_command.cli, "check", keep(tmp_path, x_train=x_train))

    assert "channel 0: half of the values are within" in answer.out


def test_images_are_refused_as_signals(tmp_path):
    path = keep(tmp_path, x_train=RNG.random((40, 6, 25, 1)))

    with pytest.raises(DataError, match=r"has 4 axes, and data\.signals `true` is for"):
        npz.load(path=path, splitting=EVEN, signals=True)


@pytest.mark.parametrize(
    ("x_test", "shown"),
    [
        (np.full((4, 25), np.nan), r"is float64 \(4, 25\); expected signals"),
        (np.zeros((4, 5, 5, 1)), r"is float64 \(4, 5, 5, 1\); expected signals"),
        (np.zeros((4, 25), dtype=complex), r"is complex128 \(4, 25\)"),
    ],
)
def test_signals_that_cannot_be_are_named(tmp_path, x_test, shown):
    path = keep(tmp_path, x_train=RNG.normal(size=(40, 25)), x_test=x_test)

    with pytest.raises(DataError, match=shown):
        npz.load(path=path, splitting=EVEN)


def test_without_its_package_mnist1d_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "mnist1d.data", None)
    mnist1d.read_mnist1d.cache_clear()

    with pytest.raises(DataError, match="pip install mnist1d"):
        mnist1d.read_mnist1d()


def test_an_augmented_signal_stays_in_its_row():
    signals = torch.rand(8, 2, 1, 40) * 200 + 20
    turn = Affine(rotation_deg=90, shear_deg=40)
    draws = torch.Generator().manual_seed(0)

    assert torch.allclose(turn(signals, draws), signals, atol=1e-3)


def test_a_signal_is_shifted_scaled_and_bent_along_its_row():
    signals = torch.rand(8, 1, 1, 40) * 200 + 20
    for change in (Affine(shift=0.2), Affine(scale=0.3), Affine(elastic=0.1)):
        changed = change(signals, torch.Generator().manual_seed(0))
        assert changed.shape == signals.shape
        assert not torch.allclose(changed, signals, atol=1.0)
        assert changed.mean() > 0.5 * signals.mean()


def test_a_model_of_signals_is_searched_and_exported(
    command, answered, tmp_path, monkeypatch
):
    path = keep(tmp_path, x_train=RNG.normal(size=(120, 2, 25)))
    command(
        "-m",
        "name=signals",
        "data=npz",
        f"data.path={path}",
        "data.signals=true",
        "model=conv",
        "trainer.max_epochs=1",
        "hydra.sweeper.n_trials=1",
    )
    monkeypatch.chdir(tmp_path)
    run = front("signals")["run_id"].iloc[0]
    form = ("--c", "--int8", "--run", run)
    answer = answered(export.cli, "signals", "model.onnx", *form)

    assert answer.code == 0, answer.err
    card = (tmp_path / "model.md").read_text()
    assert "(batch, 2, 1, 25)`, in [0, 1], which are the signal's values -" in card
    assert "2 channels one after another, each 25 values in their order" in card


def test_a_check_of_the_data_says_their_range(answered, tmp_path):
    path = keep(tmp_path, x_train=np.linspace(-3, 5, 1000).reshape(40, 25))
    answer = answered(data_command.cli, "check", path)

    assert answer.code == 0, answer.err
    assert "1 x 1 x 25 (channels, height, width)" in answer.out
    assert "to 4.99" in answer.out
    assert "as the bytes 0 to 255" in answer.out


@pytest.fixture
def recordings(tmp_path):
    """A folder of two classes, with a file of each kind."""
    for number in range(30):
        values = RNG.normal(size=(2, 25))
        folder = tmp_path / "recordings" / ("calm", "wild")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        write_signal(folder / f"{number:02d}{KINDS[number % 3]}", values)
    return tmp_path / "recordings"


KINDS = (".npy", ".csv", ".wav")


def write_signal(path, values) -> None:
    """Values ``(C, T)`` as a file."""
    if path.suffix == ".npy":
        np.save(path, values)
    elif path.suffix == ".csv":
        np.savetxt(path, values.T, delimiter=",", header="left,right", comments="")
    else:
        wavfile.write(path, 8000, values.T.astype(np.float32))


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_any_kind_has_the_same_values(tmp_path, kind):
    values = RNG.normal(size=(2, 25))
    write_signal(tmp_path / f"one{kind}", values)

    assert np.allclose(read_signal(tmp_path / f"one{kind}"), values, atol=1e-6)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_table_of_one_column_or_several_may_do_without_a_heading(tmp_path, separator):
    one, two = tmp_path / "one.csv", tmp_path / "two.csv"
    one.write_text("value\n1\n2.5\n-3\n")
    two.write_text(f"1{separator}4\n2.5{separator}5\n-3{separator}6\n")

    assert read_signal(one).tolist() == [[1, 2.5, -3]]
    assert read_signal(two).tolist() == [[1, 2.5, -3], [4, 5, 6]]


def test_a_folder_of_signals_is_a_data_set(recordings):
    data = folder.load(path=str(recordings), splitting=EVEN)

    assert data.class_names == ("calm", "wild")
    assert data.train.pixels.shape[1:] == (2, 1, 25)
    assert data.fits_by == "signal"


def test_signals_beside_pictures_are_left_out(recordings):
    for name in ("calm", "wild"):
        for number in range(6):
            pixels = RNG.integers(0, 256, (8, 8), dtype=np.uint8)
            Image.fromarray(pixels).save(recordings / name / f"{number}.png")
    data = folder.load(path=str(recordings), splitting=Splitting(0.3, "stratified"))

    assert data.train.pixels.shape[1:] == (1, 8, 8)


def test_signals_of_several_lengths_are_named(recordings):
    write_signal(recordings / "calm/long.npy", np.zeros((2, 26)))

    with pytest.raises(
        DataError,
        match=r"signals of 2 shapes, .* 30 of 2 x 25 .*, 1 of 2 x 26 \(such as `calm/lo",
    ):
        folder.load(path=str(recordings), splitting=EVEN)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("bad.npy", b"no array"),
        ("bad.wav", b"no sound"),
        ("bad.csv", b"a,b\n1,x\n"),
        ("nan.csv", b"1\nnan\n"),
        ("empty.csv", b""),
    ],
)
def test_damaged_signals_are_named_or_left_out(recordings, name, content):
    (recordings / "calm" / name).write_bytes(content)

    with pytest.raises(
        DataError, match=rf"1 of 31 signals that cannot be read: `calm/{name}` \(.*\); "
    ):
        folder.load(path=str(recordings), splitting=EVEN)
    data = folder.load(path=str(recordings), splitting=EVEN, skip_damaged=True)
    assert len(data.train) + len(data.val) + len(data.load_test()) == 30


def test_settings_of_pictures_are_refused_for_signals(recordings):
    with pytest.raises(ConfigError, match="the folder holds signals; leave them out"):
        folder.load(path=str(recordings), splitting=EVEN, image_size=[28, 28])


def test_a_check_of_a_folder_of_signals_says_what_is_there(answered, recordings):
    (recordings / "calm/bad.npy").write_bytes(b"no array")
    answer = answered(
        data_command.cli,
        "check",
        "data=folder",
        f"data.path={recordings}",
        "data.skip_damaged=true",
    )

    assert answer.code == 0, answer.err
    assert "2 x 25 (channels, length)" in answer.out
    assert "1: `calm/bad.npy`" in answer.out
