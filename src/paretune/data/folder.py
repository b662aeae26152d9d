"""Your own pictures: a folder that holds a folder of pictures for each class.

They are decoded once, into bytes of one size, and kept in the user's cache folder under
a hash of their names and contents.
"""

import logging
from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from paretune.data.images import ImageData, Images, Splitting, assembled
from paretune.data.kept import Decoded, kept_pictures
from paretune.data.listing import Listing, examples, list_pictures
from paretune.data.look import (
    Look,
    check_sizes,
    colours_in_words,
    damaged_in_words,
    look_of,
)
from paretune.data.pictures import PictureError, read_each
from paretune.errors import DataError
from paretune.paths import printable

log = logging.getLogger(__name__)

FORMAT = "3"  # of what is kept: another one is read anew


def load(  # noqa: PLR0913 - each is a setting
    *,
    path: str,
    name: str = "folder",
    splitting: Splitting,
    test_size: float = 0.15,
    image_size: Sequence[int] | None = None,
    channels: int | None = None,
    skip_damaged: bool = False,
) -> ImageData:
    """The pictures below ``path``: a folder for each class, or folders ``train``,
    ``test`` and perhaps ``val`` of such.

    They are scaled to ``image_size``, height and width in pixels; ``None`` takes them
    as they are, all of one size. ``channels`` are 1 (grey) or 3; ``None``: 3 if a pixel
    of any picture has a colour. Classes are named after their folders, in alphabetical
    order. With ``skip_damaged`` pictures that cannot be read are left out. Raises
    :class:`~paretune.errors.DataError`.
    """
    look = look_of(image_size, channels, skip_damaged=skip_damaged)
    return _load(Path(path), name, splitting, test_size, look)


@lru_cache(maxsize=2)
def _load(
    path: Path, name: str, splitting: Splitting, test_size: float, look: Look
) -> ImageData:
    listing = list_pictures(path)
    listing.require()
    _tell_files(listing)
    decoded = kept_pictures(
        path, listing.paths, repr((look, FORMAT)), partial(_decoded, listing, look)
    )
    pixels, readable = decoded.pixels, decoded.readable
    _tell_damaged(listing, readable)
    _tell_channels(listing, pixels, readable, look)
    parts, start, first = {}, 0, 0
    for split, files in listing.files.items():
        is_read = readable[start : start + len(files)]
        labels = torch.tensor([label for _, label in files], dtype=torch.int64)[is_read]
        parts[split] = Images(pixels[first : first + len(labels)], labels)
        start += len(files)
        first += len(labels)
    return assembled(name, parts, listing.class_names, splitting, test_size)


def _decoded(listing: Listing, look: Look) -> Decoded:
    log.info(
        "reading %s pictures of %s",
        f"{len(listing.paths):,}",
        printable(listing.folder),
    )
    results = read_each(look.of, listing.paths, "reading pictures")
    damaged = {
        path: result
        for path, result in zip(listing.paths, results, strict=True)
        if isinstance(result, PictureError)
    }
    if damaged and (not look.skip_damaged or len(damaged) == len(results)):
        raise DataError(damaged_in_words(listing, damaged))
    arrays = {
        path: result
        for path, result in zip(listing.paths, results, strict=True)
        if not isinstance(result, PictureError)
    }
    check_sizes(
        listing,
        {path: (array.shape[0], array.shape[1]) for path, array in arrays.items()},
    )
    in_colour = any(array.ndim == 3 for array in arrays.values())
    pixels = np.stack(
        [_coloured(array) if in_colour else array[None] for array in arrays.values()]
    )
    readable = torch.tensor([path in arrays for path in listing.paths])
    return Decoded(torch.from_numpy(np.ascontiguousarray(pixels)), readable)


def _coloured(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return (
        array.transpose(2, 0, 1)
        if array.ndim == 3
        else np.broadcast_to(array, (3, *array.shape))
    )


def _tell_files(listing: Listing) -> None:
    log.info("pictures: %s", listing.types())
    if listing.left_out:
        log.info("left out: %s", listing.left_out_in_words())


def _tell_damaged(listing: Listing, readable: Tensor) -> None:
    damaged = [
        path
        for path, is_read in zip(listing.paths, readable.tolist(), strict=True)
        if not is_read
    ]
    if damaged:
        names = examples([listing.relative(path) for path in damaged])
        log.warning(
            "left out, as data.skip_damaged says: %s of %s, %s",
            len(damaged),
            len(readable),
            names,
        )


def _tell_channels(
    listing: Listing, pixels: Tensor, readable: Tensor, look: Look
) -> None:
    """Says how many channels the images have, and why."""
    if look.channels:
        return
    if pixels.shape[1] == 1:
        log.info("1 channel: every picture is grey")
        return
    red, green, blue = pixels.unbind(1)
    has_colours = ((red != green) | (green != blue)).flatten(1).any(1)
    read = [
        path
        for path, is_read in zip(listing.paths, readable.tolist(), strict=True)
        if is_read
    ]
    coloured = [
        listing.relative(path)
        for path, has in zip(read, has_colours.tolist(), strict=True)
        if has
    ]
    log.info("3 channels: %s", colours_in_words(coloured, len(read)))
