"""Your own pictures, or signals: a folder that holds a folder of them for each class.

Pictures are decoded once, into bytes of one size, and kept in the user's cache folder
under a hash of their names and contents.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache, partial
from itertools import compress
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from paretune.data.damaged import describe_damaged
from paretune.data.file_kinds import SIGNALS
from paretune.data.images import ImageData, Images, Splitting, assemble, make_images
from paretune.data.kept import Decoded, load_pictures
from paretune.data.listing import LabelledPath, Listing, format_examples, list_files
from paretune.data.look import (
    Look,
    check_sizes,
    describe_colours,
    make_look,
)
from paretune.data.pictures import Resize, read_each
from paretune.data.signal_files import read_signals
from paretune.errors import DataError
from paretune.paths import printable

log = logging.getLogger(__name__)

# Of decoded pictures in the cache: those of another one are read anew.
FORMAT = "3"


def load(  # noqa: PLR0913 - each is a setting
    *,
    path: str,
    name: str = "folder",
    splitting: Splitting,
    test_size: float = 0.15,
    image_size: Sequence[int] | None = None,
    resize: Resize = "stretch",
    channels: int | None = None,
    skip_damaged: bool = False,
) -> ImageData:
    """The pictures below ``path``: a folder for each class, or folders ``train``,
    ``test`` and perhaps ``val`` of such.

    They are scaled to ``image_size``, height and width in pixels; ``None`` takes them
    as they are, all of one size. Pictures of another shape are treated as ``resize``
    says: ``stretch``, ``crop`` (their middle) or ``pad`` (with the colour of their
    border). ``channels`` are 1 (grey) or 3; ``None``: 3 if a pixel of any picture has a
    colour. Classes are named after their folders, in alphabetical
    order. With ``skip_damaged`` files that cannot be read are left out. A folder without
    pictures may hold signals: see :mod:`paretune.data.signal_files`. Raises
    :class:`~paretune.errors.DataError`.
    """
    look = make_look(image_size, channels, skip_damaged=skip_damaged, resize=resize)
    return _load(Path(path), name, splitting, test_size, look)


@lru_cache(maxsize=2)
def _load(
    path: Path, name: str, splitting: Splitting, test_size: float, look: Look
) -> ImageData:
    listing = list_files(path)
    listing.raise_mistakes()
    _tell_files(listing)
    if listing.kind is SIGNALS:
        return _load_signals(listing, name, splitting, test_size, look)
    look.check_for_pictures()
    read = partial(_decode, listing, look)
    decoded = load_pictures(path, listing.paths, repr((look, FORMAT)), read)
    _tell_damaged(listing, decoded.readable)
    _tell_channels(listing, decoded, look)
    images = _group_by_split(listing, decoded)
    data = assemble(name, images, listing.class_names, splitting, test_size)
    return replace(data, fits_by=look.resize)


def _load_signals(
    listing: Listing, name: str, splitting: Splitting, test_size: float, look: Look
) -> ImageData:
    look.refuse_for_signals()
    read = read_signals(listing, skip_damaged=look.skip_damaged)
    images = {split: make_images(part) for split, part in read.parts.items()}
    class_names = listing.class_names
    return assemble(name, images, class_names, splitting, test_size, read.values)


def _group_by_split(listing: Listing, decoded: Decoded) -> dict[str, Images]:
    """The pictures of each split that can be read."""
    groups: dict[str, Images] = {}
    files_before = 0
    images_before = 0
    for split, files in listing.files.items():
        is_readable = decoded.readable[files_before : files_before + len(files)]
        labels = _list_labels(files)[is_readable]
        pixels = decoded.pixels[images_before : images_before + len(labels)]
        groups[split] = Images(pixels, labels)
        files_before += len(files)
        images_before += len(labels)
    return groups


def _list_labels(files: Sequence[LabelledPath]) -> Tensor:
    return torch.tensor([label for _, label in files], dtype=torch.int64)


def _decode(listing: Listing, look: Look) -> Decoded:
    """All pictures of the listing as they should look.

    Raises :class:`~paretune.errors.DataError` for damaged ones, unless they may be
    skipped, and for pictures of several sizes.
    """
    log.info(
        "reading %s pictures of %s",
        f"{len(listing.paths):,}",
        printable(listing.folder),
    )
    arrays = _read_arrays(listing, look)
    sizes = {path: (array.shape[0], array.shape[1]) for path, array in arrays.items()}
    check_sizes(listing, sizes)
    pixels = np.ascontiguousarray(_stack(list(arrays.values())))
    readable = torch.tensor([path in arrays for path in listing.paths])
    return Decoded(torch.from_numpy(pixels), readable)


def _read_arrays(listing: Listing, look: Look) -> dict[Path, NDArray[np.uint8]]:
    """Pixels ``(H, W)`` or ``(H, W, 3)`` of every picture that can be read."""
    arrays, damaged = read_each(look.read, listing.paths, "reading pictures")
    if damaged and not (look.skip_damaged and arrays):
        raise DataError(describe_damaged(listing, damaged))
    return arrays


def _stack(arrays: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Pixels ``(N, C, H, W)``, with 3 channels if any picture has colours."""
    in_colour = any(array.ndim == 3 for array in arrays)
    if not in_colour:
        return np.stack(arrays)[:, None]
    return np.stack([_give_colours(array) for array in arrays])


def _give_colours(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pixels ``(3, H, W)`` of ``(H, W, 3)`` or ``(H, W)``."""
    if array.ndim == 3:
        return array.transpose(2, 0, 1)
    return np.broadcast_to(array, (3, *array.shape))


def _tell_files(listing: Listing) -> None:
    log.info("%s: %s", listing.kind.plural, listing.describe_types())
    if listing.left_out:
        log.info("left out: %s", listing.describe_left_out())


def _tell_damaged(listing: Listing, readable: Tensor) -> None:
    damaged = list(compress(listing.paths, (~readable).tolist()))
    if damaged:
        log.warning(
            "left out, as data.skip_damaged says: %s of %s, %s",
            len(damaged),
            len(readable),
            format_examples([listing.relative(path) for path in damaged]),
        )


def _tell_channels(listing: Listing, decoded: Decoded, look: Look) -> None:
    """Log how many channels the images have, and why."""
    if look.channels:
        return
    if decoded.pixels.shape[1] == 1:
        log.info("1 channel: every picture is grey")
        return
    red, green, blue = decoded.pixels.unbind(1)
    has_colours = ((red != green) | (green != blue)).flatten(1).any(1)
    read = list(compress(listing.paths, decoded.readable.tolist()))
    coloured = compress(read, has_colours.tolist())
    names = [listing.relative(path) for path in coloured]
    log.info("3 channels: %s", describe_colours(names, len(read)))
