"""Pictures in folders as people have them."""

from pathlib import Path

from PIL import Image

KINDS = {
    ".bmp": "BMP",
    ".gif": "GIF",
    ".jpg": "JPEG",
    ".pgm": "PPM",
    ".tif": "TIFF",
    ".webp": "WEBP",
}


def paint(path: Path, shade: int = 7, size: tuple[int, int] = (6, 4)) -> Path:
    """A grey picture, without loss for all types but JPEG, its folders made too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = KINDS.get(path.suffix.lower(), "PNG")
    options = {"lossless": True} if kind == "WEBP" else {}
    with path.open("wb") as file:
        Image.new("L", size, shade).save(file, kind, **options)
    return path


def two_classes(folder: Path, each: int = 6) -> Path:
    """So many pictures of two classes, of the shades 100, 101, ..."""
    for number in range(2 * each):
        paint(folder / ("cat", "dog")[number % 2] / f"{number:03d}.png", 100 + number)
    return folder
