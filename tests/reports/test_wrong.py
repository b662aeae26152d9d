"""What confirmed models get wrong, as data of the page and as a picture."""

from base64 import b64decode
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from paretune.answers import AnswersOnTest
from paretune.reports.answers_figure import draw_answers
from paretune.reports.wrong import (
    WrongAnswers,
    describe_wrong_answers,
    format_mixups,
    write_data_uri,
)


def answers_of(
    n_classes: int, *, shape: tuple[int, int, int] = (1, 5, 4), right: float = 0.5
) -> AnswersOnTest:
    """Twenty images a class; the share ``right`` is."""
    random = np.random.default_rng(0)
    labels = np.arange(20 * n_classes) % n_classes
    is_right = random.random(len(labels)) < right
    given = np.where(is_right, labels, (labels + 1) % n_classes)
    probabilities = np.eye(n_classes, dtype=np.float32)[given]
    pixels = random.integers(0, 256, (len(labels), *shape), dtype=np.uint8)
    names = [f"a long name, <b>{number}</b>" for number in range(n_classes)]
    return AnswersOnTest.of(pixels, labels, probabilities, names)


def wrong_of(answers: AnswersOnTest) -> WrongAnswers:
    return WrongAnswers(params=100, family="conv", seeds=1, answers=answers)


def decode(uri: str) -> bytes:
    return b64decode(uri.partition("base64,")[2])


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_an_image_is_shown_pixel_by_pixel(channels):
    pixels = np.random.default_rng(0).integers(0, 256, (channels, 6, 9), dtype=np.uint8)
    picture = np.asarray(Image.open(BytesIO(decode(write_data_uri(pixels)))))
    expected = pixels.transpose(1, 2, 0) if channels == 3 else pixels[0]

    assert (picture == expected).all()


def test_a_signal_is_shown_as_a_line_for_each_channel():
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 1, 12)
    text = decode(write_data_uri(pixels)).decode()

    assert text.count("<polyline") == 2
    assert "0,48.0 1,47.8" in text


def test_of_many_classes_the_page_lists_the_worst_pairs():
    [few, many] = describe_wrong_answers(
        [wrong_of(answers_of(3)), wrong_of(answers_of(40))]
    )

    assert [len(row[1]) for row in few["rows"]] == [3, 3, 3]
    assert many["rows"] == []
    assert len(many["mixups"]) == 10


@pytest.mark.parametrize("n_classes", [2, 10, 40])
@pytest.mark.parametrize("shape", [(1, 5, 4), (3, 8, 8), (2, 1, 30)])
@pytest.mark.parametrize("right", [0.5, 1.0])
def test_the_picture_is_drawn_without_a_warning(
    tmp_path: Path, n_classes, shape, right
):
    path = tmp_path / "answers.png"
    draw_answers(answers_of(n_classes, shape=shape, right=right), path)

    with Image.open(path) as picture:
        assert picture.size == (1200, 520)


def test_the_worst_pairs_are_a_line():
    answers = answers_of(2, right=0.9)
    [first, second] = answers.confusion.list_mixups(2)

    assert format_mixups(wrong_of(answers)) == (
        f"Most mistakes: {first.label} taken for {first.answer} "
        f"({first.count / 20:.1%}), {second.label} taken for {second.answer} "
        f"({second.count / 20:.1%})"
    )
    assert format_mixups(wrong_of(answers_of(2, right=1))) == ""
