"""The classes of all pictures of a folder, and how many are right."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from paretune.commands import predict
from paretune.deploy.answers import Answer, count_answers, list_mistakes
from paretune.deploy.onnx import write_onnx

CLASSES = [f"thing {number}" for number in range(10)]


@pytest.fixture
def model(deployable, tmp_path) -> str:
    network = deployable("model=conv", "model.image_shape=[1,9,9]")
    facts = {"fits_by": "resize", "class_names": CLASSES}
    write_onnx(network, tmp_path / "model.onnx", facts)
    return str(tmp_path / "model.onnx")


def write_pictures(folder: Path, *places: str) -> Path:
    random = np.random.default_rng(0)
    for place in places:
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 256, (9, 9), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / place)
    return folder


def test_all_pictures_below_a_folder_are_told_by_their_names(model, answered, tmp_path):
    folder = write_pictures(tmp_path / "new", "b.png", "deep/a.png", ".hidden/c.png")
    (folder / "notes.txt").write_text("no picture")
    answer = answered(predict.cli, model, str(folder))
    names = [line.partition(": ")[0] for line in answer.out.splitlines()]

    assert names == [f"{folder}/b.png", f"{folder}/deep/a.png"]


def test_folders_of_classes_are_scored(model, answered, tmp_path):
    places = ("test/thing 1/a.png", "test/thing 1/b.png", "test/thing 2/c.png")
    folder = write_pictures(tmp_path / "new", *places)
    answer = answered(predict.cli, model, str(folder))

    assert "3 of known class: accuracy " in answer.out
    assert "mostly taken for" in answer.out
    assert answer.out.count(" instead of thing ") >= 1


def test_a_table_has_a_row_for_each_picture(model, answered, tmp_path):
    folder = write_pictures(tmp_path / "new", "thing 3/a.png", "other/b.png")
    table = tmp_path / "out" / "classes.csv"
    answer = answered(predict.cli, model, str(folder), "--csv", str(table))
    rows = list(csv.DictReader(table.read_text().splitlines()))

    assert [row["label"] for row in rows] == ["", "thing 3"]
    assert {row["class"] for row in rows} <= set(CLASSES)
    assert all(0.1 <= float(row["probability"]) <= 1 for row in rows)
    assert f"Written to {table}: 2 rows" in answer.out


def test_a_folder_without_pictures_is_refused(model, answered, tmp_path):
    (tmp_path / "empty").mkdir()
    answer = answered(predict.cli, model, str(tmp_path / "empty"))

    assert answer.code == 2
    assert f"folder `{tmp_path}/empty` holds no picture (" in answer.err
    assert answer.err.endswith("give another folder, or files\n")


def test_a_class_is_scored_over_its_files_alone():
    answers = [
        Answer("a", best="cat", probability=0.9, label="cat"),
        Answer("b", best="dog", probability=0.8, label="cat"),
        Answer("c", best="dog", probability=0.7, label="dog"),
        Answer("d", best="cat", probability=0.6),
    ]
    score = count_answers(answers, ["cat", "dog", "cow"])

    assert score.accuracy == pytest.approx(2 / 3)
    assert [(part.name, part.count) for part in score.classes] == [
        ("cat", 2),
        ("dog", 1),
    ]
    assert (score.classes[0].taken_for, score.classes[0].mistakes) == ("dog", 1)
    assert score.f1 == pytest.approx(2 / 3)


def test_the_surest_mistakes_come_first():
    answers = [Answer(str(n), "a", n / 100, label="b") for n in range(50)]

    assert [answer.name for answer in list_mistakes(answers)][:2] == ["49", "48"]
    assert len(list_mistakes(answers)) == 12


def test_files_of_unknown_class_are_not_scored():
    assert count_answers([Answer("a", "cat", 0.9)], ["cat"]) is None
