"""MNIST and the data sets in its format (Fashion-MNIST, Kuzushiji-MNIST): four IDX
files, fetched where they are missing.

LeCun, Cortes and Burges, http://yann.lecun.com/exdb/mnist/; Xiao et al. 2017,
https://arxiv.org/abs/1708.07747; Clanuwat et al. 2018,
https://arxiv.org/abs/1812.01718.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from paretune.data.arrays import Arrays
from paretune.data.fetch import Hashes, find_or_fetch
from paretune.data.idx import read_idx
from paretune.data.splitting import Splitting
from paretune.errors import DataError

if TYPE_CHECKING:
    from paretune.data.images import ImageData


def load_idx(
    *,
    name: str,
    root: str,
    files: Mapping[str, str],
    mirrors: Sequence[str],
    splitting: Splitting,
    num_classes: int = 10,
) -> "ImageData":
    """The data set ``name`` from the folder ``root/name``, its missing files fetched
    from ``mirrors`` first.

    ``files`` maps file names to their hashes, as
    :func:`~paretune.data.fetch.find_or_fetch` takes them, in the order training images,
    training labels, test images, test labels, which are 0 to ``num_classes`` - 1.

    Raises :class:`~paretune.errors.DataError` for a file that is missing, damaged or
    of the wrong kind.
    """
    return _load(
        name,
        Path(root) / name,
        tuple(files.items()),
        tuple(mirrors),
        splitting,
        num_classes,
    )


# A worker reads, splits and measures the images once, however many trials it runs.
@lru_cache(maxsize=2)
def _load(
    name: str,
    folder: Path,
    hashes: Hashes,
    mirrors: tuple[str, ...],
    splitting: Splitting,
    num_classes: int,
) -> "ImageData":
    from paretune.data.images import ImageData, Images, make_images  # import torch

    def read(files: Hashes) -> Images:
        return make_images(read_pair(folder, mirrors, num_classes, files))

    train, val = splitting.split(read(hashes[:2]))
    return ImageData(
        name, train, val, load_test=partial(read, hashes[2:]), num_classes=num_classes
    )


def read_pair(
    folder: Path, mirrors: Sequence[str], num_classes: int, hashes: Hashes
) -> Arrays:
    """The images and labels of two files, which must belong together."""
    images_path, labels_path = find_or_fetch(folder, mirrors, hashes)
    pixels = read_idx(images_path)
    labels = read_idx(labels_path)
    if pixels.ndim != 3 or labels.shape != pixels.shape[:1]:
        raise DataError(
            f"data files `{images_path}` and `{labels_path}` do not belong together; "
            f"expected images (N, H, W) and labels (N,), got {pixels.shape} and "
            f"{labels.shape}; check that they are of one data set"
        )
    if labels.max(initial=0) >= num_classes:
        raise DataError(
            f"data file `{labels_path}` has the label {labels.max()}; expected 0 to "
            f"{num_classes - 1}; check that it is the right file, or set "
            "data.num_classes"
        )
    return Arrays(pixels[:, None].copy(), labels.astype("int64"))
