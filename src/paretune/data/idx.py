"""The IDX format of the original MNIST files (http://yann.lecun.com/exdb/mnist/),
gzipped or not.
"""

import gzip
import zlib
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from paretune.errors import DataError

UBYTE = 0x08
GZIP_MAGIC = b"\x1f\x8b"


def read_idx(path: Path) -> NDArray[np.uint8]:
    """The array that an IDX file of unsigned bytes holds, in the shape its header
    gives.

    Raises :class:`~paretune.errors.DataError` if the file is not IDX, not of unsigned
    bytes, or shorter or longer than its header says.
    """
    content = _read_content(path)
    header = _read_header(path, content)
    if len(content) != header.expected_bytes:
        raise _make_error(
            path,
            "damaged",
            expected=f"{header.expected_bytes:,} bytes",
            got=f"{len(content):,} bytes",
        )
    pixels = np.frombuffer(content, np.uint8, offset=header.size_bytes)
    return pixels.reshape(header.shape)


@dataclass(frozen=True)
class Header:
    """The beginning of an IDX file: its own length, and the shape of what follows."""

    size_bytes: int
    shape: tuple[int, ...]

    @property
    def expected_bytes(self) -> int:
        """The length of a whole file."""
        return self.size_bytes + prod(self.shape)


def _read_header(path: Path, content: bytes) -> Header:
    is_idx = len(content) >= 4 and content[:2] == b"\0\0"
    if not is_idx or content[2] != UBYTE:
        raise _make_error(
            path,
            "not an IDX file of unsigned bytes",
            expected="00 00 08",
            got=content[:3].hex(" ") or "nothing",
        )
    dimensions = content[3]
    end = 4 + 4 * dimensions
    if len(content) < end:
        raise _make_error(
            path,
            "damaged",
            expected=f"at least {end:,} bytes",
            got=f"{len(content):,} bytes",
        )
    sides = np.frombuffer(content[4:end], ">u4")
    return Header(end, tuple(sides.tolist()))


def _read_content(path: Path) -> bytes:
    raw = path.read_bytes()
    if raw[:2] != GZIP_MAGIC:
        return raw
    try:
        return gzip.decompress(raw)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise _make_error(
            path,
            "damaged",
            expected="a whole gzip file",
            got=f"`{error}` after {len(raw):,} bytes",
        ) from error


def _make_error(path: Path, fault: str, *, expected: str, got: str) -> DataError:
    return DataError(
        f"data file `{path}` is {fault}; expected {expected}, got {got}; nothing was "
        "changed; give the right file"
    )
