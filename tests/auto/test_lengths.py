"""How long the trainings of a search are."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paretune.auto.lengths import (
    FEW_IMAGES,
    LEAST_SEEN,
    LEAST_TRAININGS,
    ImageCounts,
    choose_length,
    guess_epoch_s,
)

HOUR_S = 3600.0
MNIST = ImageCounts(train=50_000, val=10_000, of_rarest=5_000, pixels=28 * 28)
images = st.integers(10, 10**7)
pixels = st.integers(1, 10**6)
seconds = st.floats(1, 10**7)


def count(n_images: int, n_pixels: int) -> ImageCounts:
    """So many images to train, and enough to validate."""
    return ImageCounts(n_images, FEW_IMAGES, n_images, n_pixels)


def test_mnist_has_the_length_that_its_front_was_searched_with():
    assert choose_length(MNIST, core_s=16 * HOUR_S).epochs == 27


def test_small_data_have_more_epochs_and_fewer_steps():
    few = choose_length(replace(MNIST, train=2_000), core_s=16 * HOUR_S)

    assert few.epochs == 135
    assert few.epochs * 2_000 < 27 * 50_000


def test_where_hours_are_short_so_are_trainings():
    assert choose_length(MNIST, core_s=600).epochs == 9


@given(images, pixels, seconds)
def test_a_race_has_its_rungs_at_a_ninth_and_at_a_third(n_images, n_pixels, core_s):
    length = choose_length(count(n_images, n_pixels), core_s)

    assert length.epochs == 9 * length.first_rung
    assert 1 <= length.first_rung <= 27


@given(images, pixels, seconds)
def test_enough_trainings_fit_unless_they_are_the_shortest(n_images, n_pixels, core_s):
    length = choose_length(count(n_images, n_pixels), core_s)
    trainings_s = LEAST_TRAININGS * length.epochs * guess_epoch_s(n_images, n_pixels)

    rounded = 1.5  # the first rung is a whole number
    is_least = length.first_rung == 1 or length.epochs * n_images < 2 * LEAST_SEEN
    assert is_least or trainings_s <= rounded * core_s


@given(images, pixels, seconds, st.floats(1, 100))
def test_more_time_makes_no_training_shorter(n_images, n_pixels, core_s, times):
    short = choose_length(count(n_images, n_pixels), core_s)
    long = choose_length(count(n_images, n_pixels), core_s * times)

    assert long.epochs >= short.epochs


@pytest.mark.parametrize("n_pixels", [1, 64, 28 * 28])
def test_no_image_is_so_small_that_it_takes_no_time(n_pixels):
    assert guess_epoch_s(15_000, n_pixels) >= 0.2


def test_where_few_images_validate_all_are_scored_in_folds():
    few = replace(MNIST, train=800, val=200, of_rarest=90)
    length = choose_length(few, core_s=HOUR_S)

    assert (length.folds, length.rungs) == (5, 3)
    assert choose_length(replace(few, val=500), core_s=HOUR_S).folds == 1
    assert choose_length(replace(few, of_rarest=3), core_s=HOUR_S).folds == 3


def test_many_images_of_a_rare_class_are_few():
    uneven = replace(MNIST, effective_share=0.04)

    assert choose_length(uneven, core_s=HOUR_S).folds == 5


def test_folds_take_their_time():
    few = ImageCounts(train=4_000, val=400, of_rarest=400, pixels=28 * 28)
    many = replace(few, val=500)

    assert choose_length(few, 300).epochs < choose_length(many, 300).epochs


def test_a_training_of_few_images_has_some_hundred_steps_however_short_the_hours_are():
    few = ImageCounts(train=510, val=90, of_rarest=170, pixels=48 * 32 * 3)
    length = choose_length(few, core_s=10)

    assert length.epochs * 480 >= 0.9 * LEAST_SEEN


def test_what_a_person_sets_stays():
    length = choose_length(MNIST, 3_600, epochs=100, folds=3)

    assert (length.epochs, length.first_rung, length.folds) == (100, 11, 3)
    assert choose_length(replace(MNIST, val=9), 3_600, folds=1).folds == 1
