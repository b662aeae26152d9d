"""Each kind of picture that is announced is read as it is seen, and no other kind."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from messy import two_classes
from paretune.data import folder
from paretune.data.images import Splitting
from paretune.data.pictures import PICTURE_FORMATS, PictureError, read_picture

SPLITTING = Splitting(val_size=0.2, how="stratified")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def save(path: Path, picture: Image.Image, kind: str) -> Path:
    """Writes a picture of that kind, whatever its name is."""
    # Pillow takes the suffix of a SPIDER file's name for one of SPIDER ever after.
    file = io.BytesIO()
    picture.save(file, kind, **({"lossless": True} if kind == "WEBP" else {}))
    path.write_bytes(file.getvalue())
    return path


@pytest.mark.parametrize("kind", [*PICTURE_FORMATS, "MPO"])
def test_announced_formats_are_read(tmp_path, kind):
    path = save(tmp_path / "a.png", Image.new("L", (6, 4), 90), kind)

    assert np.abs(np.asarray(read_picture(path).convert("L"), int) - 90).max() <= 1


@pytest.mark.parametrize(
    "kind",
    ["EPS", "ICO", "TGA", "PCX", "SGI", "ICNS", "DDS", "JPEG2000", "AVIF", "SPIDER"],
)
def test_other_formats_are_refused_whatever_the_file_is_called(tmp_path, kind):
    mode = "F" if kind == "SPIDER" else "RGBA" if kind == "ICNS" else "RGB"
    path = save(tmp_path / "a.png", Image.new(mode, (16, 16)), kind)

    with pytest.raises(
        PictureError,
        match=r"cannot be read \(its content is of another format\); expected PNG, JPEG",
    ):
        read_picture(path)


def whole_files() -> list[bytes]:
    picture = Image.fromarray(np.arange(300, dtype=np.uint8).reshape(10, 10, 3))
    files = []
    for kind in PICTURE_FORMATS:
        file = io.BytesIO()
        picture.save(file, kind)
        files.append(file.getvalue())
    return files


def damaged(whole: bytes, length: float, bytes_at: dict[float, int]) -> bytes:
    """The beginning of a file, with other bytes at some of its places, from 0 to 1."""
    content = bytearray(whole)
    for place, byte in bytes_at.items():
        content[int(place * (len(whole) - 1))] = byte
    return bytes(content[: int(length * len(whole))])


@given(
    st.sampled_from(whole_files()),
    st.floats(0, 1),
    st.dictionaries(st.floats(0, 1), st.integers(0, 255), max_size=9),
)
def test_a_damaged_file_is_read_or_refused_in_one_line(
    tmp_path_factory, whole, length, bytes_at
):
    path = tmp_path_factory.getbasetemp() / "damaged.png"
    path.write_bytes(damaged(whole, length, bytes_at))
    try:
        said = read_picture(path).mode
    except PictureError as error:
        said = str(error)

    assert said in ("L", "RGB") or (
        said.startswith("picture `") and len(said.splitlines()) == 1
    )


GREY = Image.new("L", (6, 4), 40)
RED = Image.new("RGB", (6, 4), (200, 0, 0))
WAYS_TO_SAVE_GREY = {
    "1.png": GREY.convert("1"),
    "palette.png": GREY.convert("P"),
    "web.png": GREY.convert("RGB").convert("P", palette=Image.Palette.ADAPTIVE),
    "palette.gif": GREY.convert("RGB"),
    "colours.png": GREY.convert("RGB"),
    "alpha.png": GREY.convert("RGBA"),
    "grey_alpha.png": GREY.convert("LA"),
    "film.jpg": GREY.convert("RGB"),
    "print.tif": GREY.convert("CMYK"),
    "16.png": Image.fromarray(np.full((4, 6), 40 * 257, np.uint16)),
    "float.tif": Image.fromarray(np.full((4, 6), 40 / 255, np.float32)),
}


@pytest.mark.parametrize("name", WAYS_TO_SAVE_GREY)
def test_grey_pictures_are_grey_however_they_are_saved(tmp_path, name):
    root = two_classes(tmp_path / "pictures")
    WAYS_TO_SAVE_GREY[name].save(root / "cat" / name)
    data = folder.load(path=str(root), splitting=SPLITTING)

    assert data.train.pixels.shape[1:] == (1, 4, 6)


@pytest.mark.parametrize("mode", ["RGB", "P", "RGBA", "CMYK"])
@pytest.mark.parametrize("image_size", [None, [8, 8]])
def test_one_picture_with_a_colour_makes_all_of_them_coloured_and_is_named(
    tmp_path, caplog, mode, image_size
):
    caplog.set_level("INFO")
    root = two_classes(tmp_path / "pictures")
    RED.convert(mode).save(root / "dog" / "red.tif")
    data = folder.load(path=str(root), splitting=SPLITTING, image_size=image_size)

    assert data.train.pixels.shape[1] == 3
    assert (
        "3 channels: 1 of 13 pictures has colours: `dog/red.tif`; data.channels=1 "
        "makes all grey"
    ) in caplog.text


def test_grey_is_said_too(tmp_path, caplog):
    caplog.set_level("INFO")
    folder.load(path=str(two_classes(tmp_path / "pictures")), splitting=SPLITTING)

    assert "1 channel: every picture is grey" in caplog.text


@pytest.mark.parametrize("top", [0.5, 1.0])
def test_floats_from_0_to_1_are_shades(tmp_path, top):
    Image.fromarray(np.array([[0, top]], np.float32)).save(tmp_path / "a.tif")

    assert np.asarray(read_picture(tmp_path / "a.tif")).tolist() == [
        [0, round(255 * top)]
    ]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (
            np.array([[0, 255]], np.float32),
            r"its floats go from 0 to 255, not from 0 to 1: convert it to 8 or 16 bits",
        ),
        (
            np.array([[-1, 1]], np.float32),
            r"its floats go from -1 to 1, not from 0 to 1",
        ),
        (np.array([[0, np.nan]], np.float32), r"its floats go from nan to nan"),
        (
            np.array([[0, 255]], np.int32),
            r"it holds whole numbers of 32 bits, whose range is not known: convert it",
        ),
    ],
)
def test_numbers_of_an_unknown_range_are_refused(tmp_path, values, reason):
    Image.fromarray(values).save(tmp_path / "a.tif")
    with pytest.raises(PictureError, match=reason):
        read_picture(tmp_path / "a.tif")
