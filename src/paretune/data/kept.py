"""Decoded pictures in the user's cache folder, under a hash of the files' names and
contents.

Contents are hashed once: afterwards sizes and times of change tell that files are the
same, as they tell git and make.
"""

import hashlib
import logging
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from paretune import cache, paths
from paretune.atomic import atomically

log = logging.getLogger(__name__)

KEPT_NAME = re.compile(r"pictures-[0-9a-f]{24}\.safetensors")
# For another process that reads pictures; then this one reads them itself.
PICTURES_LOCK_TIMEOUT_S = 1800
# Files that changed within it may change again and have the same time (FAT counts in
# two seconds).
CLOCK_TICK_S = 3.0


@dataclass(frozen=True)
class Decoded:
    """Pixels uint8 ``(N, C, H, W)`` of the files that can be read, and which those are,
    a mask over all files.
    """

    pixels: Tensor
    readable: Tensor


def load_pictures(
    folder: Path, files: Sequence[Path], look: str, read: Callable[[], Decoded]
) -> Decoded:
    """The ``files`` below ``folder`` decoded: kept ones, else those that ``read``
    gives, which are then kept.

    ``look`` tells how the files are decoded: pictures kept for another look are not
    taken.
    Of processes that start together one reads, the others wait for it.
    """
    try:
        place = paths.cache()
    # There is no home folder.
    except RuntimeError as error:
        log.info("pictures are not kept for the next time (%s)", error)
        return read()
    with _one_at_a_time(place):
        path = place / _find_name(place, folder, files, look)
        decoded = _load(path, len(files))
        if decoded is None:
            decoded = read()
            _keep(path, decoded)
        return decoded


@contextmanager
def _one_at_a_time(place: Path) -> Iterator[None]:
    """Waits while another process reads pictures, where the file system has locks."""
    lock = FileLock(place / "pictures.lock")
    try:
        place.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=PICTURES_LOCK_TIMEOUT_S)
    except (OSError, NotImplementedError) as error:
        log.debug("pictures are read without waiting for other processes (%s)", error)
    try:
        yield
    finally:
        lock.release()


def _find_name(place: Path, folder: Path, files: Sequence[Path], look: str) -> str:
    """The name under which the pixels of these files are kept."""
    hashed_at_s = time.time()
    signature, changed_s = _compute_signature(folder, files, look)
    seen = place / f"seen-{signature}"
    name = _read_name(seen)
    if name:
        return name
    name = f"pictures-{_hash_contents(folder, files, look)}.safetensors"
    if changed_s < hashed_at_s - CLOCK_TICK_S:
        _write_name(seen, name)
    return name


def _compute_signature(
    folder: Path, files: Sequence[Path], look: str
) -> tuple[str, float]:
    """A hash of names, sizes and times of change, and the last of these times, in
    seconds since 1970.
    """
    digest = hashlib.sha256(look.encode())
    changed_s = 0.0
    for path in files:
        stat = path.stat()
        facts = (
            stat.st_dev,
            stat.st_ino,
            stat.st_size,
            stat.st_mtime_ns,
            stat.st_ctime_ns,
        )
        digest.update(os.fsencode(path.relative_to(folder)))
        digest.update(repr(facts).encode())
        changed_s = max(changed_s, stat.st_mtime, stat.st_ctime)
    return digest.hexdigest()[:24], changed_s


def _hash_contents(folder: Path, files: Sequence[Path], look: str) -> str:
    log.debug("hashing %d pictures of %s", len(files), folder)
    digest = hashlib.sha256(look.encode())
    for path in files:
        content = _read_content(path)
        digest.update(os.fsencode(path.relative_to(folder)))
        digest.update(f" {len(content)} ".encode())
        digest.update(content)
    return digest.hexdigest()[:24]


def _read_content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        # It is told when the file is read as a picture.
        return b""


def _read_name(seen: Path) -> str | None:
    try:
        name = seen.read_text()
    except (OSError, UnicodeDecodeError):
        return None
    cache.mark_used(seen)
    return name if KEPT_NAME.fullmatch(name) else None


def _write_name(seen: Path, name: str) -> None:
    try:
        with atomically(seen) as partial_file:
            partial_file.write_text(name)
    except OSError as error:
        log.debug("what was hashed is not noted (%s)", error)


def _load(path: Path, count: int) -> Decoded | None:
    """Kept pictures of ``count`` files; ``None`` if they are not there, or damaged."""
    try:
        tensors = load_file(path)
        decoded = Decoded(tensors["pixels"], tensors["readable"])
    except (OSError, KeyError, RuntimeError, SafetensorError):
        return None
    cache.mark_used(path)
    return decoded if len(decoded.readable) == count else None


def _keep(path: Path, decoded: Decoded) -> None:
    tensors = {"pixels": decoded.pixels, "readable": decoded.readable}
    try:
        with atomically(path) as partial_file:
            save_file(tensors, partial_file)
        cache.make_room(path)
    except OSError as error:
        log.info("pictures are not kept for the next time (%s)", error)
