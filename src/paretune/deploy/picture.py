"""A picture of any size as the image that a model was trained on."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from paretune.data.idx import read_idx
from paretune.data.pictures import read_picture, readable, scaled
from paretune.errors import DataError
from paretune.paths import printable

INK = 0.25  # a pixel brighter than this share of the brightest


IDX_STARTS = (b"\0\0", b"\x1f\x8b")  # plain, gzipped
Grey = NDArray[np.float32]


@dataclass(frozen=True)
class Placing:
    """What a picture has to become: ``(channels, height, width)``.

    By ``ink``, a picture of another size is cut to what it shows, which then takes ``ink_share`` of the side: MNIST was made
    so. By ``resize`` the whole picture is scaled, as the images of a folder are.
    """

    shape: tuple[int, int, int]
    fits_by: str = "ink"
    ink_share: float = 1.0


@dataclass(frozen=True)
class Placed:
    """An image ``(C, H, W)`` in [0, 1] as the model takes it, and what was done to the picture to make it."""

    name: str
    image: NDArray[np.float32]
    steps: str


def pictures(path: Path) -> Iterator[tuple[str, Image.Image]]:
    """(name, picture) for each picture of an IDX file, or the one of any file that Pillow reads by itself.

    Raises :class:`~paretune.errors.DataError`.
    """
    with readable(path):
        start = path.read_bytes()[:2]
    if start not in IDX_STARTS:
        yield printable(path), read_picture(path)
        return
    images = read_idx(path)
    if images.ndim != 3 or not len(images):
        raise DataError(
            f"picture `{printable(path)}` holds an array {images.shape}; expected images (N, H, W); give a file of images"
        )
    for number, pixels in enumerate(images):
        yield f"{printable(path)}[{number}]", Image.fromarray(pixels)


def placed(name: str, picture: Image.Image, placing: Placing, invert: bool | None = None) -> Placed:
    """The picture as the model's images are.

    A picture that has the right size stays as it is. One placed by its ink is wanted white on black: ``invert`` ``None``
    decides by the border, and where that is bright, the picture is inverted; its centre of mass comes to the middle
    (http://yann.lecun.com/exdb/mnist/).
    """
    channels, height, width = placing.shape
    picture, by_ink = picture.convert("L" if channels == 1 else "RGB"), placing.fits_by == "ink" and channels == 1
    fits, shown = picture.size == (width, height), f"{picture.width}x{picture.height}"
    if not by_ink and not fits:
        picture = scaled(picture, (height, width))
    pixels = np.asarray(picture, np.float32) / np.float32(255)
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    flip = (by_ink and bool(np.median(border) > 0.5)) if invert is None else invert
    steps = ["inverted: its border is bright" if invert is None else "inverted as asked"] if flip else []
    pixels = 1 - pixels if flip else pixels
    if not fits:
        steps.append(f"{shown} {'cut to its ink, scaled and centred' if by_ink else f'scaled to {width}x{height}'}")
        pixels = _centred(pixels, (height, width), placing.ink_share) if by_ink else pixels
    image = pixels[np.newaxis] if channels == 1 else pixels.transpose(2, 0, 1)
    return Placed(name, image.astype(np.float32), "; ".join(steps) or "as it is")


def _centred(white: Grey, size: tuple[int, int], share: float) -> Grey:
    ink = white > white.min() + INK * (white.max() - white.min())
    if not ink.any():
        return np.zeros(size, np.float32)
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    cut = white[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] - white.min()
    factor = min(
        max(1, round(share * min(size))) / max(cut.shape),
        *(side / ink for side, ink in zip(size, cut.shape, strict=True)),
    )
    height, width = (max(1, round(length * factor)) for length in cut.shape)
    small = np.asarray(
        Image.fromarray(cut).resize((width, height), Image.Resampling.BOX if factor < 1 else Image.Resampling.BILINEAR)
    )
    y, x = (round((side - 1) / 2 - _centre(small.sum(axis=1 - axis))) for axis, side in enumerate(size))
    y, x = min(max(y, 0), size[0] - height), min(max(x, 0), size[1] - width)
    image = np.zeros(size, np.float32)
    image[y : y + height, x : x + width] = small
    return np.asarray(image / max(float(image.max()), 1e-6))


def _centre(weights: Grey) -> float:
    return float(np.average(np.arange(len(weights)), weights=weights))
