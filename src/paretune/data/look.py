"""What the pictures of a folder are made to be, and what is said of those that cannot
be. Torch is not needed.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from paretune.data.listing import SHOWN, Listing, examples
from paretune.data.pictures import (
    NAMES,
    PictureError,
    Size,
    read_picture,
    scaled,
    without_unused_colours,
)
from paretune.errors import DataError, check_choice, check_least
from paretune.paths import printable


@dataclass(frozen=True)
class Look:
    """What pictures are made to be: ``None`` leaves them as they are."""

    size: Size | None = None
    channels: int | None = None
    skip_damaged: bool = False

    def of(self, path: Path) -> NDArray[np.uint8]:
        """The picture's pixels, ``(H, W)`` if it is or becomes grey, else ``(H, W,
        3)``.

        Raises :class:`~paretune.data.pictures.PictureError`.
        """
        return self.pixels(read_picture(path))

    def pixels(self, picture: Image.Image) -> NDArray[np.uint8]:
        """Those of a picture that is ``L`` or ``RGB``."""
        if self.channels:
            picture = picture.convert("L" if self.channels == 1 else "RGB")
        if self.size:
            picture = scaled(picture, self.size)
        pixels = np.asarray(picture)
        return pixels if self.channels else without_unused_colours(pixels)


def look_of(
    image_size: object, channels: object, *, skip_damaged: bool = False
) -> Look:
    """The look that settings ask for. Raises :class:`~paretune.errors.ConfigError` or
    ``DataError`` for wrong ones.
    """
    check_choice("data.channels", channels, (None, 1, 3))
    check_choice("data.skip_damaged", skip_damaged, (True, False))
    number = channels if isinstance(channels, int) else None
    if image_size is None:
        return Look(None, number, skip_damaged)
    if (
        not isinstance(image_size, Sequence)
        or isinstance(image_size, str)
        or len(image_size) != 2
    ):
        raise DataError(
            f"data.image_size `{image_size}` is invalid; expected [height,width]; set "
            "it so"
        )
    for side in image_size:
        check_least("data.image_size", side, 1)
    return Look((int(image_size[0]), int(image_size[1])), number, skip_damaged)


def damaged_in_words(listing: Listing, damaged: Mapping[Path, PictureError]) -> str:
    """The first pictures that cannot be read, why, and how many there are."""
    total = len(listing.paths)
    shown = [
        f"`{listing.relative(path)}` ({error.reason})"
        for path, error in list(damaged.items())[:SHOWN]
    ]
    more = f" and {len(damaged) - SHOWN:,} more" if len(damaged) > SHOWN else ""
    remedy = "mend or delete them, or set data.skip_damaged=true to leave them out"
    if len(damaged) == total:
        remedy = "check data.path"
    return (
        f"data folder `{printable(listing.folder)}` has {len(damaged):,} of {total:,} "
        "pictures that cannot be read: "
        f"{', '.join(shown)}{more}; expected {NAMES}; {remedy}"
    )


def check_sizes(listing: Listing, sizes: Mapping[Path, Size]) -> None:
    """Raise :class:`~paretune.errors.DataError` for pictures, by their height and
    width, that are not all of one size.
    """
    if text := sizes_in_words(listing, sizes):
        raise DataError(text)


def sizes_in_words(listing: Listing, sizes: Mapping[Path, Size]) -> str:
    """What is wrong with pictures that are not all of one size; nothing if they are."""
    counts = Counter(sizes.values())
    if len(counts) <= 1:
        return ""
    first = {size: path for path, size in reversed(list(sizes.items()))}
    shown = [
        f"{shape(size)} ({count:,}, such as `{listing.relative(first[size])}`)"
        for size, count in counts.most_common(3)
    ]
    more = f" and {len(counts) - 3:,} more" if len(counts) > 3 else ""
    return (
        f"data folder `{printable(listing.folder)}` has pictures of {len(counts)} "
        f"sizes: {', '.join(shown)}{more}; expected one; "
        f"set data.image_size=[height,width] to scale them"
    )


def shape(size: Size) -> str:
    """``[height,width]``, as ``data.image_size`` takes it."""
    return f"[{size[0]},{size[1]}]"


def colours_in_words(coloured: Sequence[str], total: int) -> str:
    """Why the images have 3 channels, by the names of the pictures with colours."""
    if len(coloured) == total:
        return "every picture has colours"
    verb = "has" if len(coloured) == 1 else "have"
    return (
        f"{len(coloured):,} of {total:,} pictures {verb} colours: "
        f"{examples(coloured, 3)}; data.channels=1 makes all grey"
    )
