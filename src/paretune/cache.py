"""The user's cache folder, which holds up to a bound: what was not used for longest is
removed first.
"""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from paretune import paths
from paretune.errors import ConfigError

BOUND_VARIABLE = "PARETUNE_CACHE_BYTES"
DEFAULT_BOUND_BYTES = 5_000_000_000
LEAST_ENTRY_BYTES = 4096  # what the smallest file takes on a disk
# A temporary file that was not touched for longer is what a killed process left.
LONGEST_MAKING_S = 3600
KIND_OF_PATTERN = {
    "pictures-*.safetensors": "pictures",
    "seen-*": "pictures",
    "kernels-*.so": "kernels",
    "*.partial": "leftovers",
    "compiling-*": "leftovers",
}


@dataclass(frozen=True)
class Entry:
    """A file or folder of the cache, its size, and when it was last used, in seconds
    since 1970.
    """

    path: Path
    kind: str
    size_bytes: int
    used_s: float


def read_bound_bytes() -> int:
    """The most that the cache may hold. Raises :class:`~paretune.errors.ConfigError` if
    it is no whole number.
    """
    text = os.environ.get(BOUND_VARIABLE, str(DEFAULT_BOUND_BYTES))
    if not text.isdecimal():
        raise ConfigError(
            f"{BOUND_VARIABLE} `{text}` is no whole number of bytes; set one, such as "
            "5000000000"
        )
    return int(text)


def list_entries() -> list[Entry]:
    """All that Paretune keeps, the longest unused first. Raises ``RuntimeError`` for a user
    without a home folder.
    """
    found: list[Entry] = []
    for pattern, kind in KIND_OF_PATTERN.items():
        found += _find(pattern, kind)
    return sorted(found, key=lambda entry: entry.used_s)


def _find(pattern: str, kind: str) -> Iterator[Entry]:
    for path in paths.cache().glob(pattern):
        with suppress(FileNotFoundError):  # another process has removed it
            stat = path.stat()
            yield Entry(path, kind, max(LEAST_ENTRY_BYTES, stat.st_size), stat.st_mtime)


def mark_used(path: Path) -> None:
    """Note that a file of the cache is used now. The time of the last access is no
    measure: many systems do not keep it.
    """
    with suppress(OSError):
        os.utime(path)


def make_room(newest: Path) -> None:
    """Remove what was not used for longest until the cache is within its bound; the
    ``newest`` file stays.
    """
    kept = list_entries()
    excess_bytes = sum(entry.size_bytes for entry in kept) - read_bound_bytes()
    for entry in kept:
        if excess_bytes <= 0:
            return
        if entry.path != newest and not _is_being_made(entry):
            _remove(entry)
            excess_bytes -= entry.size_bytes


def clear() -> list[Entry]:
    """Remove everything that is kept, and return what that was. What other processes
    are just making stays.
    """
    removed = [entry for entry in list_entries() if not _is_being_made(entry)]
    for entry in removed:
        _remove(entry)
    return removed


def _is_being_made(entry: Entry) -> bool:
    return entry.kind == "leftovers" and time.time() - entry.used_s < LONGEST_MAKING_S


def _remove(entry: Entry) -> None:
    if entry.path.is_dir():
        shutil.rmtree(entry.path, ignore_errors=True)
    else:
        entry.path.unlink(missing_ok=True)
