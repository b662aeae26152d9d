"""Data files that are looked for in folders and fetched from mirrors where they are
missing, whole or not at all.
"""

import gzip
import hashlib
import logging
import os
import sys
import tempfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from textwrap import shorten

import pooch
import requests
import urllib3
from filelock import FileLock

from paretune.data.idx import GZIP_MAGIC
from paretune.errors import DataError, first_line

log = logging.getLogger(__name__)

MIRROR_TIMEOUT_S = 20
# Before the algorithm: the hash is that of the unpacked content.
CONTENT = "content-"
GZIP = ".gz"
GZIP_ERRORS = (EOFError, gzip.BadGzipFile, zlib.error)
Hashes = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class WantedFile:
    """A file that is wanted: its name on the mirrors, and the hash of the file or of
    what is packed in it.
    """

    name: str
    algorithm: str
    digest: str
    of_content: bool

    @property
    def hash_name(self) -> str:
        """The kind of the digest, in words."""
        if self.of_content:
            return f"{self.algorithm} of the content"
        return self.algorithm

    def compute_hash(self, path: Path) -> str:
        """The hash of a file or of its content, whatever packed it; words where gzip
        cannot unpack it.
        """
        hasher = hashlib.new(self.algorithm)
        try:
            with _open(path, unpack=self.of_content) as file:
                while chunk := file.read(1 << 20):
                    hasher.update(chunk)
        except GZIP_ERRORS as error:
            return f"a damaged gzip file ({error})"
        return hasher.hexdigest()


def _open(path: Path, unpack: bool) -> BufferedReader | gzip.GzipFile:
    """The file for reading; its content, if it is to be unpacked and is packed."""
    file = path.open("rb")
    if unpack and file.read(2) == GZIP_MAGIC:
        file.close()
        return gzip.open(path)
    file.seek(0)
    return file


def find_or_fetch(folder: Path, mirrors: Sequence[str], hashes: Hashes) -> list[Path]:
    """Paths of the files of the data set that ``folder`` is named after.

    They are looked for in ``folder`` and where the system has shared data sets. A
    missing one is fetched into ``folder``, by one of the processes of a node that start
    together.

    ``hashes`` are file names and their ``<algorithm>:<hex>``, or
    ``content-<algorithm>:<hex>`` of what is packed in them, which holds whatever packed
    it. Raises :class:`~paretune.errors.DataError` for files that are others, or that no
    mirror gives.
    """
    files = [_parse_hash(name, text) for name, text in hashes]
    found = _find_all(folder, files)
    if len(found) == len(files):
        return [found[file] for file in files]
    lock_file = folder / ".fetching"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(lock_file).acquire()
    except OSError as error:
        raise DataError(
            f"data folder `{folder}` lacks files and cannot be written ({error}); put "
            "them there, or set PARETUNE_DATA to a folder to fetch into"
        ) from error
    with lock:
        missing = [file for file in files if file not in found]
        # Another process may have fetched them meanwhile.
        found |= _find_all(folder, missing)
        try:
            return [found.get(file) or _fetch(folder, mirrors, file) for file in files]
        except DataError:
            _remove_if_unused(folder, lock_file)
            raise


def _remove_if_unused(folder: Path, lock_file: Path) -> None:
    """Remove a folder that was made to fetch into and got no file."""
    if list(folder.iterdir()) == [lock_file]:
        lock_file.unlink()
        folder.rmdir()


def _parse_hash(name: str, text: str) -> WantedFile:
    algorithm, _, digest = text.partition(":")
    return WantedFile(
        name=name,
        algorithm=algorithm.removeprefix(CONTENT),
        digest=digest,
        of_content=algorithm.startswith(CONTENT),
    )


def _find_all(folder: Path, files: Sequence[WantedFile]) -> dict[WantedFile, Path]:
    """The files that are in the folder or where the system has data sets, packed or
    not.

    Raises :class:`~paretune.errors.DataError` for all those of the folder that have the
    names, and not the hashes.
    """
    found: dict[WantedFile, Path] = {}
    differing: list[tuple[WantedFile, Path]] = []
    for file in files:
        own = _list_candidates(folder, file.name)
        right = _find_right(own, file)
        if right is None and own:
            differing.append((file, own[0]))
        for place in _list_system_folders(folder.name):
            right = right or _find_right(_list_candidates(place, file.name), file)
        if right:
            found[file] = right
    if differing:
        raise _make_error(folder, differing)
    return found


def _find_right(paths: Sequence[Path], file: WantedFile) -> Path | None:
    for path in paths:
        if _is_right(path, file):
            return path
    return None


def _list_system_folders(name: str) -> list[Path]:
    """Where packages of the system put data sets: Debian's names have hyphens."""
    shared = os.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
    names = dict.fromkeys([name, name.replace("_", "-")])
    folders: list[Path] = []
    for share in filter(None, shared.split(":")):
        folders += [Path(share) / "datasets" / spelling for spelling in names]
    return folders


def _list_candidates(folder: Path, name: str) -> list[Path]:
    """The files in the folder that have the name, packed or not."""
    stem = name.removesuffix(GZIP)
    names = dict.fromkeys([name, stem, stem + GZIP])
    paths = [folder / spelling for spelling in names]
    return [path for path in paths if path.is_file()]


def _is_right(path: Path, file: WantedFile) -> bool:
    """Whether a file is the one that is wanted.

    Only of a packed file's hash, an unpacked one cannot be told: reading it checks its
    header and length.
    """
    if path.name != file.name and not file.of_content:
        return path.name == file.name.removesuffix(GZIP)
    return file.compute_hash(path) == file.digest


def _make_error(
    folder: Path, differing: Sequence[tuple[WantedFile, Path]]
) -> DataError:
    descriptions = [
        f"`{path}` (expected {file.hash_name} {file.digest}, got "
        f"{file.compute_hash(path)})"
        for file, path in differing
    ]
    word = "file" if len(differing) == 1 else "files"
    pronoun = "it" if len(differing) == 1 else "them"
    return DataError(
        f"data {word} {', '.join(descriptions)}: damaged, or not of `{folder.name}`; "
        f"nothing was changed; to have the right {word} fetched, move {pronoun} away "
        "or set PARETUNE_DATA to another folder; to use your own, set data.files to "
        "the hashes"
    )


def _fetch(folder: Path, mirrors: Sequence[str], file: WantedFile) -> Path:
    """Download from the first mirror that serves the file; only a file with the right
    hash gets its name.
    """
    reasons: list[str] = []
    for mirror in mirrors:
        url = f"{mirror.rstrip('/')}/{file.name}"
        log.info("fetching %s", url)
        try:
            return _download(url, folder, file)
        except (
            requests.RequestException,
            urllib3.exceptions.HTTPError,
            ValueError,
            OSError,
        ) as error:
            reason = shorten(first_line(error), 160, placeholder="...")
            reasons.append(f"{mirror}: {reason}")
            log.warning("%s failed (%s)", url, reasons[-1])
    raise DataError(
        f"data file `{folder / file.name}` is missing and no mirror gave it "
        f"({'; '.join(reasons) or 'no mirror is set'}); put it in the folder "
        f"`{folder.resolve()}`, set PARETUNE_DATA to the folder above it, or use "
        "data=digits, which needs no network"
    )


def _download(url: str, folder: Path, file: WantedFile) -> Path:
    """The file, downloaded beside its place, checked, and only then moved there. Raises
    ``ValueError`` for another hash.
    """
    downloader = pooch.HTTPDownloader(
        progressbar=sys.stderr.isatty(), timeout=MIRROR_TIMEOUT_S
    )
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fetching-") as place:
        partial = Path(place) / file.name
        downloader(url, str(partial), None)
        digest = file.compute_hash(partial)
        if digest != file.digest:
            raise ValueError(
                f"its hash is another: expected {file.hash_name} {file.digest}, got "
                f"{digest}"
            )
        return partial.replace(folder / file.name)
