"""The IDX format of the original MNIST files (http://yann.lecun.com/exdb/mnist/),
gzipped or not.
"""

import gzip
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from paretune.errors import DataError

UBYTE = 0x08


def read_idx(path: Path) -> NDArray[np.uint8]:
    """The array that an IDX file of unsigned bytes holds, in the shape its header
    gives.

    Raises :class:`~paretune.errors.DataError` if the file is not IDX, not of unsigned
    bytes, or shorter or longer than its header says.
    """
    content = _content(path)
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] != UBYTE:
        raise _refusal(
            path,
            "not an IDX file of unsigned bytes",
            "00 00 08",
            content[:3].hex(" ") or "nothing",
        )
    dimensions = content[3]
    start = 4 + 4 * dimensions
    shape = (
        tuple(np.frombuffer(content[4:start], ">u4").tolist())
        if len(content) >= start
        else ()
    )
    expected_bytes = start + int(np.prod(shape, dtype=np.int64))
    if len(shape) != dimensions or len(content) != expected_bytes:
        raise _refusal(
            path, "damaged", f"{expected_bytes:,} bytes", f"{len(content):,} bytes"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _content(path: Path) -> bytes:
    raw = path.read_bytes()
    if raw[:2] != b"\x1f\x8b":
        return raw
    try:
        return gzip.decompress(raw)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise _refusal(
            path, "damaged", "a whole gzip file", f"`{error}` after {len(raw):,} bytes"
        ) from error


def _refusal(path: Path, what: str, expected: str, got: str) -> DataError:
    return DataError(
        f"data file `{path}` is {what}; expected {expected}, got {got}; nothing was "
        "changed; give the right file"
    )
