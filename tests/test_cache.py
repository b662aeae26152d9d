"""The user's cache folder: its bound, what is removed first, and the command that shows
and empties it.
"""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paretune import cache
from paretune.commands.cache import cli as show_cache
from paretune.errors import ConfigError

NAMES = ("pictures-{}.safetensors", "seen-{}", "kernels-{}-0.so")


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "cache/paretune").mkdir(parents=True)
    return tmp_path / "cache/paretune"


def put(path: Path, size_bytes: int, used_s: float) -> Path:
    path.write_bytes(bytes(size_bytes))
    os.utime(path, (used_s, used_s))
    return path


@given(
    st.lists(
        st.tuples(st.sampled_from(NAMES), st.integers(0, 20_000)),
        min_size=1,
        max_size=8,
    ),
    st.integers(0, 90_000),
)
def test_the_longest_unused_goes_first_and_no_more_than_must(
    tmp_path_factory, files, bound_bytes
):
    folder = tmp_path_factory.mktemp("cache") / "paretune"
    folder.mkdir()
    made = [
        put(folder / name.format(i), size, 1000 + i)
        for i, (name, size) in enumerate(files)
    ]
    sizes = [max(size, cache.LEAST_ENTRY_BYTES) for _, size in files]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder.parent))
        patch.setenv(cache.BOUND_VARIABLE, str(bound_bytes))
        cache.make_room(made[-1])

    stays = [path.exists() for path in made]
    first = stays.index(True)
    assert stays == [i >= first for i in range(len(made))]
    assert sum(sizes[first:]) <= bound_bytes or first == len(made) - 1
    assert first == 0 or sum(sizes[first - 1 :]) > bound_bytes


def test_what_was_just_used_stays(place, monkeypatch):
    monkeypatch.setenv(cache.BOUND_VARIABLE, "20000")
    old, middle, newest = (
        put(place / f"pictures-{i}.safetensors", 9000, 1000 + i) for i in range(3)
    )
    cache.mark_used(old)
    cache.make_room(newest)

    assert [old.exists(), middle.exists(), newest.exists()] == [True, False, True]


def test_files_of_others_and_what_is_in_the_making_stay(place, monkeypatch):
    monkeypatch.setenv(cache.BOUND_VARIABLE, "0")
    foreign = put(place / "notes.txt", 9, 1000)
    left_over = put(place / "pictures-1.77.partial", 9, 1000)
    (place / "pictures-2.78.partial").write_bytes(b"now")
    newest = put(place / "kernels-1-1.so", 9, 2000)
    cache.make_room(newest)

    assert {path.name for path in place.iterdir()} == {
        foreign.name,
        "pictures-2.78.partial",
        newest.name,
    }
    assert not left_over.exists()


def test_a_bound_that_is_no_number_is_one_line(monkeypatch):
    monkeypatch.setenv(cache.BOUND_VARIABLE, "5 GB")
    with pytest.raises(
        ConfigError,
        match=r"PARETUNE_CACHE_BYTES `5 GB` is no whole number of bytes; set one",
    ):
        cache.read_bound_bytes()


def test_the_command_shows_and_empties_the_cache(place, answered):
    put(place / "pictures-1.safetensors", 9000, 1000)
    put(place / "kernels-1-1.so", 5000, 2000)
    put(place / "notes.txt", 9, 1000)
    shown, cleared, after = (
        answered(show_cache),
        answered(show_cache, "--clear"),
        answered(show_cache),
    )

    assert shown.out.splitlines()[0] == (
        f"{place}: 2 files, 14,000 bytes of at most 5,000,000,000 "
        "(PARETUNE_CACHE_BYTES)"
    )
    assert "  pictures  1 file, 9,000 bytes" in shown.out
    assert cleared.out == f"removed 2 files, 14,000 bytes from {place}\n"
    assert after.out.startswith(f"{place}: 0 files, 0 bytes")
    assert [path.name for path in place.iterdir()] == ["notes.txt"]


def test_the_cache_of_a_user_without_a_home_is_one_line(monkeypatch, answered):
    monkeypatch.delenv("XDG_CACHE_HOME")

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    answer = answered(show_cache)

    assert (answer.code, answer.err) == (
        2,
        "paretune cache: Could not determine home directory.\n",
    )
