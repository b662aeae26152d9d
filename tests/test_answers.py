"""Which classes are taken for which others, and the surest mistakes."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, f1_score

from paretune.answers import MISTAKES_KEPT, AnswersOnTest, join_answers, thin
from paretune.confusion import Confusion

NAMES = ("cat", "dog", "cow")
CLASSES = st.integers(0, len(NAMES) - 1)
PAIRS = st.lists(st.tuples(CLASSES, CLASSES), min_size=1, max_size=60)


def confusion_of(pairs: list[tuple[int, int]]) -> Confusion:
    labels, answers = np.array(pairs).T
    return Confusion.of(labels, answers, NAMES)


@st.composite
def answers_on_test(draw: Any) -> AnswersOnTest:
    shape = (draw(st.integers(1, 4)), draw(st.integers(1, 5)), draw(st.integers(1, 5)))
    count = draw(st.integers(1, 30))
    random = np.random.default_rng(draw(st.integers(0, 99)))
    return AnswersOnTest.of(
        random.integers(0, 256, (count, *shape), dtype=np.uint8),
        random.integers(0, 3, count),
        random.dirichlet(np.ones(3), count).astype(np.float32),
        NAMES,
    )


@given(PAIRS)
def test_counts_and_scores_are_those_of_scikit_learn(pairs):
    labels, answers = np.array(pairs).T
    confusion = confusion_of(pairs)
    present = sorted(set(labels.tolist()))
    f1s = f1_score(labels, answers, labels=present, average=None, zero_division=0.0)

    assert (
        confusion.counts == confusion_matrix(labels, answers, labels=range(3))
    ).all()
    assert [part.f1 for part in confusion.classes] == pytest.approx(f1s.tolist())
    assert confusion.f1 == pytest.approx(f1s.mean())
    assert confusion.accuracy == pytest.approx((labels == answers).mean())


@given(PAIRS, PAIRS)
def test_two_trainings_together_are_all_their_images(some, others):
    joined = confusion_of(some) + confusion_of(others)

    assert (joined.counts == confusion_of(some + others).counts).all()


@given(PAIRS)
def test_mixups_are_all_mistakes_the_most_frequent_first(pairs):
    mixups = confusion_of(pairs).list_mixups(len(NAMES) ** 2)
    counts = [mixup.count for mixup in mixups]

    assert sum(counts) == sum(label != answer for label, answer in pairs)
    assert counts == sorted(counts, reverse=True)
    assert all(mixup.label != mixup.answer for mixup in mixups)


def test_a_class_says_what_it_is_mostly_taken_for():
    [cat, dog] = confusion_of([(0, 0), (0, 2), (0, 2), (0, 1), (1, 1)]).classes

    assert (cat.taken_for, cat.mistakes, cat.count) == ("cow", 2, 4)
    assert (dog.taken_for, dog.mistakes) == ("", 0)


@given(answers_on_test())
def test_answers_are_read_as_they_were_written(tmp_path_factory, answers):
    path = tmp_path_factory.mktemp("answers") / "answers.json"
    answers.write(path)
    read = AnswersOnTest.read(path)

    assert read.confusion.class_names == NAMES
    assert (read.confusion.counts == answers.confusion.counts).all()
    for mistake, written in zip(read.mistakes, answers.mistakes, strict=True):
        assert (mistake.pixels == written.pixels).all()
        assert mistake.probability == pytest.approx(written.probability, abs=1e-6)


@given(answers_on_test())
def test_mistakes_are_the_surest_ones(answers):
    sure = [mistake.probability for mistake in answers.mistakes]
    counts = answers.confusion.counts

    assert sure == sorted(sure, reverse=True)
    assert len(sure) == min(MISTAKES_KEPT, counts.sum() - counts.trace())
    assert all(mistake.label != mistake.answer for mistake in answers.mistakes)


@given(st.lists(answers_on_test(), min_size=1, max_size=4))
def test_of_several_trainings_each_image_is_shown_once(trainings):
    joined = join_answers(trainings)
    numbers = [mistake.number for mistake in joined.mistakes]
    sure = [one.probability for each in trainings for one in each.mistakes]

    assert len(set(numbers)) == len(numbers) <= MISTAKES_KEPT
    assert [one.probability for one in joined.mistakes[:1]] == sorted(sure)[-1:]
    assert joined.confusion.count == sum(one.confusion.count for one in trainings)


def test_trainings_about_other_classes_are_not_added():
    others = Confusion(("a", "b", "c"), np.zeros((3, 3), np.int64))
    with pytest.raises(ValueError, match="are not"):
        confusion_of([(0, 1)]) + others


@given(st.integers(1, 3), st.integers(1, 900), st.integers(1, 900))
def test_large_images_are_kept_small(channels, height, width):
    pixels = np.zeros((channels, height, width), np.uint8)
    kept = thin(pixels).shape

    assert kept[0] == channels
    assert max(kept[1:]) <= (400 if height == 1 else 64)
    assert max(height, width) > 64 or kept == pixels.shape


def test_classes_without_names_are_numbers():
    pixels = np.zeros((1, 1, 2, 2), np.uint8)
    answers = AnswersOnTest.of(pixels, np.array([1]), np.array([[0.9, 0.1]]), ())

    assert (answers.mistakes[0].label, answers.mistakes[0].answer) == ("1", "0")
