"""What of a messy folder is read as a picture of a class, and what is said of the
rest.
"""

import logging
import os
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from messy import paint, two_classes
from paretune.data import folder
from paretune.data.images import ImageData, Splitting
from paretune.errors import DataError

SPLITTING = Splitting(val_size=0.2, how="stratified")
VISIBLE_FOLDERS = ("deeper", "2nd batch", "scan.png")
FOREIGN_FOLDERS = (
    ".ipynb_checkpoints",
    ".thumbnails",
    "__MACOSX",
    "@eaDir",
    "lost+found",
)
PICTURES = ("a.png", "B.PNG", "c.bmp", "d.webp", "e.tif", "f.gif", "g.pgm")
OTHERS = (
    "._a.png",
    ".hidden.bmp",
    "Thumbs.db",
    ".DS_Store",
    "notes.txt",
    "a.png~",
    "no suffix",
)
PLACES = st.lists(st.sampled_from(VISIBLE_FOLDERS + FOREIGN_FOLDERS), max_size=3).map(
    tuple
)
TREES = st.lists(
    st.tuples(PLACES, st.sampled_from(PICTURES + OTHERS)),
    unique=True,
    min_size=1,
    max_size=12,
)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def read(path: Path, **settings: object) -> ImageData:
    return folder.load(path=str(path), splitting=SPLITTING, test_size=0.2, **settings)


def shades(data: ImageData) -> Counter[int]:
    """How often each shade is among all images."""
    parts = (data.train, data.val, data.load_test())
    return Counter(torch.cat([part.pixels[:, 0, 0, 0] for part in parts]).tolist())


def seen_shades(path: Path) -> Counter[int]:
    """Those of the pictures below ``path`` that are in addition to the ones of
    ``two_classes``.
    """
    return Counter(
        {shade: count for shade, count in shades(read(path)).items() if shade < 100}
    )


@given(TREES)
@settings(max_examples=25)
def test_every_visible_picture_is_read_once_and_nothing_else(tree):
    with TemporaryDirectory() as name:
        root = two_classes(Path(name) / "pictures")
        expected = Counter()
        for shade, (place, file) in enumerate(tree):
            paint(root.joinpath("cat", *place, file), shade)
            is_visible = file in PICTURES and not set(place) & set(FOREIGN_FOLDERS)
            expected[shade] = int(is_visible)

        assert seen_shades(root) == +expected


@pytest.mark.parametrize("name", [*FOREIGN_FOLDERS, "__pycache__", ".hidden"])
@pytest.mark.parametrize("place", ["", "train", "test"])
def test_a_foreign_folder_is_no_class(tmp_path, name, place):
    for split in ("train", "test") if place else ("",):
        two_classes(tmp_path / "pictures" / split)
    paint(tmp_path / "pictures" / place / name / "a.png")

    assert read(tmp_path / "pictures").class_names == ("cat", "dog")


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (
            lambda p: (p / "a.png").symlink_to(p / "gone.png"),
            "1 leading nowhere (`cat/a.png`)",
        ),
        (lambda p: (p / "a").symlink_to(p / "a"), "1 leading nowhere (`cat/a`)"),
        (lambda p: make_pipe(p / "a.png"), "1 neither file nor folder (`cat/a.png`)"),
        (lambda p: (p / "a.heic").touch(), "1 .heic (`cat/a.heic`)"),
        (lambda p: (p / ".a.png").touch(), "1 hidden (`cat/.a.png`)"),
        (lambda p: paint(p / "@eaDir" / "a.png"), "1 of the system (`cat/@eaDir`)"),
        (
            lambda p: paint(p.parent / "a.png"),
            "1 outside of the class folders (`a.png`)",
        ),
        (
            lambda p: (p / "up").symlink_to(p.parent),
            "1 leading back to a folder above (`cat/up`)",
        ),
    ],
)
def test_what_is_left_out_is_said(tmp_path, caplog, make, reason):
    caplog.set_level(logging.INFO)
    root = two_classes(tmp_path / "pictures")
    make(root / "cat")

    assert len(shades(read(root))) == 12
    assert f"left out: {reason}" in caplog.text


def test_types_are_counted(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    root = two_classes(tmp_path / "pictures")
    for number, suffix in enumerate((".bmp", ".webp", ".tif", ".TIF")):
        paint(root / "cat" / f"x{suffix}", number)
    read(root)

    assert "pictures: 12 .png, 2 .tif, 1 .bmp, 1 .webp" in caplog.text


def link_all(root: Path, elsewhere: Path) -> None:
    (root / "cat" / "more").symlink_to(elsewhere)


def link_each(root: Path, elsewhere: Path) -> None:
    for path in elsewhere.iterdir():
        (root / "cat" / path.name).symlink_to(path)


def link_twice(root: Path, elsewhere: Path) -> None:
    (root / "cat" / "again").symlink_to(elsewhere)
    (root / "cat" / "more").symlink_to(elsewhere)


def link_with_a_loop(root: Path, elsewhere: Path) -> None:
    (root / "cat" / "more").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(root / "cat")
    (elsewhere / "round").symlink_to(elsewhere)


@pytest.mark.parametrize("link", [link_all, link_each, link_twice, link_with_a_loop])
def test_links_are_followed_and_every_picture_is_read_once(tmp_path, link):
    root = two_classes(tmp_path / "pictures")
    for shade in range(3):
        paint(tmp_path / "elsewhere" / f"more{shade}.png", shade)
    link(root, tmp_path / "elsewhere")

    assert seen_shades(root) == {0: 1, 1: 1, 2: 1}


def test_a_link_beside_its_folder_is_left_out_and_not_the_folder(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    root = two_classes(tmp_path / "pictures")
    paint(root / "cat" / "real" / "a.png", 0)
    (root / "cat" / "alias").symlink_to("real")

    assert seen_shades(root) == {0: 1}
    assert "1 leading to a folder that is read already (`cat/alias`)" in caplog.text


def test_a_class_may_be_a_link(tmp_path):
    root = two_classes(tmp_path / "pictures")
    two_classes(tmp_path / "elsewhere")
    (root / "owl").symlink_to(tmp_path / "elsewhere" / "cat")

    assert read(root).class_names == ("cat", "dog", "owl")


FILE_NAMES = st.binary(min_size=1, max_size=12).filter(
    lambda name: not set(name) & set(b"/\0") and not name.startswith(b".")
)


@given(FILE_NAMES, FILE_NAMES)
@settings(max_examples=25)
def test_names_of_any_bytes_are_read_and_become_text(name, class_folder):
    with TemporaryDirectory() as temporary:
        root = two_classes(Path(temporary) / "pictures")
        path = Path(
            os.fsdecode(
                os.fsencode(root) + b"/" + class_folder + b"_x/" + name + b".png"
            )
        )
        for shade in range(3):
            paint(path.with_name(f"{shade}{path.name}"), shade)
        data = read(root)

        assert seen_shades(root) == {0: 1, 1: 1, 2: 1}
        assert "".join(data.class_names).encode().decode().splitlines() == [
            "".join(data.class_names)
        ]


def test_both_ways_to_write_an_accent_are_one_class(tmp_path):
    for split, name in {"train": "caf\u00e9", "test": "cafe\u0301"}.items():
        two_classes(tmp_path / "own" / split)
        for shade in range(3):
            paint(tmp_path / "own" / split / name / f"{shade}.png", shade)

    assert read(tmp_path / "own").class_names == ("caf\u00e9", "cat", "dog")


def spoil(root: Path, count: int) -> None:
    for path in sorted((root / "cat").glob("*.png"))[:count]:
        path.write_bytes(path.read_bytes()[:-30])


def test_every_damaged_picture_is_told_at_once(tmp_path):
    root = two_classes(tmp_path / "pictures", each=15)
    spoil(root, 13)

    with pytest.raises(DataError) as caught:
        read(root)
    said = str(caught.value)
    assert "has 13 of 30 pictures that cannot be read: `cat/000.png` (" in said
    assert said.count("cat/") == 10
    assert " and 3 more; " in said
    assert said.endswith(
        "mend or delete them, or set data.skip_damaged=true to leave them out"
    )


def test_damaged_pictures_can_be_skipped_and_are_named_each_time(tmp_path, caplog):
    root = two_classes(tmp_path / "pictures")
    spoil(root, 2)
    for _ in range(2):  # decoded, and from the cache
        folder._load.cache_clear()
        caplog.clear()

        assert sorted(shades(read(root, skip_damaged=True))) == [
            101,
            103,
            *range(104, 112),
        ]
        assert (
            "left out, as data.skip_damaged says: 2 of 12, `cat/000.png`, `cat/002.png`"
            in caplog.text
        )


def test_a_folder_of_damaged_pictures_cannot_be_skipped(tmp_path):
    root = two_classes(tmp_path / "pictures", each=3)
    for path in root.rglob("*.png"):
        path.write_bytes(b"no")

    with pytest.raises(
        DataError, match=r"has 6 of 6 pictures that cannot be read: .*; check data.path"
    ):
        read(root, skip_damaged=True)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda p: [(p / name).mkdir() for name in ("fox", "owl")],
            r"`.*fox`, `.*owl` have no pictures; expected PNG",
        ),
        (
            lambda p: [(p / "owl").mkdir(), (p / "owl/a.heic").touch()],
            r"`.*owl \(with 1 .heic\)` has no picture",
        ),
        (
            lambda p: [
                paint(p / s / c / "a.png")
                for s, c in [
                    ("train", "a"),
                    ("train", "b"),
                    ("test", "c"),
                    ("test", "d"),
                ]
            ],
            (
                r"`.*test/c`, `.*test/d` are no classes of the training images; "
                r"expected a, b; .*\(and 1 more: paretune data check"
            ),
        ),
        (
            lambda p: [
                paint(p / s / c / "a.png")
                for s in ("train", "val", "valid")
                for c in "ab"
            ],
            r"2 folders of the split val, `val` and `valid`; put them together",
        ),
    ],
)
def test_all_mistakes_of_a_kind_are_told_at_once(tmp_path, make, message):
    make(two_classes(tmp_path / "pictures"))
    with pytest.raises(DataError, match=message):
        read(tmp_path / "pictures")


def test_pictures_without_class_folders_are_counted(tmp_path):
    paint(tmp_path / "pictures" / "a.png")
    with pytest.raises(
        DataError,
        match=(
            r"has 0 classes \(none\), and 1 pictures in no class folder; expected a "
            r"folder"
        ),
    ):
        read(tmp_path / "pictures")
