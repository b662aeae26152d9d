import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from paretune.data.idx import read_idx
from paretune.errors import DataError


def idx_bytes(array: np.ndarray) -> bytes:
    return (
        bytes([0, 0, 8, array.ndim])
        + struct.pack(f">{array.ndim}I", *array.shape)
        + array.tobytes()
    )


@given(arrays(np.uint8, array_shapes(max_dims=3, max_side=5)), st.booleans())
def test_an_array_survives_being_written_and_read(tmp_path_factory, array, packed):
    path = tmp_path_factory.mktemp("idx") / "file"
    path.write_bytes(
        gzip.compress(idx_bytes(array), mtime=0) if packed else idx_bytes(array)
    )

    assert np.array_equal(read_idx(path), array)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"",
            (
                r"is not an IDX file of unsigned bytes; expected 00 00 08, got "
                r"nothing; nothing was changed; give the right file"
            ),
        ),
        (
            b"<html>not found</html>",
            r"is not an IDX file of unsigned bytes; expected 00 00 08, got 3c 68 74",
        ),
        (
            idx_bytes(np.zeros((2, 3), np.uint8))[:-1],
            r"is damaged; expected 18 bytes, got 17 bytes",
        ),
        (
            idx_bytes(np.zeros((2, 3), np.uint8)) + b"x",
            r"is damaged; expected 18 bytes, got 19 bytes",
        ),
        (bytes([0, 0, 8, 3, 0]), r"is damaged; expected"),
        (
            gzip.compress(bytes(1000), mtime=0)[:-20],
            r"is damaged; expected a whole gzip file, got",
        ),
    ],
)
def test_a_damaged_file_is_refused_with_expected_and_got(
    tmp_path: Path, content, message
):
    path = tmp_path / "images"
    path.write_bytes(content)

    with pytest.raises(DataError, match=message):
        read_idx(path)
