"""A picture of any size as the image that a model was trained on."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from paretune.data.idx import read_idx
from paretune.errors import DataError

INK = 0.25  # a pixel brighter than this share of the brightest


IDX_STARTS = (b"\0\0", b"\x1f\x8b")  # plain, gzipped
Grey = NDArray[np.float32]


@dataclass(frozen=True)
class Placed:
    """An image ``(side, side)`` in [0, 1], white on black, and what was done to the picture to make it."""

    name: str
    image: Grey
    steps: str


def pictures(path: Path) -> Iterator[tuple[str, Grey]]:
    """(name, grey picture in [0, 1]) for each picture of a PNG, JPEG or IDX file; a transparent ground is white.

    Raises :class:`~paretune.errors.DataError`.
    """
    with _one_line(path):
        start = path.read_bytes()[:2]
    if start in IDX_STARTS:
        images = read_idx(path)
        if images.ndim != 3 or not len(images):
            raise DataError(
                f"picture `{path}` holds an array {images.shape}; expected images (N, H, W); give a file of images"
            )
        for number, pixels in enumerate(images):
            yield f"{path}[{number}]", pixels.astype(np.float32) / np.float32(255)
        return
    with _one_line(path), Image.open(path) as picture:
        upright = ImageOps.exif_transpose(picture).convert("RGBA")
        ground = Image.new("RGBA", upright.size, "white")
        grey = Image.alpha_composite(ground, upright).convert("L")
    yield str(path), np.asarray(grey, np.float32) / np.float32(255)


@contextmanager
def _one_line(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, Image.DecompressionBombError) as error:  # Pillow's own are kinds of these
        message = f"picture `{path}` cannot be read ({error}); expected PNG, JPEG or IDX; give another file"
        raise DataError(message) from error


def placed(name: str, picture: Grey, side: int, share: float, invert: bool | None = None) -> Placed:
    """The picture as ``side`` x ``side`` pixels, white on black.

    ``invert`` ``None`` decides by the border: where it is bright, the picture is dark on bright and is inverted. A picture
    that has the right size stays as it is; any other is cut to its ink, scaled so that its longer side takes ``share`` of the
    image, and put with its centre of mass in the middle, as MNIST was made (http://yann.lecun.com/exdb/mnist/).
    """
    border = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    flip = bool(np.median(border) > 0.5) if invert is None else invert
    steps = ["inverted: its border is bright" if invert is None else "inverted as asked"] if flip else []
    white = 1 - picture if flip else picture
    if picture.shape != (side, side):
        steps.append(f"{picture.shape[1]}x{picture.shape[0]} cut to its ink, scaled and centred")
        white = _centred(white, side, share)
    return Placed(name, white.astype(np.float32), "; ".join(steps) or "as it is")


def _centred(white: Grey, side: int, share: float) -> Grey:
    ink = white > white.min() + INK * (white.max() - white.min())
    if not ink.any():
        return np.zeros((side, side), np.float32)
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    cut = white[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] - white.min()
    factor = max(1, round(share * side)) / max(cut.shape)
    height, width = (max(1, round(length * factor)) for length in cut.shape)
    small = np.asarray(
        Image.fromarray(cut).resize((width, height), Image.Resampling.BOX if factor < 1 else Image.Resampling.BILINEAR)
    )
    y, x = (round((side - 1) / 2 - _centre(small.sum(axis=1 - axis))) for axis in (0, 1))
    y, x = min(max(y, 0), side - height), min(max(x, 0), side - width)
    image = np.zeros((side, side), np.float32)
    image[y : y + height, x : x + width] = small
    return np.asarray(image / max(float(image.max()), 1e-6))


def _centre(weights: Grey) -> float:
    return float(np.average(np.arange(len(weights)), weights=weights))
