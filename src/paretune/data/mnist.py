"""MNIST and the data sets in its format (Fashion-MNIST, Kuzushiji-MNIST): four IDX files, fetched where they are missing.

LeCun, Cortes and Burges, http://yann.lecun.com/exdb/mnist/; Xiao et al. 2017, https://arxiv.org/abs/1708.07747;
Clanuwat et al. 2018, https://arxiv.org/abs/1812.01718.
"""

import logging
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from textwrap import shorten

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


def _read(folder: Path, mirrors: Sequence[str], num_classes: int, hashes: Hashes) -> Images:
    """The images and labels of two files, which must belong together."""
    images_path, labels_path = _find_or_fetch(folder, mirrors, hashes)
    pixels, labels = read_idx(images_path), read_idx(labels_path)
    if pixels.ndim != 3 or labels.shape != pixels.shape[:1]:
        raise DataError(
            f"data files `{images_path}` and `{labels_path}` do not belong together; expected images (N, H, W) and "
            f"labels (N,), got {pixels.shape} and {labels.shape}; delete them to have them fetched again"
        )
    if labels.max(initial=0) >= num_classes:
        raise DataError(
            f"data file `{labels_path}` has the label {labels.max()}; expected 0 to {num_classes - 1}; check that it is the "
            f"right file, or set data.num_classes"
        )
    return Images(torch.from_numpy(pixels.copy()).unsqueeze(1), torch.from_numpy(labels.astype("int64")))


def _find_or_fetch(folder: Path, mirrors: Sequence[str], hashes: Hashes) -> list[Path]:
    """Paths of the files under ``folder``; a missing one is fetched by one of the processes of a node that start together."""
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
