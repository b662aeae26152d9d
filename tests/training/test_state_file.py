import os
import re
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from paretune.training.state import StateError
from paretune.training.state_file import load_state, make_room, save_state
from paused_training import ALL_AT_ONCE, CONFIG, load_few_digits, pause
from small_training import make_training


class Foreign:
    """What a file must not make."""


@pytest.fixture(scope="module")
def state():
    return pause(load_few_digits(), make_training(**ALL_AT_ONCE), after=1)


@pytest.fixture
def path(state, tmp_path):
    save_state(tmp_path / "state.pt", state, CONFIG)
    return tmp_path / "state.pt"


def test_what_is_read_is_what_was_written(state, path):
    loaded = load_state(path, CONFIG)

    for field in fields(state):
        torch.testing.assert_close(
            _make_plain(getattr(loaded, field.name)),
            _make_plain(getattr(state, field.name)),
            rtol=0,
            atol=0,
            check_stride=True,
            equal_nan=True,
        )


def _make_plain(value):
    """Tensors in lists and dicts, all else as text, for torch's comparison."""
    if isinstance(value, torch.Tensor):
        return value
    if isinstance(value, dict):
        return {str(key): _make_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_make_plain(item) for item in value]
    if hasattr(value, "__dict__"):
        return _make_plain(vars(value))
    return torch.tensor(list(repr(value).encode()))


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(StateError, match=r"cannot be read \(.*\); begin the training"):
        load_state(tmp_path / "state.pt", CONFIG)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_file_that_was_cut_off_is_told(path, share):
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])

    with pytest.raises(
        StateError, match=r"it is cut off or damaged, .* bytes are left"
    ):
        load_state(path, CONFIG)


@pytest.mark.parametrize(
    "content", [[], {"config": {}}, {"config": {}, "state": {"seed": 1}}, Foreign()]
)
def test_a_file_of_something_else_is_told(tmp_path, content):
    torch.save(content, tmp_path / "state.pt")

    with pytest.raises(StateError, match=r"cannot be read \(.*\); begin the training"):
        load_state(tmp_path / "state.pt", CONFIG)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (
            {**CONFIG, "optimizer": {"lr": 0.1}},
            "optimizer.lr is `0.1` now and was `0.04`",
        ),
        ({**CONFIG, "seed": 1}, "seed is `1` now and was `None`"),
        ({"model": CONFIG["model"]}, "optimizer.lr is `None` now and was `0.04`"),
    ],
)
def test_the_state_of_another_config_is_told(path, config, said):
    with pytest.raises(StateError, match=f"that of another config: {re.escape(said)}"):
        load_state(path, config)


def test_a_state_that_cannot_be_written_leaves_the_one_before(path, state, monkeypatch):
    before = path.read_bytes()
    monkeypatch.setattr(torch, "save", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        save_state(path, state, CONFIG)

    assert path.read_bytes() == before


def write_states(folder: Path, sizes: Sequence[int]) -> list[Path]:
    """A file of each size, the oldest first."""
    states = [folder / str(number) / "state.pt" for number in range(len(sizes))]
    for number, (state, size) in enumerate(zip(states, sizes, strict=True)):
        state.parent.mkdir()
        state.write_bytes(bytes(size))
        os.utime(state, (number, number))
    return states


@given(st.lists(st.integers(0, 9), min_size=1, max_size=9), st.integers(0, 40))
def test_the_oldest_states_make_room_for_the_newest(sizes, most_bytes):
    with TemporaryDirectory() as folder:
        states = write_states(Path(folder), sizes)
        deleted = make_room(states[-1], most_bytes)
        left = [state for state in states if state.exists()]

    assert deleted == states[: len(deleted)]
    assert left == states[len(deleted) :]
    assert sum(sizes[len(deleted) :]) <= max(most_bytes, sizes[-1])
    if deleted:
        assert sum(sizes[len(deleted) - 1 :]) > most_bytes


def test_the_newest_state_stays_though_it_is_too_large_alone(tmp_path):
    [state] = write_states(tmp_path, [9])

    assert make_room(state, most_bytes=1) == []
    assert state.exists()
