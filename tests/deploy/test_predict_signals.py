"""The classes of signals in files, by a model of signals."""

import json
from pathlib import Path

import numpy as np
import pytest

from paretune.commands import predict
from paretune.data.signals import ValueRange, add_channel, make_flat
from paretune.deploy.onnx import write_onnx
from paretune.deploy.runtime import Runtime

VALUES = ValueRange(low=(-1.0, 0.0), high=(1.0, 10.0))
FACTS = {
    "fits_by": "signal",
    "class_names": [f"gesture {number}" for number in range(10)],
    "values": {"low": VALUES.low, "high": VALUES.high},
}


@pytest.fixture
def model(deployable, tmp_path):
    """The file of a model of two channels and 41 moments."""
    network = deployable("model=conv", "model.image_shape=[2,1,41]", "model.norm=batch")

    def write(facts=FACTS) -> str:
        write_onnx(network, tmp_path / "model.onnx", facts)
        return str(tmp_path / "model.onnx")

    return write


@pytest.fixture
def signal(tmp_path):
    """A signal, and the file that it is in."""
    values = np.random.default_rng(0).uniform((-1, 0), (1, 10), (41, 2)).T
    np.save(tmp_path / "wave.npy", values.astype(np.float32))
    return values.astype(np.float32), str(tmp_path / "wave.npy")


def test_a_signal_gets_the_class_that_its_training_values_have(model, signal, answered):
    values, path = signal
    answer = answered(predict.cli, model(), path, "--json")
    levels = make_flat(VALUES.to_bytes(values[None])) / np.float32(255)
    expected = Runtime(Path(model())).probabilities(levels.astype(np.float32))[0]
    told = json.loads(answer.out)

    assert told["signal"] == path
    assert told["probabilities"] == pytest.approx(expected.tolist(), abs=1e-5)
    assert told["steps"] == "as it is"


def test_a_table_and_an_array_are_the_same_signal(model, signal, answered, tmp_path):
    values, path = signal
    np.savetxt(tmp_path / "wave.csv", values.T, delimiter=",")
    answer = answered(predict.cli, model(), path, str(tmp_path / "wave.csv"))
    of_array, of_table = [line.partition(": ")[2] for line in answer.out.splitlines()]

    assert of_array == of_table
    assert of_array.startswith("gesture ")


def test_values_beyond_the_range_are_told(model, signal, answered, tmp_path):
    values, _ = signal
    values[0, :3] = 7.0
    np.save(tmp_path / "loud.npy", values)
    answer = answered(predict.cli, model(), str(tmp_path / "loud.npy"))

    assert "3 of 82 values cut to the range of the training" in answer.out


def test_of_another_length_it_is_told_which(model, answered, tmp_path):
    np.save(tmp_path / "long.npy", add_channel(np.zeros((1, 50), np.float32))[0])
    answer = answered(predict.cli, model(), str(tmp_path / "long.npy"))

    assert answer.code == 2
    assert "is of 1 x 50 values (channels x moments), and the model" in answer.err
    assert "takes 2 x 41; cut it to that" in answer.err


def test_a_picture_is_no_signal(model, answered, tmp_path):
    (tmp_path / "a.png").touch()
    answer = answered(predict.cli, model(), str(tmp_path / "a.png"))

    assert answer.code == 2
    assert "cannot be read (signals are .npy, .csv, .wav files)" in answer.err


def test_a_signal_is_not_inverted(model, signal, answered):
    answer = answered(predict.cli, model(), signal[1], "--invert")

    assert answer.code == 2
    assert "option --invert is for pictures, and the model takes signals" in answer.err


def test_a_model_without_its_range_is_to_be_exported_again(model, signal, answered):
    answer = answered(predict.cli, model({"fits_by": "signal"}), signal[1])

    assert answer.code == 2
    assert "export it again with this version of Paretune" in answer.err


def test_range_is_kept_by_the_file(model):
    assert Runtime(Path(model())).values == VALUES
