"""A picture of any size as the image that a model was trained on."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from paretune.data.idx import read_idx
from paretune.data.pictures import read_picture, refuse_unreadable, scale_picture
from paretune.deploy.ink import INK
from paretune.errors import DataError
from paretune.paths import printable

IDX_STARTS = (b"\0\0", b"\x1f\x8b")  # plain, gzipped
BRIGHT = 0.5  # a border brighter than this is paper
Grey = NDArray[np.float32]


@dataclass(frozen=True)
class Placing:
    """What a picture has to become: ``(channels, height, width)``.

    By ``ink``, a picture of another size is cut to what it shows, which then takes
    ``ink_share`` of the side: MNIST was made so. By ``resize`` the whole picture is
    scaled, as the images of a folder are.
    """

    shape: tuple[int, int, int]
    fits_by: str = "ink"
    ink_share: float = 1.0


@dataclass(frozen=True)
class Placed:
    """An image ``(C, H, W)`` in [0, 1] as the model takes it, and what was done to the
    picture to make it.
    """

    name: str
    image: NDArray[np.float32]
    steps: str


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
            f"picture `{printable(path)}` holds an array {images.shape}; "
            f"expected images (N, H, W); give a file of images"
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
    is_by_ink = is_grey and placing.fits_by == "ink"
    picture = picture.convert("L" if is_grey else "RGB")
    fits = picture.size == (width, height)
    size = f"{picture.width}x{picture.height}"
    steps = []
    if not fits and not is_by_ink:
        picture = scale_picture(picture, (height, width))
    pixels = np.asarray(picture, np.float32) / np.float32(255)
    if invert or (invert is None and is_by_ink and _has_bright_border(pixels)):
        pixels = 1 - pixels
        steps.append(
            "inverted as asked" if invert else "inverted: its border is bright"
        )
    if not fits and is_by_ink:
        pixels = _centre_ink(pixels, (height, width), placing.ink_share)
        steps.append(f"{size} cut to its ink, scaled and centred")
    elif not fits:
        steps.append(f"{size} scaled to {width}x{height}")
    image = pixels[np.newaxis] if is_grey else pixels.transpose(2, 0, 1)
    return Placed(name, image.astype(np.float32), "; ".join(steps) or "as it is")


def _has_bright_border(pixels: Grey) -> bool:
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    return bool(np.median(border) > BRIGHT)


def _centre_ink(white: Grey, size: tuple[int, int], share: float) -> Grey:
    """An image of ``size`` whose ink takes ``share`` of its shorter side, with the
    centre of mass in the middle.
    """
    cut = _cut_to_ink(white)
    if not cut.size:
        return np.zeros(size, np.float32)
    small = _scale_ink(cut, size, share)
    top = _find_start(small.sum(axis=1), size[0])
    left = _find_start(small.sum(axis=0), size[1])
    height, width = small.shape
    image = np.zeros(size, np.float32)
    image[top : top + height, left : left + width] = small
    brightest = max(float(image.max()), 1e-6)
    return np.asarray(image / brightest)


def _cut_to_ink(white: Grey) -> Grey:
    """The box round the ink, darker by the ground; empty without any ink."""
    ground = white.min()
    ink = white > ground + INK * (white.max() - ground)
    if not ink.any():
        return np.zeros((0, 0), np.float32)
    rows = np.flatnonzero(ink.any(axis=1))
    columns = np.flatnonzero(ink.any(axis=0))
    box = white[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return np.asarray(box - ground)


def _scale_ink(cut: Grey, size: tuple[int, int], share: float) -> Grey:
    """The ink so large that its longer side takes ``share`` of the image's shorter one,
    or so that it fits in.
    """
    wanted = max(1, round(share * min(size)))
    rows, columns = cut.shape
    factor = min(wanted / max(cut.shape), size[0] / rows, size[1] / columns)
    height = max(1, round(rows * factor))
    width = max(1, round(columns * factor))
    resampling = Image.Resampling.BOX if factor < 1 else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(cut).resize((width, height), resampling))


def _find_start(weights: Grey, side: int) -> int:
    """Where ink with these ``weights`` starts on a side of the image, so that their
    centre is in the middle.
    """
    centre = float(np.average(np.arange(len(weights)), weights=weights))
    start = round((side - 1) / 2 - centre)
    return min(max(start, 0), side - len(weights))
