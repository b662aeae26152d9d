"""CIFAR-10 in its binary form: one archive of files, in each of which an image is a
byte of label and its bytes of pixels.

Krizhevsky 2009, "Learning multiple layers of features from tiny images",
https://www.cs.toronto.edu/~kriz/cifar.html.
"""

import tarfile
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from paretune.data.arrays import Arrays
from paretune.data.fetch import Hashes, find_or_fetch
from paretune.data.splitting import Splitting
from paretune.errors import DataError, first_line

if TYPE_CHECKING:
    from paretune.data.images import ImageData

SHAPE = (3, 32, 32)
# Beginnings of the names of the archive's members.
TRAIN_PREFIX = "data_batch_"
TEST_PREFIX = "test_batch"


def load(
    *,
    name: str,
    root: str,
    files: Mapping[str, str],
    mirrors: Sequence[str],
    splitting: Splitting,
    class_names: Sequence[str],
) -> "ImageData":
    """The data set ``name`` from the archive in ``root/name``, fetched from ``mirrors``
    if it is missing.

    ``files`` maps the archive's name to ``<algorithm>:<hex>``. Its members
    ``data_batch_*.bin`` are the training images, ``test_batch.bin`` the test images.
    Raises :class:`~paretune.errors.DataError` for an archive that is missing, damaged
    or of another kind.
    """
    return _load(
        name,
        Path(root) / name,
        tuple(files.items()),
        tuple(mirrors),
        splitting,
        tuple(class_names),
    )


# A worker reads, splits and measures the images once, however many trials it runs.
@lru_cache(maxsize=2)
def _load(
    name: str,
    folder: Path,
    hashes: Hashes,
    mirrors: tuple[str, ...],
    splitting: Splitting,
    class_names: tuple[str, ...],
) -> "ImageData":
    from paretune.data.images import ImageData, Images, make_images  # import torch

    [archive] = find_or_fetch(folder, mirrors, hashes)

    def read(prefix: str) -> Images:
        return make_images(read_archive(archive, len(class_names), prefix))

    train, val = splitting.split(read(TRAIN_PREFIX))
    return ImageData(
        name,
        train,
        val,
        load_test=partial(read, TEST_PREFIX),
        num_classes=len(class_names),
        class_names=class_names,
        fits_by="stretch",
    )


def read_archive(archive: Path, num_classes: int, prefix: str) -> Arrays:
    """The images and labels of all members whose names begin with ``prefix``."""
    content = _read_members(archive, prefix)
    size = 1 + prod(SHAPE)
    if not content or len(content) % size:
        raise DataError(
            f"data file `{archive}` has {len(content):,} bytes in `{prefix}*`; "
            f"expected images of {size:,} bytes each; check that it is CIFAR's binary "
            "version"
        )
    rows = np.frombuffer(content, np.uint8).reshape(-1, size)
    labels = rows[:, 0]
    pixels = rows[:, 1:]
    if labels.max() >= num_classes:
        raise DataError(
            f"data file `{archive}` has the label {labels.max()}; expected 0 to "
            f"{num_classes - 1}; check data.class_names"
        )
    return Arrays(pixels.reshape(-1, *SHAPE), labels.astype("int64"))


def _read_members(archive: Path, prefix: str) -> bytes:
    """The content of the members, one after the other in the order of their names."""
    content: list[bytes] = []
    try:
        with tarfile.open(archive) as tar:
            for name in sorted(tar.getnames()):
                if not Path(name).name.startswith(prefix):
                    continue
                member = tar.extractfile(name)
                if member:
                    content.append(member.read())
    except (tarfile.TarError, EOFError, OSError) as error:
        raise DataError(
            f"data file `{archive}` cannot be read ({first_line(error)}); expected the "
            "archive of CIFAR's binary version; nothing was changed; give the right "
            "file"
        ) from error
    return b"".join(content)
