"""``paretune data check`` says of a data set what a training would make of it, and what
would stop it.
"""

import os
import shlex
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from messy import paint, two_classes
from paretune.commands import train
from paretune.commands.data import cli
from paretune.data import folder
from paretune.data.images import Splitting
from paretune.data.survey import survey
from paretune.paths import printable

SPLITTING = {
    "_target_": "paretune.data.images.Splitting",
    "val_size": 0.2,
    "how": "stratified",
}


@pytest.fixture
def pictures(tmp_path, monkeypatch) -> Path:
    """The folder ``pictures`` in the working folder, of twelve."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    two_classes(tmp_path / "pictures")
    return Path("pictures")


@pytest.fixture
def said(answered):
    """What the command says of data, by heading; everything else below an empty one."""

    def run(*arguments: str) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        heading = ""
        for line in answered(cli, "check", *arguments).out.splitlines():
            heading = line[:12].strip() or heading
            if not line.strip():
                continue
            found.setdefault(heading, []).append(line[12:])
        return found

    return run


def test_a_folder_that_a_training_can_read(pictures, answered):
    answer = answered(cli, "check", "pictures")

    assert answer.code == 0
    assert answer.out.splitlines()[0] == "pictures: 12 images, 2 classes"
    assert answer.out.endswith(
        "a training can read it: paretune train data=folder data.path=pictures\n"
    )


@given(st.lists(st.integers(3, 8), min_size=2, max_size=4), st.integers(0, 2))
@settings(max_examples=10)
def test_the_splits_are_those_of_a_training(tmp_path_factory, counts, seed):
    root = tmp_path_factory.mktemp("pictures")
    for number, count in enumerate(counts):
        for shade in range(count):
            paint(root / f"class {number}" / f"{shade}.png", 10 * number + shade)
    data = {
        "_target_": "paretune.data.folder.load",
        "path": str(root),
        "splitting": {**SPLITTING, "seed": seed},
    }
    parts = survey(data).parts
    trained = folder.load(
        path=str(root), splitting=Splitting(val_size=0.2, how="stratified", seed=seed)
    )

    for split, images in {
        "train": trained.train,
        "val": trained.val,
        "test": trained.load_test(),
    }.items():
        assert parts[split].labels.tolist() == images.labels.tolist()


def test_it_says_what_is_left_out_and_what_is_damaged_and_every_mistake(
    pictures, answered
):
    paint(pictures / "cat/.ipynb_checkpoints/a.png")
    paint(pictures / "cat/large.bmp", size=(9, 9))
    paint(pictures / "owl/a.png")
    (pictures / "dog/001.png").write_bytes(b"")
    answer = answered(cli, "check", "data=folder", "data.path=pictures")

    assert answer.code == 2
    assert "left out    1 hidden: `cat/.ipynb_checkpoints`" in answer.out
    assert "damaged     dog/001.png: it is empty" in answer.out
    assert "sizes       12 of [4,6], 1 of [9,9] (height, width)" in answer.out
    assert [line.split(" (")[0] for line in answer.err.splitlines()] == [
        (
            "paretune data check: 1 of 14 pictures cannot be read: see `damaged`; "
            "mend or delete them, or set data.skip_damaged=true to leave them out"
        ),
        "paretune data check: data folder `pictures` has pictures of 2 sizes: [4,6]",
        "paretune data check: data `pictures` has too few images of the class `owl`",
    ]


def test_types_modes_channels_and_blank_pictures_are_counted(pictures, said):
    Image.new("RGBA", (6, 4), "red").save(pictures / "cat" / "red.png")
    found = said("pictures")

    assert found["types"] == ["13 .png"]
    assert found["modes"] == ["12 L (grey), 1 RGBA (colours, transparent)"]
    assert found["channels"] == [
        "3: 1 of 13 pictures has colours: `cat/red.png`; data.channels=1 makes all grey"
    ]
    assert found["blank"][0].startswith("13 of one shade all over: `cat/000.png`, ")


@pytest.mark.parametrize("copy_as", ["png", "bmp", "webp", "tif"])
def test_copies_are_found_by_what_they_show(tmp_path, said, copy_as):
    for split in ("train", "test"):
        two_classes(tmp_path / split, each=4)
    paint(tmp_path / "test/cat" / f"new.{copy_as}", 7)
    paint(tmp_path / "train/dog" / f"other.{copy_as}", 7)
    found = said(str(tmp_path), "data.splitting.val_size=0")

    assert any(
        line.startswith(
            "9 of 9 test images are among the training images, too, such as"
        )
        for line in found["beware"]
    )
    assert any(
        line.startswith("1 image is in more than one class, such as `train/dog/other")
        for line in found["beware"]
    )


def test_copies_within_a_split_are_counted(pictures, said):
    for split in ("train", "val", "test"):
        for name in ("cat", "dog"):
            paint(Path("own") / split / name / "a.png", hash((split, name)) % 200)
    paint(Path("own/train/cat/b.png"), hash(("train", "cat")) % 200)

    assert "copies within a split: 1 training" in said("own")["beware"]


def test_pictures_that_differ_are_no_copies(pictures, said):
    assert "beware" not in said("pictures")


def test_damaged_pictures_that_are_skipped_stop_nothing(pictures, answered):
    (pictures / "dog/001.png").write_bytes(b"")
    answer = answered(cli, "check", "pictures", "data.skip_damaged=true")

    assert answer.code == 0
    assert "damaged     dog/001.png: it is empty" in answer.out


def test_names_are_listed_up_to_a_number_or_all(pictures, said):
    for number in range(12):
        (pictures / "cat" / f"{number:03d}.png").write_bytes(b"")

    assert len(said("pictures")["damaged"]) == 11
    assert said("pictures")["damaged"][-1] == "and 2 more: --all shows them"
    assert len(said("pictures", "--all")["damaged"]) == 12


def test_names_of_any_kind_are_printed(pictures, answered):
    paint(Path(os.fsdecode(b"pictures/[red]caf\xe9/\x1b[31mx\n.png")))
    answer = answered(cli, "check", "pictures")

    assert answer.code == 2
    assert "[red]caf\\xe9" in answer.out
    assert "\x1b" not in answer.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["nowhere"],
            (
                "`nowhere` is neither a folder nor an .npz file, nor a setting such as "
                "data.path=pictures; check the path"
            ),
        ),
        (["data=folder"], "data.path is missing; set data.path"),
        (
            ["data=folder", "data.path=nowhere"],
            (
                "data.path `nowhere` is not there; expected your pictures or arrays; "
                "check the path"
            ),
        ),
        (["data=flder"], "data `flder` is unknown; expected one of cifar10, "),
        (
            ["data=folder", "data.path=pictures", "data.channels=2"],
            "data.channels `2` is unknown; expected one of null, 1, 3",
        ),
        (
            ["data=folder", "data.path=pictures/cat/000.png"],
            "is a file, not a folder of class folders",
        ),
        (["data=npz", "data.path=pictures"], "data file `pictures` cannot be read"),
    ],
)
def test_a_mistake_is_one_line(pictures, answered, arguments, message):
    answer = answered(cli, "check", *arguments)

    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("paretune data check: ")
    assert message in answer.err
    assert answer.err.count("\n") == 1


def write_arrays(place: Path) -> str:
    labels = np.arange(20) % 2
    pixels = np.arange(20, dtype=np.uint8)[:, None, None].repeat(4, 1).repeat(4, 2)
    np.savez(
        place / "own.npz",
        x_train=pixels,
        y_train=labels,
        x_test=pixels[:4] + 9,
        y_test=labels[:4],
    )
    return "own.npz"


def test_arrays_and_data_sets_are_counted(pictures, said):
    found = said(write_arrays(Path()), "data.splitting.val_size=0")

    assert found["images"] == ["1 x 4 x 4 (channels, height, width)"]
    assert found["blank"] == [
        "20 training images of one shade all over",
        "4 test images of one shade all over",
    ]
    assert found["beware"][0].startswith(
        "4 of 4 test images are among the training images, too, such as `test[0]` as "
        "`train[9]`"
    )


def test_a_function_of_ones_own_is_asked(pictures, said):
    Path("my_data.py").write_text("from paretune.data.digits import load as mine\n")
    found = said("data=digits", "data._target_=my_data.mine")

    assert found["images"] == ["1 x 28 x 28 (channels, height, width)"]


def test_what_paretune_knows_is_read_without_torch(pictures):
    write_arrays(Path())
    code = (
        "import sys; from paretune.commands.data import cli\n"
        "for data in ('pictures', 'own.npz', 'data=digits'): cli(['check', data])\n"
        "print([module for module in ('torch', 'mlflow', 'optuna') if module in "
        "sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert Counter(done.stdout.splitlines())["[]"] == 1
    assert done.stdout.count("a training can read it") == 3


@pytest.mark.parametrize("command", [train.cli, lambda: cli(["check", *sys.argv[1:]])])
@pytest.mark.parametrize("name", [b"pi\xe9cs", b"\xff", b"a/\x80b"])
def test_an_argument_that_no_config_can_hold_is_one_line(
    tmp_path, monkeypatch, answered, command, name
):
    monkeypatch.chdir(tmp_path)
    argument = os.fsdecode(b"data.path='" + name + b"'")
    answer = answered(command, "data=folder", argument)

    assert answer.code == 2
    assert f"argument `{printable(argument)}` is not UTF-8" in answer.err
    assert answer.err.endswith(
        "rename the file or folder, or make a link to it whose name is text\n"
    )


@pytest.mark.parametrize(
    "name",
    [
        "1.10",
        "my pics",
        "it's [a], b",
        "a=b",
        "null",
        "caf\u00e9",
        "1e3",
        "(x)",
        " edge",
        "a\\",
    ],
)
def test_a_folder_of_any_name_can_be_checked_and_trained_on_as_it_says(
    pictures, answered, name
):
    pictures.rename(name)
    answer = answered(cli, "check", f"./{name}" if "=" in name else name)
    line = answer.out.splitlines()[-1].removeprefix(
        "a training can read it: paretune train "
    )

    assert answer.code == 0, answer.err
    assert (
        answered(cli, "check", *shlex.split(line)).out.splitlines()[1:]
        == answer.out.splitlines()[1:]
    )


def test_two_data_sets_at_once_are_refused(pictures, answered):
    two_classes(Path("others"))

    answer = answered(cli, "check", "pictures", "others")

    assert answer.code == 2
    assert answer.err == (
        "paretune data check: `pictures` and `others` are two data sets; check "
        "them one by one\n"
    )


def test_an_empty_path_is_asked_for(pictures, answered):
    answer = answered(cli, "check", "data=folder", "data.path=")

    assert (answer.code, answer.err) == (
        2,
        "paretune data check: data.path is missing; set data.path\n",
    )
