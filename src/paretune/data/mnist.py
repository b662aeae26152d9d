"""MNIST and the data sets in its format (Fashion-MNIST, Kuzushiji-MNIST): four IDX files.

LeCun, Cortes and Burges, http://yann.lecun.com/exdb/mnist/; Xiao et al. 2017, https://arxiv.org/abs/1708.07747;
Clanuwat et al. 2018, https://arxiv.org/abs/1812.01718.
"""

import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path

import pooch
import requests
import torch
import urllib3
from filelock import FileLock

from paretune.data.idx import read_idx
from paretune.data.images import ImageData, Images, Splitting
from paretune.errors import DataError, first_line

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
            raise DataError(
                f"data file `{packed}` is damaged or another file; expected {algorithm} {expected}, got {got}; "
                f"delete it to have it fetched again"
            )
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
    raise DataError(
        f"data file `{folder / name}` is missing and no mirror gave it ({'; '.join(reasons) or 'no mirror is set'}); "
        f"expected it in the folder `{folder.resolve()}`; put it there, set PARETUNE_DATA to the folder above it, "
        f"or use data=digits, which needs no network"
    )


def _download(url: str, digest: str, folder: Path, name: str) -> str:
    # pooch downloads to a temporary file in `folder`, checks the hash and only then renames.
    downloader = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=TIMEOUT_S)
    path: str = pooch.retrieve(url, known_hash=digest, fname=name, path=folder, downloader=downloader)
    return path


def _reason(error: Exception) -> str:
    """One short line: what a person needs of an exception that may carry a page."""
    text = first_line(error)
    return text if len(text) <= 160 else f"{text[:157]}..."


Hashes = tuple[tuple[str, str], ...]


def load_idx(
    *,
    name: str,
    root: str,
    files: Mapping[str, str],
    mirrors: Sequence[str],
    splitting: Splitting,
    num_classes: int = 10,
) -> ImageData:
    """The data set ``name`` from the folder ``root/name``, its missing files fetched from ``mirrors`` first.

    ``files`` maps file names to ``<algorithm>:<hex>`` in the order training images, training labels, test images, test
    labels, which are 0 to ``num_classes`` - 1. Raises :class:`~paretune.errors.DataError` for a file that is missing,
    damaged or of the wrong kind.
    """
    return _load(name, Path(root) / name, tuple(files.items()), tuple(mirrors), splitting, num_classes)


@lru_cache(maxsize=2)  # a worker reads, splits and measures the images once, however many trials it runs
def _load(
    name: str, folder: Path, hashes: Hashes, mirrors: tuple[str, ...], splitting: Splitting, num_classes: int
) -> ImageData:
    read = partial(_read, folder, mirrors, num_classes)
    train, val = splitting.split(read(hashes[:2]))
    return ImageData(name, train, val, load_test=partial(read, hashes[2:]), num_classes=num_classes)


def _read(folder: Path, mirrors: tuple[str, ...], num_classes: int, hashes: Hashes) -> Images:
    paths = list(find_or_fetch(folder, dict(hashes), mirrors).values())
    pixels, labels = (read_idx(path) for path in paths)
    if pixels.ndim != 3 or labels.shape != pixels.shape[:1]:
        raise DataError(
            f"data files `{paths[0]}` and `{paths[1]}` do not belong together; expected images (N, H, W) and labels "
            f"(N,), got {pixels.shape} and {labels.shape}; delete them to have them fetched again"
        )
    if labels.max(initial=0) >= num_classes:
        raise DataError(
            f"data file `{paths[1]}` has the label {labels.max()}; expected 0 to {num_classes - 1}; check that it is the right "
            f"file, or set data.num_classes"
        )
    return Images(torch.from_numpy(pixels.copy()).unsqueeze(1), torch.from_numpy(labels.astype("int64")))
