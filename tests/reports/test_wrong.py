"""What confirmed models get wrong, as data of the page and as a picture."""

import html
import re
from base64 import b64decode
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from PIL import Image

from paretune.answers import AnswersOnTest
from paretune.confusion import Confusion
from paretune.deploy.card import describe_answers
from paretune.reports.answers_figure import draw_answers, make_figure
from paretune.reports.drawing import save_figure
from paretune.reports.wrong import (
    WrongAnswers,
    describe_wrong_answers,
    format_mixups,
    write_data_uri,
)


def answers_of(
    n_classes: int,
    *,
    shape: tuple[int, int, int] = (1, 5, 4),
    right: float = 0.5,
    name: str = "a long name, <b>",
) -> AnswersOnTest:
    """Twenty images a class, which is called ``name`` and a number; the share ``right``
    is.
    """
    random = np.random.default_rng(0)
    labels = np.arange(20 * n_classes) % n_classes
    is_right = random.random(len(labels)) < right
    given = np.where(is_right, labels, (labels + 1) % n_classes)
    probabilities = np.eye(n_classes, dtype=np.float32)[given]
    pixels = random.integers(0, 256, (len(labels), *shape), dtype=np.uint8)
    names = [f"{name}{number}" for number in range(n_classes)]
    return AnswersOnTest.of(pixels, labels, probabilities, names)


def wrong_of(answers: AnswersOnTest) -> WrongAnswers:
    return WrongAnswers(params=100, family="conv", seeds=1, of_seeds=1, answers=answers)


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


def test_a_class_without_images_has_no_row_and_moves_none():
    confusion = Confusion.of(np.array([0, 2, 2]), np.array([0, 2, 1]), ("a", "b", "c"))
    answers = replace(answers_of(3), confusion=confusion)
    rows = dict(wrong_of(answers).rows)

    assert list(rows) == ["a", "c"]
    assert [cell.is_right for cell in rows["c"]] == [False, False, True]
    assert [cell.share for cell in rows["c"]] == [0, 0.5, 0.5]


@pytest.mark.parametrize("n_classes", [2, 10, 40])
@pytest.mark.parametrize("shape", [(1, 5, 4), (3, 8, 8), (2, 1, 30)])
@pytest.mark.parametrize("right", [0.5, 1.0])
def test_the_picture_is_drawn_without_a_warning(
    tmp_path: Path, n_classes, shape, right
):
    path = tmp_path / "answers.png"
    draw_answers(answers_of(n_classes, shape=shape, right=right), path)

    with Image.open(path) as picture:
        assert picture.size == (600 if right == 1 else 1200, 520)


@pytest.mark.parametrize("name", ["$x^$", "猫", "ünï_", "a" * 300, "class number "])
def test_classes_of_any_name_are_told_apart_in_the_picture(tmp_path: Path, name):
    answers = answers_of(12, name=name)
    figure = make_figure(answers)
    save_figure(figure, tmp_path / "answers.svg", 100)
    confusions, *mistakes = figure.axes
    labels = [label.get_text() for label in confusions.get_yticklabels()]

    assert len(set(labels)) == 12
    assert len({axes.get_title() for axes in mistakes}) > 1
    assert all("$" not in label.replace(r"\$", "") for label in labels)


NAMES = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1)


@given(NAMES)
@example("a|b")
@example("<b>x & AT&amp;T ~~s~~ _u_ [a](b)")
def test_the_name_of_a_class_is_no_markup_in_the_card(name):
    confusion = answers_of(2, name=name).confusion
    card = describe_answers(confusion, "my [picture].png")
    page = MarkdownIt().enable("table").render(card)
    cells = re.findall(r"<tr>\n<td>(.*?)</td>", page)

    assert [html.unescape(cell) for cell in cells] == [f"{name}0", f"{name}1"]
    assert 'src="my%20%5Bpicture%5D.png"' in page


def test_the_card_says_whose_answers_they_are():
    confusion = answers_of(2).confusion

    assert "by these weights:" in describe_answers(confusion, "a.png")
    assert "by these weights in int8:" in describe_answers(
        confusion, "a.png", int8=True
    )


def test_the_worst_pairs_are_a_line():
    answers = answers_of(2, right=0.9)
    [first, second] = answers.confusion.list_mixups(2)

    assert format_mixups(wrong_of(answers)) == (
        f"Most mistakes: {first.label} taken for {first.answer} "
        f"({first.count / 20:.1%}), {second.label} taken for {second.answer} "
        f"({second.count / 20:.1%})"
    )
    assert format_mixups(wrong_of(answers_of(2, right=1))) == ""
