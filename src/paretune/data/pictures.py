"""Pictures of any kind that Pillow reads by itself, upright, in 8 bits, grey or in
colours. Torch is not needed.
"""

import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from rich.progress import track

from paretune.data.unreadable import UnreadableError
from paretune.errors import first_line
from paretune.paths import printable

# What Pillow decodes by itself; an EPS file, for one, would start Ghostscript.
PICTURE_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "PPM", "TIFF", "WEBP")
FORMAT_NAMES = "PNG, JPEG, BMP, GIF, PPM, TIFF or WebP"

SUFFIXES = {
    ".png",
    ".apng",
    ".jpg",
    ".jpeg",
    ".jpe",
    ".jfif",
    ".bmp",
    ".gif",
    ".ppm",
    ".pgm",
    ".pbm",
    ".pnm",
    ".tif",
    ".tiff",
    ".webp",
}
# Height and width in pixels.
Size = tuple[int, int]
# What becomes of a picture of another shape: its sides are stretched, its middle is cut
# out, or it is put on a ground of the colour of its border.
Resize = Literal["stretch", "crop", "pad"]
RESIZES: tuple[Resize, ...] = get_args(Resize)
# How a picture of any size becomes an image of a data set: one of those ways, or cut to
# its ink and centred. Of signals no picture does.
FitsBy = Literal["ink", "stretch", "crop", "pad", "signal"]
Result = TypeVar("Result")


class PictureError(UnreadableError):
    """A picture cannot be read; ``reason`` says why, in a few words."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"picture `{printable(path)}` cannot be read ({reason}); expected "
            f"{FORMAT_NAMES}, or an IDX file; give another"
        )
        self.reason = reason


def read_picture(path: Path) -> Image.Image:
    """A picture, upright, grey (``L``) or in colours (``RGB``); a transparent ground is
    white. Of several, the first.

    Raises :class:`PictureError`.
    """
    with open_picture(path) as picture:
        return convert_picture(picture)


@contextmanager
def open_picture(path: Path) -> Iterator[Image.Image]:
    """The file as Pillow opens it, its pixels not yet decoded. Raises
    :class:`PictureError`, also for what fails inside.
    """
    with refuse_unreadable(path), Image.open(path, formats=PICTURE_FORMATS) as picture:
        yield picture


@contextmanager
def refuse_unreadable(path: Path) -> Iterator[None]:
    """Turns whatever Pillow and the file system raise into one line: a damaged file may
    lead to any error.
    """
    try:
        yield
    except PictureError:
        raise
    except Exception as error:
        raise PictureError(path, _explain(path, error)) from error


def convert_picture(picture: Image.Image) -> Image.Image:
    """An opened picture, upright, ``L`` or ``RGB``, on white. Raises ``ValueError`` if
    its numbers have no known range.
    """
    has_16_bits = _has_16_bits(picture)
    upright = ImageOps.exif_transpose(picture)
    if has_16_bits:
        return Image.fromarray((np.asarray(upright) // 257).astype(np.uint8))
    if upright.mode == "I":
        raise ValueError(
            "it holds whole numbers of 32 bits, whose range is not known: convert it "
            "to 8 or 16 bits"
        )
    if upright.mode == "F":
        return _convert_floats(np.asarray(upright))
    return _put_on_white(upright)


def _has_16_bits(picture: Image.Image) -> bool:
    if picture.mode.startswith("I;16"):
        return True
    return picture.mode == "I" and picture.format in ("PNG", "PPM")


def _put_on_white(picture: Image.Image) -> Image.Image:
    """The picture, ``L`` or ``RGB``, without transparency."""
    mode = "L" if picture.mode in ("1", "L", "LA") else "RGB"
    is_plain = picture.mode in ("1", "L", "RGB")
    if is_plain and "transparency" not in picture.info:
        return picture.convert(mode)
    transparent = picture.convert("RGBA")
    ground = Image.new("RGBA", transparent.size, "white")
    return Image.alpha_composite(ground, transparent).convert(mode)


def scale_picture(
    picture: Image.Image, size: Size, resize: Resize = "stretch"
) -> Image.Image:
    """The picture in another size; pixels are averaged where it becomes smaller.

    One of another shape is treated as ``resize`` says: ``stretch`` and ``pad`` keep all
    of it, ``crop`` and ``pad`` its proportions.
    """
    height, width = size
    if picture.size == (width, height):
        return picture
    bilinear = Image.Resampling.BILINEAR
    if resize == "crop":
        return ImageOps.fit(picture, (width, height), bilinear)
    if resize == "pad":
        return _pad(picture, size)
    return picture.resize((width, height), bilinear)


def _pad(picture: Image.Image, size: Size) -> Image.Image:
    """The whole picture in the middle of a ground of this size. A side of a long one has
    a pixel at least; Pillow's own ``pad`` leaves none.
    """
    height, width = size
    factor = min(height / picture.height, width / picture.width)
    inner_size = scale_size((picture.height, picture.width), factor)
    inner = scale_picture(picture, inner_size)
    padded = Image.new(picture.mode, (width, height), find_border_colour(picture))
    left = (width - inner.width) // 2
    top = (height - inner.height) // 2
    padded.paste(inner, (left, top))
    return padded


def scale_size(size: Size, factor: float) -> Size:
    """The size by this factor, a pixel at least on each side."""
    height, width = size
    return max(1, round(height * factor)), max(1, round(width * factor))


def find_border_colour(picture: Image.Image) -> int | tuple[int, ...]:
    """The median of the border, for each of the channels."""
    pixels = np.asarray(picture)
    median = np.median(take_border(pixels), axis=0)
    if pixels.ndim == 2:
        return int(median)
    return tuple(int(channel) for channel in median)


def take_border(pixels: NDArray[Any]) -> NDArray[Any]:
    """The outermost pixels ``(N,)`` of ``(H, W)``, or ``(N, 3)`` of ``(H, W, 3)``."""
    rows = (pixels[0], pixels[-1])
    columns = (pixels[:, 0], pixels[:, -1])
    return np.concatenate([*rows, *columns])


def drop_unused_colours(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pixels ``(H, W)`` of a picture ``(H, W, 3)`` in which every pixel is grey; any
    other as it is.
    """
    if pixels.ndim == 2:
        return pixels
    red, green, blue = np.moveaxis(pixels, 2, 0)
    is_grey = np.array_equal(red, green) and np.array_equal(green, blue)
    return red if is_grey else pixels


def _convert_floats(values: NDArray[np.float32]) -> Image.Image:
    lowest, highest = float(values.min()), float(values.max())
    if not 0 <= lowest <= highest <= 1:
        raise ValueError(
            f"its floats go from {lowest:g} to {highest:g}, not from 0 to 1: convert "
            "it to 8 or 16 bits"
        )
    return Image.fromarray(np.rint(values * 255).astype(np.uint8))


def _explain(path: Path, error: Exception) -> str:
    """Why a picture cannot be read, in a few words."""
    if isinstance(error, UnidentifiedImageError):
        is_empty = path.is_file() and path.stat().st_size == 0
        return "it is empty" if is_empty else "its content is of another format"
    if isinstance(error, Image.DecompressionBombError):
        return f"it has over {2 * (Image.MAX_IMAGE_PIXELS or 0):,} pixels"
    if isinstance(error, MemoryError):
        return "it does not fit into memory"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return printable(first_line(error))


def read_each(
    read: Callable[[Path], Result], paths: Sequence[Path], doing: str
) -> tuple[dict[Path, Result], dict[Path, UnreadableError]]:
    """The result of ``read`` for every file that it can read, in their order, and why
    others cannot be read; ``doing`` is shown meanwhile.
    """

    def attempt(path: Path) -> Result | UnreadableError:
        try:
            return read(path)
        except UnreadableError as error:
            return error

    read_ones: dict[Path, Result] = {}
    unreadable: dict[Path, UnreadableError] = {}
    with warnings.catch_warnings(), ThreadPoolExecutor() as pool:
        # What matters fails; the rest would be said for every picture.
        warnings.filterwarnings("ignore", module="PIL")
        results = track(
            pool.map(attempt, paths),
            doing,
            len(paths),
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        for path, result in zip(paths, results, strict=True):
            if isinstance(result, UnreadableError):
                unreadable[path] = result
            else:
                read_ones[path] = result
    return read_ones, unreadable
