"""A picture of any size as the image that a model was trained on."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from paretune.data.idx import read_idx
from paretune.data.pictures import (
    FitsBy,
    Resize,
    read_picture,
    refuse_unreadable,
    scale_picture,
    take_border,
)
from paretune.deploy.centring import Grey, centre_ink
from paretune.deploy.placed import Placed
from paretune.errors import DataError
from paretune.paths import printable

IDX_STARTS = (b"\0\0", b"\x1f\x8b")  # plain, gzipped
BRIGHT = 0.5  # a border brighter than this is paper
FITTED: dict[Resize, str] = {
    "stretch": "scaled to",
    "crop": "cropped and scaled to",
    "pad": "scaled and padded to",
}


@dataclass(frozen=True)
class Placing:
    """The image that a picture has to become: ``(channels, height, width)``.

    By ``ink``, a picture of another size is cut to what it shows, which then takes
    ``ink_share`` of the side: MNIST was made so. Else it becomes of this size as the
    images of a folder do (``data.resize``).
    """

    shape: tuple[int, int, int]
    fits_by: FitsBy = "ink"
    ink_share: float = 1.0

    @property
    def is_by_ink(self) -> bool:
        """Whether ink counts: that of pictures in colours does not."""
        return self.fits_by == "ink" and self.shape[0] == 1

    @property
    def resize(self) -> Resize:
        """What becomes of the shape of a picture where ink does not count."""
        ways: dict[FitsBy, Resize] = {"crop": "crop", "pad": "pad"}
        return ways.get(self.fits_by, "stretch")


def read_pictures(path: Path) -> Iterator[tuple[str, Image.Image]]:
    """(name, picture) for each picture of an IDX file, or the one of any file that
    Pillow reads by itself.

    Raises :class:`~paretune.errors.DataError`.
    """
    with refuse_unreadable(path):
        start = path.read_bytes()[:2]
    if start not in IDX_STARTS:
        yield printable(path), read_picture(path)
        return
    images = read_idx(path)
    if images.ndim != 3 or not len(images):
        raise DataError(
            f"picture `{printable(path)}` holds an array {images.shape}, not images "
            "(N, H, W); give a file of images"
        )
    for number, pixels in enumerate(images):
        yield f"{printable(path)}[{number}]", Image.fromarray(pixels)


def place(
    name: str, picture: Image.Image, placing: Placing, invert: bool | None = None
) -> Placed:
    """The picture as the model's images are.

    A picture that has the right size stays as it is. One placed by its ink is wanted
    white on black: ``invert`` ``None`` decides by the border, and where that is bright,
    the picture is inverted; its centre of mass comes to the middle
    (http://yann.lecun.com/exdb/mnist/).
    """
    channels, height, width = placing.shape
    is_grey = channels == 1
    is_by_ink = placing.is_by_ink
    picture = picture.convert("L" if is_grey else "RGB")
    fits = picture.size == (width, height)
    size = f"{picture.width}x{picture.height}"
    steps = []
    if not fits and not is_by_ink:
        picture = scale_picture(picture, (height, width), placing.resize)
    pixels = np.asarray(picture, np.float32) / np.float32(255)
    inversion = _find_inversion(pixels, invert, is_by_ink)
    if inversion:
        pixels = 1 - pixels
        steps.append(inversion)
    if not fits and is_by_ink:
        pixels = centre_ink(pixels, (height, width), placing.ink_share)
        steps.append(f"{size} cut to its ink, scaled and centred")
    elif not fits:
        steps.append(f"{size} {FITTED[placing.resize]} {width}x{height}")
    image = pixels[np.newaxis] if is_grey else pixels.transpose(2, 0, 1)
    return Placed(name, image.astype(np.float32), "; ".join(steps) or "as it is")


def _find_inversion(pixels: Grey, invert: bool | None, is_by_ink: bool) -> str:
    """Why a picture is inverted, in words; empty for one that is not."""
    if invert:
        return "inverted as asked"
    if invert is None and is_by_ink and _has_bright_border(pixels):
        return "inverted: its border is bright"
    return ""


def _has_bright_border(pixels: Grey) -> bool:
    return bool(np.median(take_border(pixels)) > BRIGHT)
