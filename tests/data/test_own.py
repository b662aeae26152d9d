"""Pictures and arrays of one's own: what is read, drawn and refused."""

import logging
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from contracts.dataset import DatasetContract
from paretune.data import fit_to_data, folder, kept, load, npz
from paretune.data.images import Splitting
from paretune.data.look import make_look
from paretune.data.pictures import RESIZES, read_picture, scale_picture
from paretune.errors import ConfigError, DataError

DRAWN = Splitting(val_size=4, how="stratified")
CLASSES = ("cat", "dog")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def paint(
    path: Path, size: tuple[int, int] = (6, 4), mode: str = "RGB", shade: int = 7
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, shade if mode == "L" else (shade, 0, 0)).save(path)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Twenty pictures of 6x4, each of another shade, in a folder for each of two
    classes.
    """
    for i in range(20):
        paint(tmp_path / "pictures" / CLASSES[i % 2] / f"{i:02d}.png", shade=i)
    return tmp_path / "pictures"


@pytest.fixture
def arrays(tmp_path: Path) -> Path:
    """The same as arrays."""
    shades = np.arange(20, dtype=np.uint8)
    path = tmp_path / "own.npz"
    np.savez(
        path,
        x_train=np.tile(shades[:, None, None, None], (1, 4, 6, 3)),
        y_train=np.array(CLASSES * 10),
    )
    return path


def even(splitting: Splitting) -> Splitting:
    """The same, drawn: the last pictures of a folder are all of one class."""
    return replace(splitting, how="stratified")


class TestFolder(DatasetContract):
    @pytest.fixture
    def make(self, pictures):
        return lambda splitting: folder.load(
            path=str(pictures), splitting=even(splitting), test_size=4
        )


class TestNpz(DatasetContract):
    @pytest.fixture
    def make(self, arrays):
        return lambda splitting: npz.load(
            path=str(arrays), splitting=splitting, test_size=4
        )


def test_class_folders_name_the_classes_and_each_split_has_its_share(pictures):
    data = folder.load(path=str(pictures), splitting=DRAWN, test_size=0.2)

    assert data.class_names == CLASSES
    assert data.train.pixels.shape[1:] == (3, 4, 6)
    assert [
        torch.bincount(part.labels).tolist()
        for part in (data.train, data.val, data.load_test())
    ] == [[6, 6], [2, 2], [2, 2]]
    assert sorted(
        torch.cat([data.train.pixels, data.val.pixels, data.load_test().pixels])[
            :, 0, 0, 0
        ].tolist()
    ) == [*range(20)]


def test_the_test_images_stay_whatever_is_drawn_to_validate(pictures):
    drawn = [
        folder.load(
            path=str(pictures),
            splitting=Splitting(val_size=4, how="stratified", seed=seed),
        )
        for seed in range(2)
    ]

    assert drawn[0].load_test().pixels.equal(drawn[1].load_test().pixels)
    assert not drawn[0].val.pixels.equal(drawn[1].val.pixels)


def test_folders_for_training_validation_and_test_are_taken_as_they_are(tmp_path):
    for split, shade in {"train": 1, "valid": 2, "test": 3}.items():
        for name in CLASSES:
            paint(tmp_path / "own" / split / name / "a.jpg", mode="L", shade=shade)
    data = folder.load(path=str(tmp_path / "own"), splitting=DRAWN)

    assert [part.pixels.shape for part in (data.train, data.val, data.load_test())] == [
        (2, 1, 4, 6)
    ] * 3
    assert [
        int(part.pixels.max()) for part in (data.train, data.val, data.load_test())
    ] == [1, 2, 3]


def test_a_class_may_be_called_train(pictures):
    for shade in range(8):
        paint(pictures / "train" / f"{shade}.png", shade=shade)

    assert folder.load(path=str(pictures), splitting=DRAWN).class_names == (
        *CLASSES,
        "train",
    )


def test_pictures_of_many_sizes_are_scaled(pictures):
    paint(pictures / "cat" / "large.png", size=(60, 40))
    data = folder.load(
        path=str(pictures), splitting=DRAWN, image_size=[8, 12], channels=1
    )

    assert data.train.pixels.shape[1:] == (1, 8, 12)


def paint_three_bands(path: Path) -> None:
    """A picture twice as wide as high: 10 dark columns, 20 grey ones, 10 dark ones."""
    pixels = np.full((20, 40), 40, np.uint8)
    pixels[:, 10:30] = 160
    Image.fromarray(pixels).save(path)


@pytest.mark.parametrize(
    ("resize", "shares"),
    [
        ("stretch", {40: 0.5, 160: 0.5}),
        ("crop", {160: 1}),
        ("pad", {40: 0.75, 160: 0.25}),
    ],
)
def test_a_picture_of_another_shape_is_resized_as_it_is_said(tmp_path, resize, shares):
    paint_three_bands(tmp_path / "wide.png")
    pixels = make_look([40, 40], None, resize=resize).read(tmp_path / "wide.png")
    found = {shade: float((abs(pixels - shade) < 8).mean()) for shade in (40.0, 160.0)}

    assert pixels.shape == (40, 40)
    assert {shade: found[shade] for shade in shares} == pytest.approx(shares, abs=0.06)


@given(
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.sampled_from(RESIZES),
    st.sampled_from(["L", "RGB"]),
)
def test_pictures_of_all_shapes_become_of_the_size(size, wanted, resize, mode):
    picture = Image.new(mode, size, 90 if mode == "L" else (90, 20, 3))
    resized = scale_picture(picture, wanted, resize)

    assert (resized.height, resized.width) == wanted
    assert resized.getcolors() == [(wanted[0] * wanted[1], picture.getpixel((0, 0)))]


@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(4, 40))
def test_padding_keeps_what_a_long_picture_shows(length, breadth, side):
    pixels = np.zeros((breadth, length), np.uint8)
    pixels[1:-1, 1:-1] = 255
    padded = np.asarray(scale_picture(Image.fromarray(pixels), (side, side), "pad"))
    shows = min(length, breadth) > 8

    assert padded.shape == (side, side)
    assert padded.max() > 100 or not shows


def test_pictures_of_training_say_how_they_were_resized(pictures):
    data = folder.load(
        path=str(pictures), splitting=DRAWN, image_size=[8, 8], resize="pad"
    )

    assert data.fits_by == "pad"


def read_anew(pictures: Path, caplog: pytest.LogCaptureFixture) -> bool:
    """Whether another process would decode the pictures."""
    caplog.clear()
    folder._load.cache_clear()
    folder.load(path=str(pictures), splitting=DRAWN)
    return "reading 20 pictures" in caplog.text


def test_pictures_are_decoded_once_and_again_when_one_changes(pictures, caplog):
    caplog.set_level(logging.INFO)
    first, second = read_anew(pictures, caplog), read_anew(pictures, caplog)
    paint(pictures / "cat" / "00.png", shade=200)

    assert (first, second, read_anew(pictures, caplog)) == (True, False, True)


def test_a_damaged_cache_is_read_anew(pictures, caplog):
    caplog.set_level(logging.INFO)
    read_anew(pictures, caplog)
    for path in (pictures.parent / "cache").rglob("pictures-*.safetensors"):
        path.write_bytes(b"damaged")

    assert read_anew(pictures, caplog)


OPENED: list[str] = []
sys.addaudithook(
    lambda event, details: OPENED.append(str(details[0])) if event == "open" else None
)


def read_in_another_process(pictures: Path) -> tuple[torch.Tensor, int]:
    """The pictures, as a process without this one's memory reads them, and how many
    picture files it opened.
    """
    folder._load.cache_clear()
    OPENED.clear()
    data = folder.load(path=str(pictures), splitting=Splitting(val_size=0), test_size=4)
    pixels = torch.cat([data.train.pixels, data.load_test().pixels])
    return pixels, sum(name.endswith(".png") for name in OPENED)


@pytest.fixture
def settled(pictures, monkeypatch) -> Path:
    """Pictures that did not change for a while, and are known to the cache."""
    monkeypatch.setattr(kept, "CLOCK_TICK_S", -1.0)
    read_in_another_process(pictures)
    return pictures


def test_pictures_are_hashed_once(settled):
    assert read_in_another_process(settled)[1] == 0


def repaint(pictures: Path) -> None:
    paint(pictures / "cat/00.png", shade=77)


def repaint_with_the_old_time(pictures: Path) -> None:
    path = pictures / "cat/00.png"
    before = path.stat()
    paint(path, shade=77)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


CHANGES = {
    "repainted": repaint,
    "repainted, with the old time": repaint_with_the_old_time,
    "renamed": lambda pictures: (pictures / "cat/00.png").rename(
        pictures / "cat/99.png"
    ),
    "another class": lambda pictures: (pictures / "cat/00.png").rename(
        pictures / "dog/00.png"
    ),
    "replaced by another file": lambda pictures: (pictures / "cat/00.png").replace(
        pictures / "cat/02.png"
    ),
    "removed": lambda pictures: (pictures / "cat/00.png").unlink(),
    "added": lambda pictures: paint(pictures / "cat/001.png", shade=77),
}


@pytest.mark.parametrize("change", CHANGES)
def test_any_change_of_the_pictures_is_seen(settled, monkeypatch, tmp_path, change):
    CHANGES[change](settled)
    seen, _ = read_in_another_process(settled)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another cache"))

    assert torch.equal(seen, read_in_another_process(settled)[0])


def test_pictures_that_have_just_changed_are_hashed_again(pictures):
    """They may change once more within a tick of the file system's clock."""
    read_in_another_process(pictures)

    assert read_in_another_process(pictures)[1] == 20


def test_of_those_that_start_together_one_reads_and_the_others_wait(pictures):
    files = sorted(pictures.rglob("*.png"))
    begun: list[int] = []

    def read() -> kept.Decoded:
        begun.append(len(begun))
        time.sleep(0.2)
        return kept.Decoded(
            torch.zeros(20, 1, 1, 1, dtype=torch.uint8),
            torch.ones(20, dtype=torch.bool),
        )

    with ThreadPoolExecutor(4) as pool:
        results = [
            pool.submit(kept.load_pictures, pictures, files, "any", read)
            for _ in range(4)
        ]

    assert [len(result.result().pixels) for result in results] == [20] * 4
    assert begun == [0]


def test_a_user_without_a_home_reads_the_pictures_each_time(
    pictures, monkeypatch, caplog
):
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    caplog.set_level(logging.INFO)
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", homeless)

    assert [read_anew(pictures, caplog) for _ in range(2)] == [True, True]


def test_a_transparent_16_bit_or_turned_picture_is_read_as_seen(tmp_path):
    Image.new("RGBA", (2, 2), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    Image.fromarray(np.full((2, 2), 257 * 9, np.uint16)).save(tmp_path / "deep.png")
    Image.new("L", (2, 2), 0).save(tmp_path / "grey.png", transparency=0)
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new("RGB", (6, 4)).save(tmp_path / "turned.jpg", exif=turned)

    assert read_picture(tmp_path / "clear.png").getpixel((0, 0)) == (255, 255, 255)
    assert read_picture(tmp_path / "grey.png").getpixel((0, 0)) in (
        255,
        (255, 255, 255),
    )
    assert read_picture(tmp_path / "deep.png").getpixel((0, 0)) == 9
    assert read_picture(tmp_path / "turned.jpg").size == (4, 6)


def strip(pictures: Path, *names: str) -> None:
    for name in names:
        for path in (pictures / name).iterdir():
            path.unlink()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda p: strip(p, "dog"),
            (
                r"data folder `.*dog` has no picture; expected PNG, JPEG, .* files; "
                r"add some or leave"
            ),
        ),
        (
            lambda p: (strip(p, "dog"), (p / "dog").rmdir()),
            (
                r"data `.*pictures` has 1 class \(cat\); expected a folder for each "
                r"of at least two classes; check data.path"
            ),
        ),
        (
            lambda p: [(strip(p, c), (p / c).rmdir()) for c in CLASSES],
            r"data `.*pictures` has 0 classes \(none\); expected a folder for each",
        ),
        (
            lambda p: (p / "cat" / "00.png").write_bytes(b"no"),
            (
                r"1 of 20 pictures that cannot be read: `cat/00.png` \(its content is "
                r"of another format\); expected PNG, JPEG"
            ),
        ),
        (
            lambda p: paint(p / "cat" / "00.png", size=(9, 9)),
            (
                r"2 sizes: \[4,6\] \(19, such as `cat/02.png`\), \[9,9\] \(1, such as "
                r"`cat/00.png`\); set data.image"
            ),
        ),
        (
            lambda p: [
                paint(p / "test" / "cat" / "a.png"),
                paint(p / "train" / "cat" / "a.png"),
            ],
            r"1 class \(cat\)",
        ),
        (
            lambda p: [
                paint(p / s / c / "a.png")
                for s, c in (("train", "a"), ("train", "b"), ("test", "c"))
            ],
            r"`.*c` is no class of the training",
        ),
    ],
)
def test_pictures_that_cannot_be_used_are_one_line(pictures, spoil, message):
    spoil(pictures)
    with pytest.raises(DataError, match=message):
        folder.load(path=str(pictures), splitting=DRAWN)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        (
            {"path": "none"},
            DataError,
            (
                r"data folder `none` is not there; expected a folder of class "
                r"folders; set data.path"
            ),
        ),
        (
            {"image_size": [8]},
            DataError,
            r"data.image_size `\[8\]` is invalid; expected \[height,width\]",
        ),
        (
            {"image_size": [8, 0]},
            ConfigError,
            r"data.image_size `0` is invalid; expected a whole number of at least 1",
        ),
        (
            {"resize": "fit", "image_size": [8, 8]},
            ConfigError,
            r"data.resize `fit` is unknown; expected one of stretch, crop, pad",
        ),
        (
            {"resize": "crop"},
            ConfigError,
            (
                r"data.resize `crop` has no size to bring pictures to; set "
                r"data.image_size=\[height,width\]"
            ),
        ),
        (
            {"channels": 4},
            ConfigError,
            r"data.channels `4` is unknown; expected one of null, 1, 3",
        ),
        (
            {"test_size": 1},
            ConfigError,
            (
                r"data.test_size `1` leaves a class without images: 20 images of 2 "
                r"classes, of the rarest 10"
            ),
        ),
        (
            {"splitting": Splitting(val_size=40)},
            ConfigError,
            r"data.splitting.val_size `40` does not fit 17 images",
        ),
    ],
)
def test_settings_that_cannot_work_are_one_line(pictures, settings, error, message):
    with pytest.raises(error, match=message):
        folder.load(**{"path": str(pictures), "splitting": DRAWN, **settings})


def test_arrays_may_be_floats_channels_first_and_have_other_names(tmp_path):
    path, images = (
        tmp_path / "own.npz",
        np.linspace(0, 1, 10 * 3 * 4 * 6).reshape(10, 3, 4, 6),
    )
    labels = np.array([[3], [8]] * 5)
    np.savez(
        path,
        train_images=images,
        train_labels=labels,
        test_images=images,
        test_labels=labels,
    )
    arrays = ("*_images", "*_labels")
    data = npz.load(
        path=str(path),
        splitting=Splitting(val_size=2),
        arrays=arrays,
        class_names=["b", "m"],
    )

    assert (data.load_test().pixels.shape, data.class_names) == (
        (10, 3, 4, 6),
        ("b", "m"),
    )
    assert (data.load_test().labels.tolist(), int(data.load_test().pixels.max())) == (
        [0, 1] * 5,
        255,
    )


def test_classes_may_be_called_by_bytes(tmp_path):
    np.savez(
        tmp_path / "own.npz",
        x_train=np.tile(GREY, (2, 1, 1)),
        y_train=np.array([b"cat", b"dog"] * 6),
    )

    assert npz.load(
        path=str(tmp_path / "own.npz"), splitting=Splitting(val_size=2)
    ).class_names == ("cat", "dog")


GREY, LABELS = np.zeros((6, 4, 4), np.uint8), np.array([0, 1] * 3)


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (
            {"x_train": GREY},
            (
                r"data file `.*` has no array `y_train`; expected images and labels, "
                r"for training at least; set data.arrays"
            ),
        ),
        ({"x_train": GREY, "y_train": LABELS, "x_test": GREY}, r"no array `y_test`"),
        (
            {"x_train": GREY.astype(int), "y_train": LABELS},
            r"array `x_train` of `.*` is int64 \(6, 4, 4\); expected images \(N, H, W\)",
        ),
        (
            {"x_train": GREY, "y_train": LABELS[:4]},
            (
                r"array `y_train` of `.*` is int64 \(4,\); expected 6 labels, whole "
                r"numbers or texts"
            ),
        ),
        (
            {"x_train": GREY, "y_train": LABELS, "x_test": GREY, "y_test": LABELS + 5},
            r"array `y_test` of `.*` has the label `5`; expected one",
        ),
        (
            {
                "x_train": GREY,
                "y_train": LABELS,
                "x_test": GREY[:, :3],
                "y_test": LABELS,
            },
            r"images of the shapes .*; make them equal",
        ),
        (
            {
                "x_train": GREY,
                "y_train": LABELS,
                "x_val": GREY[:2],
                "y_val": LABELS[:1].repeat(2),
            },
            (
                r"has no validation image of the class `1`; .* or leave the "
                r"validation images out, so that they are drawn"
            ),
        ),
        (
            {"x_train": GREY, "y_train": LABELS * 0},
            r"data `npz` has 1 class \(0\); expected at least two",
        ),
    ],
)
def test_arrays_that_cannot_be_used_are_one_line(tmp_path, contents, message):
    np.savez(tmp_path / "own.npz", **contents)
    with pytest.raises(DataError, match=message):
        npz.load(
            path=str(tmp_path / "own.npz"),
            splitting=Splitting(val_size=2, how="stratified"),
            test_size=2,
        )


def test_a_file_of_another_kind_is_one_line(tmp_path):
    (tmp_path / "own.npz").write_bytes(b"PK damaged")
    with pytest.raises(
        DataError,
        match=(
            r"data file `.*own.npz` cannot be read \(.*\); expected an .npz file of "
            r"arrays; set data.path"
        ),
    ):
        npz.load(path=str(tmp_path / "own.npz"), splitting=DRAWN)


def test_a_model_takes_the_shape_and_the_classes_of_its_data(composed, pictures):
    data = {
        "_target_": "paretune.data.folder.load",
        "path": str(pictures),
        "splitting": DRAWN,
    }
    model = {"_target_": "any", "image_shape": None, "num_classes": None}

    assert fit_to_data(model, data) == {
        "_target_": "any",
        "image_shape": [3, 4, 6],
        "num_classes": 2,
    }
    assert fit_to_data({**model, "num_classes": 5}, data)["num_classes"] == 5


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"_target_": "nowhere.load"},
            (
                r"data._target_ `nowhere.load` cannot be called; expected the dotted "
                r"path of a function"
            ),
        ),
        (
            {"_target_": "paretune.data.digits.load", "nope": 1},
            r"data has settings that paretune.data.digits.load refuses \(.*nope",
        ),
        (
            {
                "_target_": "paretune.data.digits.load",
                "splitting": Splitting(val_size=9),
                "image_shape": [1, 8, 8],
            },
            (
                r"data.image_shape `\[1, 8, 8\]` is not that of the images; expected "
                r"\[1, 28, 28\]; set data.image_shape"
            ),
        ),
    ],
)
def test_a_data_config_that_cannot_work_is_one_line(config, message):
    with pytest.raises(ConfigError, match=message):
        load(config)
