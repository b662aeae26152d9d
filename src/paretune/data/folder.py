"""Your own pictures: a folder that holds a folder of PNG or JPEG files for each class.

They are decoded once, into bytes of one size, and kept in the user's cache folder under a hash of their names and contents.
"""

import logging
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from rich.progress import track
from torch import Tensor

from paretune.data.images import ImageData, Images, Splitting, assembled, check_classes
from paretune.data.kept import kept_pixels
from paretune.errors import DataError, check_choice, check_least

log = logging.getLogger(__name__)

SUFFIXES = {".png", ".jpg", ".jpeg"}
SPLITS = {"train": ("train", "training"), "val": ("val", "valid", "validation"), "test": ("test", "testing")}
FORMAT = "2"  # of what is kept: another one is read anew
Size = tuple[int, int]  # height, width


def load(
    *,
    path: str,
    name: str = "folder",
    splitting: Splitting,
    test_size: float = 0.15,
    image_size: Sequence[int] | None = None,
    channels: int | None = None,
) -> ImageData:
    """The pictures below ``path``: a folder for each class, or folders ``train``, ``test`` and perhaps ``val`` of such.

    They are scaled to ``image_size``, height and width in pixels; ``None`` takes them as they are, all of one size.
    ``channels`` are 1 (grey) or 3; ``None``: 3 if any picture has colours. Classes are named after their folders, in
    alphabetical order. Raises :class:`~paretune.errors.DataError`.
    """
    check_choice("data.channels", channels, (None, 1, 3))
    if image_size is not None:
        if isinstance(image_size, (int, float, str)) or len(image_size) != 2:
            raise DataError(f"data.image_size `{image_size}` is invalid; expected [height,width]; set it so")
        for side in image_size:
            check_least("data.image_size", side, 1)
    look = Look((int(image_size[0]), int(image_size[1])) if image_size else None, channels)
    return _load(Path(path), name, splitting, test_size, look)


@dataclass(frozen=True)
class Look:
    """What pictures are made to be."""

    size: Size | None
    channels: int | None

    def of(self, path: Path) -> NDArray[np.uint8]:
        """The picture's pixels, ``(H, W)`` if it is grey, else ``(H, W, 3)``."""
        picture = read_picture(path)
        if self.channels:
            picture = picture.convert("L" if self.channels == 1 else "RGB")
        return np.asarray(scaled(picture, self.size) if self.size else picture)


def scaled(picture: Image.Image, size: Size) -> Image.Image:
    """The whole picture in another size; pixels are averaged where it becomes smaller."""
    return picture if picture.size[::-1] == size else picture.resize(size[::-1], Image.Resampling.BILINEAR)


def read_picture(path: Path) -> Image.Image:
    """A PNG or JPEG file, upright, grey (``L``) or in colours (``RGB``); a transparent ground is white.

    Raises :class:`~paretune.errors.DataError`.
    """
    with readable(path), Image.open(path) as picture:
        upright = ImageOps.exif_transpose(picture)
        if upright.mode.startswith("I;16"):
            return Image.fromarray((np.asarray(upright) // 257).astype(np.uint8))
        is_grey = upright.mode in ("1", "L", "LA")
        if upright.mode in ("1", "L", "RGB") and "transparency" not in upright.info:
            return upright.convert("L" if is_grey else "RGB")
        seen = upright.convert("RGBA")
        ground = Image.new("RGBA", seen.size, "white")
        return Image.alpha_composite(ground, seen).convert("L" if is_grey else "RGB")


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turns whatever Pillow and the file system raise into one line."""
    try:
        yield
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        message = f"picture `{path}` cannot be read ({error}); expected PNG, JPEG or IDX; give another file"
        raise DataError(message) from error


@lru_cache(maxsize=2)
def _load(path: Path, name: str, splitting: Splitting, test_size: float, look: Look) -> ImageData:
    if not path.is_dir():
        raise DataError(f"data folder `{path}` is not there; expected a folder of class folders; set data.path")
    folders = _split_folders(path)
    class_names = [folder.name for folder in _subfolders(folders["train"])]
    check_classes(str(path), class_names)
    files = {split: _files(folder, class_names) for split, folder in folders.items()}
    listed = [file for part in files.values() for file, _ in part]
    pixels = kept_pixels(path, listed, repr((look, FORMAT)), partial(_decoded, path, listed, look))
    parts = {}
    for split, part in files.items():
        labels = torch.tensor([label for _, label in part], dtype=torch.int64)
        parts[split], pixels = Images(pixels[: len(part)], labels), pixels[len(part) :]
    return assembled(name, parts, class_names, splitting, test_size)


def _split_folders(path: Path) -> dict[str, Path]:
    """The folder of each split, or, where none of the folders in ``path`` is for training, that of all images."""
    named = {folder.name.lower(): folder for folder in _subfolders(path)}
    found = {split: named[name] for split, names in SPLITS.items() for name in names if name in named}
    return found if "train" in found and _subfolders(found["train"]) else {"train": path}


def _subfolders(path: Path) -> list[Path]:
    return sorted(folder for folder in path.iterdir() if folder.is_dir() and not folder.name.startswith("."))


def _files(folder: Path, class_names: Sequence[str]) -> list[tuple[Path, int]]:
    """Every picture below the folder and the number of its class."""
    if strangers := {subfolder.name for subfolder in _subfolders(folder)} - set(class_names):
        raise DataError(
            f"data folder `{folder / min(strangers)}` is no class of the training images; expected {', '.join(class_names)}; "
            f"rename it or leave it out"
        )
    files: list[tuple[Path, int]] = []
    for label, name in enumerate(class_names):
        pictures = [path for path in sorted((folder / name).rglob("*")) if path.suffix.lower() in SUFFIXES]
        if not pictures:
            raise DataError(
                f"data folder `{folder / name}` has no picture; expected PNG or JPEG files; add some or leave the class out"
            )
        files += [(path, label) for path in pictures]
    return files


def _decoded(folder: Path, files: Sequence[Path], look: Look) -> Tensor:
    log.info("reading %s pictures of %s", f"{len(files):,}", folder)
    with ThreadPoolExecutor() as pool:
        decoded = pool.map(look.of, files)
        watched = track(decoded, "reading pictures", len(files), transient=True, disable=not sys.stderr.isatty())
        arrays = list(watched)
    sizes = {array.shape[:2]: path for array, path in zip(reversed(arrays), reversed(files), strict=True)}
    if len(sizes) > 1:
        (first, path), (second, other) = sorted(sizes.items())[:2]
        raise DataError(
            f"data folder `{folder}` has pictures of {len(sizes)} sizes, such as {_shown(first)} (`{path}`) and "
            f"{_shown(second)} (`{other}`); expected one; set data.image_size=[height,width] to scale them"
        )
    in_colour = any(array.ndim == 3 for array in arrays)
    pixels = np.stack([_coloured(array) if in_colour else array[None] for array in arrays])
    return torch.from_numpy(np.ascontiguousarray(pixels))


def _coloured(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return array.transpose(2, 0, 1) if array.ndim == 3 else np.broadcast_to(array, (3, *array.shape))


def _shown(size: tuple[int, ...]) -> str:
    return f"[{size[0]},{size[1]}]"
