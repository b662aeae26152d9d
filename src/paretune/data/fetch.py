"""Data files that are looked for in a folder and fetched from mirrors where they are missing, whole or not at all."""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from textwrap import shorten

import pooch
import requests
import urllib3
from filelock import FileLock

from paretune.errors import DataError, first_line

log = logging.getLogger(__name__)

TIMEOUT_S = 20
Hashes = tuple[tuple[str, str], ...]


def find_or_fetch(folder: Path, mirrors: Sequence[str], hashes: Hashes) -> list[Path]:
    """Paths of the files under ``folder``; a missing one is fetched by one of the processes of a node that start together.

    ``hashes`` are file names and their ``<algorithm>:<hex>``. Raises :class:`~paretune.errors.DataError` for a file that is damaged
    or that no mirror gives.
    """
    paths = [path for name, digest in hashes if (path := _find(folder, name, digest))]
    if len(paths) == len(hashes):
        return paths
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".fetching").acquire()
    except OSError as error:
        raise DataError(
            f"data folder `{folder}` lacks files and cannot be written ({error}); expected them there, or a folder to "
            f"fetch into; set PARETUNE_DATA"
        ) from error
    with lock:
        return [_find(folder, name, digest) or _fetch(folder, mirrors, name, digest) for name, digest in hashes]


def _find(folder: Path, name: str, digest: str) -> Path | None:
    """The file, if it is there, gzipped (``name``, with the right hash) or not.

    An unpacked file has no published hash: reading it checks its header and length.
    """
    packed, unpacked = folder / name, folder / name.removesuffix(".gz")
    if not packed.is_file():
        return unpacked if unpacked.is_file() else None
    algorithm, expected = digest.split(":")
    got = pooch.file_hash(str(packed), alg=algorithm)
    if got != expected:
        raise DataError(
            f"data file `{packed}` is damaged or another file; expected {algorithm} {expected}, got {got}; "
            f"delete it to have it fetched again"
        )
    return packed


def _fetch(folder: Path, mirrors: Sequence[str], name: str, digest: str) -> Path:
    """Download from the first mirror that serves the file; only a file with the right hash gets its name."""
    downloader, reasons = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=TIMEOUT_S), []
    for mirror in mirrors:
        url = f"{mirror.rstrip('/')}/{name}"
        log.info("fetching %s", url)
        try:
            # pooch downloads to a temporary file in `folder`, checks the hash and only then renames
            return Path(pooch.retrieve(url, known_hash=digest, fname=name, path=folder, downloader=downloader))
        except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError, OSError) as error:
            reasons.append(f"{mirror}: {shorten(first_line(error), 160, placeholder='...')}")
            log.warning("%s failed (%s)", url, reasons[-1])
    raise DataError(
        f"data file `{folder / name}` is missing and no mirror gave it ({'; '.join(reasons) or 'no mirror is set'}); "
        f"expected it in the folder `{folder.resolve()}`; put it there, set PARETUNE_DATA to the folder above it, "
        f"or use data=digits, which needs no network"
    )
