"""How the pictures of a folder should look, and the messages for those that cannot.
Torch is not needed.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from paretune.data.listing import Listing, format_examples
from paretune.data.pictures import (
    RESIZES,
    Resize,
    Size,
    drop_unused_colours,
    read_picture,
    scale_picture,
)
from paretune.errors import ConfigError, DataError, check_choice, check_least
from paretune.paths import printable

# In a message.
MOST_SIZES = 3


@dataclass(frozen=True)
class Look:
    """Size and channels that pictures are given: ``None`` leaves them as they are.
    ``resize`` is how those of another shape become of this size.
    """

    size: Size | None = None
    channels: int | None = None
    skip_damaged: bool = False
    resize: Resize = "stretch"

    def refuse_for_signals(self) -> None:
        """Raise :class:`~paretune.errors.ConfigError` for settings that signals cannot
        have.
        """
        if self.size or self.channels or self.resize != "stretch":
            raise ConfigError(
                "data.image_size, data.resize and data.channels are of pictures, and the "
                "folder holds signals; leave them out"
            )

    def check_for_pictures(self) -> None:
        """Raise :class:`~paretune.errors.ConfigError` for a way to resize without a
        size.
        """
        if self.size is None and self.resize != "stretch":
            raise ConfigError(
                f"data.resize `{self.resize}` has no size to bring pictures to; set "
                "data.image_size=[height,width]"
            )

    def read(self, path: Path) -> NDArray[np.uint8]:
        """The picture's pixels, ``(H, W)`` if it is or becomes grey, else ``(H, W,
        3)``.

        Raises :class:`~paretune.data.pictures.PictureError`.
        """
        return self.apply(read_picture(path))

    def apply(self, picture: Image.Image) -> NDArray[np.uint8]:
        """The pixels, as for :meth:`read`, of a picture that is ``L`` or ``RGB``."""
        if self.channels:
            picture = picture.convert("L" if self.channels == 1 else "RGB")
        if self.size:
            picture = scale_picture(picture, self.size, self.resize)
        pixels = np.asarray(picture)
        if self.channels:
            return pixels
        return drop_unused_colours(pixels)


def make_look(
    image_size: object,
    channels: object,
    *,
    skip_damaged: bool = False,
    resize: Resize = "stretch",
) -> Look:
    """The look that settings ask for. Raises :class:`~paretune.errors.ConfigError` or
    ``DataError`` for wrong ones.
    """
    check_choice("data.channels", channels, (None, 1, 3))
    check_choice("data.skip_damaged", skip_damaged, (True, False))
    check_choice("data.resize", resize, RESIZES)
    number = channels if isinstance(channels, int) else None
    size = None if image_size is None else _read_size(image_size)
    return Look(size, number, skip_damaged, resize)


def _read_size(image_size: object) -> Size:
    sides = list(image_size) if isinstance(image_size, Sequence) else []
    if isinstance(image_size, str) or len(sides) != 2:
        raise DataError(
            f"data.image_size `{image_size}` is invalid; expected [height,width]; set "
            "it so"
        )
    for side in sides:
        check_least("data.image_size", side, 1)
    height, width = sides
    return int(height), int(width)


def check_sizes(listing: Listing, sizes: Mapping[Path, Size]) -> None:
    """Raise :class:`~paretune.errors.DataError` for pictures, by their height and
    width, that are not all of one size.
    """
    if text := describe_sizes(listing, sizes):
        raise DataError(text)


def describe_sizes(listing: Listing, sizes: Mapping[Path, Size]) -> str:
    """The mistake of pictures that are not all of one size; nothing if they are."""
    counts = Counter(sizes.values())
    if len(counts) <= 1:
        return ""
    first: dict[Size, Path] = {}
    for path, size in sizes.items():
        first.setdefault(size, path)
    examples = [
        f"{format_size(size)} ({count:,}, such as `{listing.relative(first[size])}`)"
        for size, count in counts.most_common(MOST_SIZES)
    ]
    text = ", ".join(examples)
    if len(counts) > MOST_SIZES:
        text += f" and {len(counts) - MOST_SIZES:,} more"
    return (
        f"data folder `{printable(listing.folder)}` has pictures of {len(counts)} "
        f"sizes: {text}; set data.image_size=[height,width] to scale "
        "them, and data.resize=crop or pad to keep their proportions"
    )


def format_size(size: Size) -> str:
    """``[height,width]``, as ``data.image_size`` takes it."""
    height, width = size
    return f"[{height},{width}]"


def describe_colours(coloured: Sequence[str], total: int) -> str:
    """Why the images have 3 channels, by the names of the pictures with colours."""
    if len(coloured) == total:
        return "every picture has colours"
    verb = "has" if len(coloured) == 1 else "have"
    return (
        f"{len(coloured):,} of {total:,} pictures {verb} colours: "
        f"{format_examples(coloured, 3)}; data.channels=1 makes all grey"
    )
