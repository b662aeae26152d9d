"""Files are there whole or not at all."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paretune.atomic import all_or_nothing, atomically

NAMES = st.text("abc.", min_size=1, max_size=4).filter(lambda name: name.strip("."))
FILES = st.dictionaries(NAMES, st.binary(max_size=3), max_size=4)


class Stop(BaseException):
    """As a Ctrl-C is, no ``Exception``."""


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def put(folder: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        (folder / name).write_bytes(data)


def put_in_folder(folder: Path, files: dict[str, bytes]) -> None:
    (folder / "inner").mkdir()
    put(folder / "inner", files)


def put_and_fail(
    folder: Path, files: dict[str, bytes], error: type[BaseException]
) -> None:
    with all_or_nothing(folder) as staged:
        put(staged, files)
        raise error


@given(FILES, FILES)
def test_all_files_take_their_places_at_the_end_of_the_block(
    tmp_path_factory, before, after
):
    folder = tmp_path_factory.mktemp("all")
    put(folder, before)
    with all_or_nothing(folder) as staged:
        put(staged, after)
        assert all(
            (folder / name).read_bytes() == data for name, data in before.items()
        )

    assert content(folder) == before | after


@given(FILES, FILES, st.sampled_from([Stop, ValueError]))
def test_after_an_error_everything_is_what_it_was(
    tmp_path_factory, before, after, error
):
    folder = tmp_path_factory.mktemp("nothing")
    put(folder, before)
    with suppress(error):
        put_and_fail(folder, after, error)

    assert content(folder) == before


def test_a_folder_is_made_with_its_first_files(tmp_path):
    with all_or_nothing(tmp_path / "a/b") as staged:
        put(staged, {"one": b"1"})
        assert not (tmp_path / "a").exists()

    assert content(tmp_path / "a/b") == {"one": b"1"}


def test_a_folder_in_the_place_of_a_file_leaves_all_as_it_was(tmp_path):
    (tmp_path / "two").mkdir()
    with (
        pytest.raises(IsADirectoryError) as refused,
        all_or_nothing(tmp_path) as staged,
    ):
        put(staged, {"one": b"1", "two": b"2"})

    assert refused.value.filename == str(tmp_path / "two")
    assert [path.name for path in tmp_path.iterdir()] == ["two"]


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path):
    put(tmp_path, {"file": b"1"})
    with (
        pytest.raises(NotADirectoryError) as refused,
        atomically(tmp_path / "file/below") as partial,
    ):
        partial.write_text("never")

    assert refused.value.filename == str(tmp_path / "file")


def test_one_file_replaces_what_has_its_name(tmp_path):
    put(tmp_path, {"weights.pt": b"old"})
    with atomically(tmp_path / "weights.pt") as partial:
        assert partial.name == "weights.pt"
        partial.write_bytes(b"new")

    assert content(tmp_path) == {"weights.pt": b"new"}


def test_the_files_of_a_folder_take_their_places_among_others(tmp_path):
    (tmp_path / "inner").mkdir()
    put(tmp_path / "inner", {"old": b"1", "kept": b"1"})
    with all_or_nothing(tmp_path) as staged:
        put_in_folder(staged, {"old": b"2", "new": b"2"})

    assert content(tmp_path / "inner") == {"old": b"2", "kept": b"1", "new": b"2"}


def test_a_file_in_the_place_of_a_folder_leaves_all_as_it_was(tmp_path):
    put(tmp_path, {"inner": b"1"})
    with (
        pytest.raises(NotADirectoryError) as refused,
        all_or_nothing(tmp_path) as staged,
    ):
        put_in_folder(staged, {"new": b"2"})

    assert refused.value.filename == str(tmp_path / "inner")
    assert content(tmp_path) == {"inner": b"1"}
