"""Finding data files on disk, and fetching the missing ones from public mirrors."""

import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pooch
import requests
import urllib3
from filelock import FileLock

from paretune.errors import DataError, first_line

__all__ = ["find_or_fetch"]

log = logging.getLogger(__name__)

TIMEOUT_S = 20


def find_or_fetch(folder: Path, hashes: Mapping[str, str], mirrors: Sequence[str]) -> dict[str, Path]:
    """Paths of the files named in ``hashes`` (``<name>.gz`` to ``<algorithm>:<hex>``), under ``folder``.

    A file that is there, gzipped or not, is taken as it is once its hash is right (an unpacked one has no published
    hash: reading it checks its header and length). A missing one is fetched from the first mirror that serves it,
    checked, and only then given its name. Raises :class:`~paretune.errors.DataError`.
    """
    found = {name: _find(folder, name, digest) for name, digest in hashes.items()}
    if all(found.values()):
        return {name: path for name, path in found.items() if path}
    with _only_one(folder):  # of the workers of a node that start together, one fetches
        return {
            name: _find(folder, name, digest) or _fetch(folder, name, digest, mirrors)
            for name, digest in hashes.items()
        }


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """A lock of this folder; a folder that cannot be written holds what is there and nothing else."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".fetching")
        lock.acquire()
    except OSError as error:
        message = f"data folder `{folder}` lacks files and cannot be written ({error}); expected them there, or a folder to fetch into; set PARETUNE_DATA"
        raise DataError(message) from error
    try:
        yield
    finally:
        lock.release()


def _find(folder: Path, name: str, digest: str) -> Path | None:
    packed, unpacked = folder / name, folder / name.removesuffix(".gz")
    if packed.is_file():
        algorithm, expected = digest.split(":")
        got = pooch.file_hash(str(packed), alg=algorithm)
        if got != expected:
            message = (
                f"data file `{packed}` is damaged or another file; expected {algorithm} {expected}, got {got}; "
                f"delete it to have it fetched again"
            )
            raise DataError(message)
        return packed
    return unpacked if unpacked.is_file() else None


def _fetch(folder: Path, name: str, digest: str, mirrors: Sequence[str]) -> Path:
    reasons = []
    for mirror in mirrors:
        url = f"{mirror.rstrip('/')}/{name}"
        log.info("fetching %s", url)
        try:
            return Path(_download(url, digest, folder, name))
        except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError, OSError) as error:
            reasons.append(f"{mirror}: {_reason(error)}")
            log.warning("%s failed (%s)", url, reasons[-1])
    message = (
        f"data file `{folder / name}` is missing and no mirror gave it ({'; '.join(reasons) or 'no mirror is set'}); "
        f"expected it in the folder `{folder.resolve()}`; put it there, set PARETUNE_DATA to the folder above it, "
        f"or use data=digits, which needs no network"
    )
    raise DataError(message)


def _download(url: str, digest: str, folder: Path, name: str) -> str:
    # pooch downloads to a temporary file in `folder`, checks the hash and only then renames.
    downloader = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=TIMEOUT_S)
    path: str = pooch.retrieve(url, known_hash=digest, fname=name, path=folder, downloader=downloader)
    return path


def _reason(error: Exception) -> str:
    """One short line: what a person needs of an exception that may carry a page."""
    text = first_line(error)
    return text if len(text) <= 160 else f"{text[:157]}..."
